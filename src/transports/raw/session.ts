import createDebug from 'debug';
import { EAGAIN, EINVAL, EIO, ENOMEM, ENOSYS, EPIPE } from '../../kern/errno.ts';
import { isOutOfMemory } from '../../kern/memory.ts';
import { type Thread, ThreadState } from '../../kern/scheduler.ts';
import type { FileSystem } from '../../vfs/file-system.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { capabilityRows } from '../capabilities.ts';
import { sleepingCalls } from '../common/call.ts';
import { rawCapabilities } from './capabilities.ts';
import { BufferPool } from './buffer-pool.ts';
import type { Device } from './device.ts';
import { ANSWERED, type OpcodeEntry, opcodeTable, STARTED } from './handlers/table.ts';
import { InFlight } from './in-flight.ts';
import { NodeTable } from './node-table.ts';
import { Opcode } from './protocol/constants.ts';
import { OpenOut, WriteIn, WriteOut } from './protocol/layouts.ts';
import { BackingTable } from './backings.ts';
import { Reporter } from './reporter.ts';
import type { Placement } from './placement.ts';
import { type Answerable, Reply } from './protocol/reply.ts';
import { Request } from './protocol/request.ts';
import { sendBytes } from './send-bytes.ts';
import { type Redelivery, SleepingWrites } from './sleeping-writes.ts';

const log = createDebug('ipcfs:session');

const REPLY_CAPACITY_BYTES = 128 * 1024;
const NOTICE_CAPACITY_BYTES = 8;

/** What was agreed in INIT. */
export interface Negotiated {
  readonly minor: number;
  readonly flags: number;
}

/**
 * One FUSE connection: takes requests as bytes, runs them on the tree, and answers. It knows nothing of mounting, so memory can
 * drive it as well as the kernel.
 */
export class Session {
  readonly fileSystem: FileSystem;
  readonly device: Device;
  readonly nodes: NodeTable;
  readonly reply = new Reply(REPLY_CAPACITY_BYTES);
  /** For notifications, which go out while an answer lies in `reply`. */
  readonly #notice = new Reply(NOTICE_CAPACITY_BYTES);
  readonly buffers: BufferPool;
  readonly writes: SleepingWrites;
  readonly reporter: Reporter;
  /** Where the serving thread runs; null when nobody decides that. */
  placement: Placement | null = null;
  /** How segments are mapped. */
  readonly backings: BackingTable;
  /** Set by INIT. */
  negotiated: Negotiated | null = null;
  /** Set by INIT when the kernel is too old: the minor number of what it speaks. */
  refusedMinor: number | null = null;
  readonly #request: Request;
  /** Requests whose operation sleeps or is about to go on, by unique. */
  readonly #inFlight = new Map<number, InFlight>();
  /** A thread for the next operation: used again and again as long as operations end without sleeping. */
  #spare = new InFlight();
  /** Poll handles to notify before the next answer, or at the end of this turn. */
  readonly #notifications = new Set<number>();
  #isDelivering = false;

  constructor(fileSystem: FileSystem, device: Device) {
    this.fileSystem = fileSystem;
    this.device = device;
    this.buffers = new BufferPool(fileSystem.kernel.host);
    this.nodes = new NodeTable(fileSystem.root);
    this.backings = new BackingTable(device);
    device.onSent = (buffer) => {
      this.buffers.sent(buffer);
    };
    fileSystem.kernel.scheduler.onFailure = this.#onFailure;
    this.#request = new Request(this.buffers.current);
    this.writes = new SleepingWrites(fileSystem.kernel, fileSystem.writeMemory, this.buffers);
    this.reporter = new Reporter(fileSystem);
    fileSystem.blockedCalls = () =>
      sleepingCalls(this.#inFlight.values(), ({ opcode }) => opcodeTable[opcode]!.name);
    fileSystem.transportCounters = () => this.reporter.counters(this.placement);
    fileSystem.transportFacts = () => [
      ['transport', 'raw'],
      ['protocol', `7.${this.negotiated?.minor ?? 0}`],
      ['shm-backing', this.backings.kind],
      ['shm-detach', this.backings.detachesAt],
      ['sleeping-write-bytes', this.writes.keptBytes],
      ['held-back-writes', this.writes.heldCount],
      ...capabilityRows(rawCapabilities(this.backings.kind === 'passthrough')),
    ];
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Serves one request that lies in `buffers.current` since `receivedMs`, and all that it wakes. */
  serve(length: number, receivedMs = this.fileSystem.kernel.host.clock.monotonicMs()): void {
    this.reporter.receivedMs = receivedMs;
    const request = this.#request;
    if (!request.parse(this.buffers.current, length)) {
      log('dropped %d bytes that are no request', length);
      return;
    }
    this.backings.settle();
    this.#dispatch(request);
    this.settle();
  }

  #dispatch(request: Request): void {
    const entry = opcodeTable[request.opcode];
    let result: number;
    if (entry === undefined) {
      result = -ENOSYS;
      this.#answer(request, result);
    } else if ((this.negotiated === null) !== (request.opcode === Opcode.INIT)) {
      log('%s %s the agreement', entry.name, this.negotiated === null ? 'before' : 'after');
      result = -EIO;
      if (entry.isAnswered) this.#answer(request, result);
    } else if (request.bodyBytes < entry.minimumBytes) {
      log('%s of %d bytes is too short', entry.name, request.bodyBytes);
      result = -EINVAL;
      if (entry.isAnswered) this.#answer(request, result);
    } else {
      result = this.#handle(entry, request);
      if (log.enabled) log('%s node %d -> %d', entry.name, request.nodeid, result);
      if (result !== STARTED && result !== ANSWERED && !this.#answer(request, result) && result > 0) {
        log('the result of %s was not wanted any more', entry.name);
        entry.takeBack?.(this);
      }
    }
    if (result !== STARTED) this.reporter.answered(request.opcode, result);
  }

  /** A handler that throws has a bug: its caller gets EIO, and everybody else goes on. */
  #handle(entry: OpcodeEntry, request: Request): number {
    try {
      return entry.handle(this, request);
    } catch (error) {
      // Whatever state the thread was left in, the next operation must not find it.
      this.#spare = new InFlight();
      const errno = this.#errnoOf(entry.name, error);
      return entry.isAnswered ? -errno : ANSWERED;
    }
  }

  readonly #onFailure = (ended: Thread, error: unknown): void => {
    const thread = ended as InFlight;
    const errno = this.#errnoOf(opcodeTable[thread.opcode]?.name ?? 'close', error);
    this.#leave(thread);
    if (thread.opcode === Opcode.OPEN) this.fileSystem.openFiles.drop(thread.file!);
    if (thread.unique === 0) return;
    this.#answer(thread, -errno);
    this.reporter.ended(thread, -errno);
  };

  /** What a call fails with that has thrown: ENOMEM for want of memory; anything else is a bug of ours, and EIO. */
  #errnoOf(call: string, error: unknown): number {
    if (isOutOfMemory(error)) return ENOMEM;
    this.#complain(call, error);
    return EIO;
  }

  #complain(call: string, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.fileSystem.kernel.host.log(`internal error in ${call}, please report it: ${text}`);
  }

  /** Runs what has become runnable and sends the notifications that came of it. */
  settle(): void {
    this.fileSystem.kernel.scheduler.run();
    this.#sendNotifications();
    // A request that is served here settles too: the outer turn goes on then.
    while (this.writes.isWanted && !this.#isDelivering) {
      this.#isDelivering = true;
      const next = this.writes.deliver(this.#redelivery);
      this.fileSystem.kernel.scheduler.run();
      this.#sendNotifications();
      if (next > 0) this.serve(next);
      this.#isDelivering = false;
    }
  }

  /** When no request waits: ends what is known to have ended. True when requests are to be looked for again before sleeping. */
  settleWhenIdle(): boolean {
    const { lastMappings } = this.backings;
    if (lastMappings?.isPending !== true) return false;
    const isMoreTold = lastMappings.lookWhenIdle();
    this.settle();
    return isMoreTold;
  }

  /** A thread to run a request's operation on; the handler fills it in and passes it to `start`. */
  thread(request: Request): InFlight {
    const thread = this.#spare;
    thread.unique = request.unique;
    thread.isResent = request.isResent;
    thread.opcode = request.opcode;
    thread.pid = request.credentials.pid;
    thread.uid = request.credentials.uid;
    thread.refusal = 0;
    thread.isContinuation = false;
    thread.receivedMs = this.reporter.receivedMs;
    thread.sleptMs = -1;
    return thread;
  }

  /** Runs the thread's operation until it ends, which answers the request, or sleeps. */
  start(thread: InFlight): typeof STARTED {
    thread.onExit = this.#onExit;
    if (this.fileSystem.kernel.scheduler.start(thread)) {
      thread.state = ThreadState.New;
      thread.operation = null;
      thread.file = null;
      thread.source = null;
      return STARTED;
    }
    this.#spare = new InFlight();
    this.#enter(thread);
    if (thread.source !== null) this.writes.slept(thread);
    return STARTED;
  }

  /** The thread's operation has gone to sleep. */
  #enter(thread: InFlight): void {
    thread.hasSlept = true;
    if (thread.file !== null) thread.file.sleepers++;
    if (this.#inFlight.has(thread.unique)) {
      // No kernel gives one unique to two requests: an interrupt could not say which one it means.
      this.fileSystem.kernel.scheduler.interrupt(thread);
    } else {
      this.#inFlight.set(thread.unique, thread);
    }
  }

  /** The thread's operation has ended. */
  #leave(thread: InFlight): void {
    if (!thread.hasSlept) return;
    if (thread.source !== null) this.writes.ended(thread);
    if (thread.file !== null) thread.file.sleepers--;
    if (this.#inFlight.get(thread.unique) === thread) this.#inFlight.delete(thread.unique);
  }

  /** FUSE_INTERRUPT: ends the sleep of the request `unique`; false when it is not known. */
  interrupt(unique: number): boolean {
    const thread = this.#inFlight.get(unique);
    if (thread === undefined) return false;
    this.fileSystem.kernel.scheduler.interrupt(thread);
    return true;
  }

  /** Ends every sleep that a signal could end: for the end of the mount. */
  interruptAll(): void {
    for (const thread of [...this.#inFlight.values()]) this.fileSystem.kernel.scheduler.interrupt(thread);
    this.settle();
  }

  /** How writes whose bytes were left with their writers get them. */
  readonly #redelivery: Redelivery = {
    ask: () => {
      this.device.finishAnswers();
      return this.device.send(this.#notice, this.#notice.notifyResend());
    },
    receive: () => this.device.receive(this.buffers.current),
    recognise: (length) => this.#recognise(length),
    payload: () => this.#request.payload(WriteIn.bytes, this.#request.u32(WriteIn.size)),
    unanswered: () => this.#inFlight.values(),
  };

  #recognise(length: number): InFlight | null | false {
    const request = this.#request;
    if (!request.parse(this.buffers.current, length)) return false;
    if (request.isResent) {
      const thread = this.#inFlight.get(request.unique);
      if (thread === undefined) return null;
      thread.isResent = true;
      return thread;
    }
    // Those that want no answer come before the queue of the others, and start no operation.
    if (opcodeTable[request.opcode]?.isAnswered !== false) return null;
    this.#dispatch(request);
    return false;
  }

  /** The open file that a request names; undefined also while its open still sleeps. */
  openFile(handle: number): OpenFile | undefined {
    const file = this.fileSystem.openFiles.get(handle);
    return file?.isOpen === true ? file : undefined;
  }

  /** struct fuse_open_out at `offset` of the payload: how the kernel is to treat this open file. */
  answerOpenWith(offset: number, file: OpenFile): void {
    file.isOpen = true;
    const { flags, backingId } = this.backings.open(file);
    this.reply.openOut(offset, file.handle, flags, backingId);
  }

  /** Tells the kernel, before the call that causes it is answered, that whoever polls `kh` should look again. */
  notifyPoll(kh: number): void {
    this.#notifications.add(kh);
  }

  /**
   * Sends what `notifyPoll` has collected. A caller whose write has returned must find it in its next epoll_wait, which asks
   * only about files that it was told of. The same holds for SIGIO.
   */
  #sendNotifications(): void {
    this.fileSystem.kernel.host.flushSigio?.();
    if (this.#notifications.size === 0) return;
    for (const kh of this.#notifications) this.device.send(this.#notice, this.#notice.notifyPoll(kh));
    this.#notifications.clear();
  }

  /** Sends an answer: a negative errno, or the length of the payload that lies in `reply`. */
  #answer(to: Answerable, result: number): boolean {
    this.#sendNotifications();
    const { reply } = this;
    const length = result < 0 ? reply.header(to, result, 0) : reply.header(to, 0, result);
    return this.device.send(reply, length);
  }

  readonly #onExit = (ownResult: number, ended: Thread): void => {
    const thread = ended as InFlight;
    // A later part of one read(2) that finds nothing ends that read with what it has (P33).
    const isRest = thread.isContinuation && thread.opcode === Opcode.READ;
    const result = isRest && ownResult === -EAGAIN ? 0 : ownResult;
    this.#leave(thread);
    try {
      this.#answerEnd(thread, result);
      this.reporter.ended(thread, result);
    } catch (error) {
      const errno = this.#errnoOf(opcodeTable[thread.opcode]?.name ?? 'close', error);
      this.#answer(thread, -errno);
      this.reporter.ended(thread, -errno);
    }
  };

  /** Answers a request whose operation has ended. */
  #answerEnd(thread: InFlight, result: number): void {
    const { reply, device } = this;
    switch (thread.opcode) {
      case Opcode.READ:
        if (result > 0) {
          this.#sendNotifications();
          reply.header(thread, 0, result);
          if (sendBytes(device, this.buffers, reply, thread.gather)) this.reporter.backgroundAnswers++;
        } else {
          this.#answer(thread, result);
        }
        return;
      case Opcode.WRITE:
        // The kernel turns an error of a later part into a short count, which is no reason for a signal (P60).
        if (result === -EPIPE && !thread.isContinuation) {
          this.fileSystem.kernel.host.postSigpipe(thread.pid);
        }
        if (result < 0) {
          this.#answer(thread, result);
        } else {
          reply.setU32(WriteOut.size, result);
          reply.setU32(WriteOut.padding, 0);
          this.#answer(thread, WriteOut.bytes);
        }
        return;
      case Opcode.OPEN:
        this.#answerOpen(thread, result);
        return;
      default:
        this.#answer(thread, result);
    }
  }

  #answerOpen(thread: InFlight, result: number): void {
    const file = thread.file!;
    if (result < 0) {
      this.fileSystem.openFiles.drop(file);
      this.#answer(thread, result);
      return;
    }
    this.answerOpenWith(0, file);
    if (this.#answer(thread, OpenOut.bytes)) return;
    log('open of handle %d was not wanted any more', file.handle);
    this.abandon(file);
  }

  /** Closes a file whose open the kernel has given up on: nobody will release it. */
  abandon(file: OpenFile): void {
    this.backings.drop(file);
    const closing = new InFlight();
    closing.operation = this.fileSystem.openFiles.close(file);
    this.fileSystem.kernel.scheduler.enqueue(closing);
  }
}
