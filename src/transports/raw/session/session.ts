import createDebug from 'debug';
import type { Owner } from '../../../host/linux/processes/user-namespace.ts';
import { EINVAL, EIO, ENOMEM, ENOSYS } from '../../../kern/errno.ts';
import { isOutOfMemory } from '../../../kern/memory.ts';
import type { Thread } from '../../../kern/scheduler.ts';
import type { FileSystem } from '../../../tree/file-system.ts';
import type { BlockedCall, TransportCounter } from '../../../vfs/transport.ts';
import { sleepingCalls } from '../../common/call.ts';
import { BufferPool } from '../device/buffer-pool.ts';
import type { Device } from '../device/device.ts';
import type { Placement } from '../device/placement.ts';
import { services } from '../handlers/table.ts';
import { Opcode } from '../protocol/constants.ts';
import { WriteIn } from '../protocol/layouts.ts';
import { opcodes } from '../protocol/opcodes.ts';
import { Reply } from '../protocol/reply.ts';
import { Request } from '../protocol/request.ts';
import { BackingTable } from '../segments/backings.ts';
import { Answers, refuse, resultOf } from './answers.ts';
import { CallTrace } from './call-trace.ts';
import { AnswerState, InFlight, type RequestServer } from './in-flight.ts';
import { MissedSignals } from './missed-signals.ts';
import { NodeTable } from './node-table.ts';
import { OpenHandles } from './open-handles.ts';
import { Openings } from './openings.ts';
import { PollNotices } from './poll-notices.ts';
import { Reporter } from './reporter.ts';
import { RequestTable } from './request-table.ts';
import type { Agreement, ServerParts } from './server-parts.ts';
import { factsOf } from './session-facts.ts';
import { type Redelivery, SleepingWrites } from './sleeping-writes.ts';
import { StreamSizes } from './stream-sizes.ts';
import { TextSizes } from './text-sizes.ts';

const log = createDebug('ipcfs:session');

const REPLY_CAPACITY_BYTES = 128 * 1024;

/**
 * One FUSE connection: takes requests as bytes, has handlers serve them, and sees to it that each is answered. It knows nothing of
 * mounting, so memory can drive it as well as the kernel.
 */
export class Session implements RequestServer {
  readonly fileSystem: FileSystem;
  readonly nodes: NodeTable;
  readonly handles = new OpenHandles();
  readonly requests: RequestTable;
  readonly buffers: BufferPool;
  readonly writes: SleepingWrites;
  readonly reporter: Reporter;
  readonly callTrace: CallTrace;
  /** How segments are mapped. */
  readonly backings: BackingTable;
  readonly agreement: Agreement = { minor: null, refusedMinor: null };
  readonly #device: Device;
  readonly #placement: Placement | null;
  readonly #answers: Answers;
  readonly #notices: PollNotices;
  readonly #missedSignals: MissedSignals;
  /** What handlers are given. */
  readonly #parts: ServerParts;
  readonly #request: Request;
  #isDelivering = false;
  /** Before that no delivery of writes begins. */
  #nextDeliveryMs = 0;

  /** `placement`: where the serving thread runs; null when nobody decides that. `root`: who is shown as the owner of root's files. */
  constructor(
    fileSystem: FileSystem,
    device: Device,
    placement: Placement | null = null,
    root: Owner = { uid: 0, gid: 0 },
  ) {
    const { kernel } = fileSystem;
    this.fileSystem = fileSystem;
    this.#device = device;
    this.#placement = placement;
    this.buffers = new BufferPool(kernel.host);
    this.nodes = new NodeTable(fileSystem.root);
    this.backings = new BackingTable(device);
    this.writes = new SleepingWrites(kernel, fileSystem.writeMemory, this.buffers);
    this.reporter = new Reporter(fileSystem);
    this.requests = new RequestTable(kernel.scheduler, this.handles, this.writes, this);
    this.#notices = new PollNotices(device);
    this.#missedSignals = new MissedSignals(kernel);
    this.#request = new Request(this.buffers.current);
    const reply = new Reply(REPLY_CAPACITY_BYTES, root);
    const shared = {
      fileSystem,
      reply,
      requests: this.requests,
      notices: this.#notices,
      sizes: new StreamSizes(device, this.nodes, fileSystem.openFiles, this.handles),
      textSizes: new TextSizes(device, this.nodes, fileSystem.openFiles, this.handles),
      openings: new Openings(fileSystem, this.handles, this.backings, reply),
    };
    this.#answers = new Answers({ ...shared, device, buffers: this.buffers, reporter: this.reporter });
    this.#parts = {
      ...shared,
      agreement: this.agreement,
      device,
      nodes: this.nodes,
      handles: this.handles,
      backings: this.backings,
      writes: this.writes,
      writers: placement ?? { wrote: () => undefined },
      background: (work) => {
        this.#answers.background(work);
      },
    };
    this.callTrace = new CallTrace(this.#parts, this.#request);
    device.onSent = (buffer) => {
      this.buffers.sent(buffer);
    };
    kernel.scheduler.onFailure = this.#onFailure;
  }

  /** Rows of info/transport. */
  facts(): (readonly [name: string, value: string | number])[] {
    return factsOf(this, this.#device);
  }

  /** What info/metrics shows of the session. */
  counters(): readonly TransportCounter[] {
    return this.reporter.counters(this.#placement);
  }

  /** Requests whose operations sleep. */
  blockedCalls(): Iterable<BlockedCall> {
    return sleepingCalls(this.requests.all(), ({ opcode }) => opcodes[opcode]!.name);
  }

  /** Serves one request that lies in `buffers.current` since `receivedMs`, and all that it wakes. */
  serve(length: number, receivedMs = this.fileSystem.kernel.host.clock.monotonicMs()): void {
    const request = this.#request;
    if (!request.parse(this.buffers.current, length)) {
      log('dropped %d bytes that are no request', length);
      return;
    }
    this.backings.settle();
    this.#dispatch(request, receivedMs);
    this.settle();
  }

  #dispatch(request: Request, receivedMs: number): void {
    const { opcode } = request;
    if (opcode !== Opcode.LOOKUP) this.nodes.movesOn(request.pid);
    const call = this.requests.begin(request, receivedMs);
    const info = opcodes[opcode];
    if (info === undefined) {
      call.answer(-ENOSYS);
    } else if ((this.agreement.minor === null) !== (opcode === Opcode.INIT)) {
      log('%s %s the agreement', info.name, this.agreement.minor === null ? 'before' : 'after');
      refuse(call, -EIO);
    } else if (request.bodyBytes < info.minimumBytes) {
      log('%s of %d bytes is too short', info.name, request.bodyBytes);
      refuse(call, -EINVAL);
    } else {
      if (log.enabled) log('%s node %d', info.name, request.nodeid);
      try {
        services[opcode]!.handle(this.#parts, request, call);
      } catch (error) {
        // A handler that throws has a bug: its caller gets EIO, and everybody else goes on.
        const result = this.#errnoOf(info.name, error);
        // Whatever state the request was left in, the next one must not find it.
        this.requests.keep(call);
        if (call.answerState === AnswerState.Open) refuse(call, result);
      }
    }
  }

  /** For InFlight: the answer of a handler. */
  answer(call: InFlight, result: number): void {
    if (this.callTrace.isActive) this.callTrace.answered(call, result);
    if (this.#notices.areMany) {
      this.#answers.afterNotices(call, Math.max(0, result), () => {
        this.#send(call, result);
      });
    } else {
      this.#send(call, result);
    }
    this.reporter.answered(call, result);
  }

  #send(call: InFlight, result: number): void {
    if (this.#answers.send(call, result) || result <= 0) return;
    log('the result of %s was not wanted any more', opcodes[call.opcode]!.name);
    services[call.opcode]!.takeBack?.(this.#parts);
  }

  /** For InFlight: runs its operation until it ends, which answers the request, or sleeps. */
  start(call: InFlight): void {
    call.onExit = this.#onExit;
    if (this.fileSystem.kernel.scheduler.start(call)) this.requests.reuse(call);
    else {
      this.requests.slept(call);
      if (call.isFromRing) this.#missedSignals.slept(call);
    }
  }

  /** For InFlight: a request that wants no answer has been served. */
  end(call: InFlight): void {
    this.reporter.answered(call, 0);
  }

  readonly #onExit = (ownResult: number, ended: Thread): void => {
    const call = ended as InFlight;
    const result = resultOf(call, ownResult);
    call.give(AnswerState.Started);
    // Before the answer, while the caller is there for certain and nothing else has happened.
    if (this.callTrace.isActive) this.callTrace.ended(call, result);
    this.requests.woke(call);
    if (!this.#notices.areMany) {
      this.#endWith(call, result);
      return;
    }
    // The buffers of a write are not its own any more, and what a read has gathered lies where others may write meanwhile.
    call.source = null;
    if (call.opcode === Opcode.READ && result > 0) call.gather.join();
    this.#answers.afterNotices(call, Math.max(0, result), () => {
      this.#endWith(call, result);
    });
  };

  #endWith(call: InFlight, result: number): void {
    try {
      this.#answers.end(call, result);
      this.reporter.ended(call, result);
    } catch (error) {
      this.#endFailed(call, error);
    }
  }

  #endFailed(call: InFlight, error: unknown): void {
    const result = this.#errnoOf(opcodes[call.opcode]!.name, error);
    this.#answers.send(call, result);
    this.reporter.ended(call, result);
  }

  /** An operation has thrown: of a request, or one that belongs to none. */
  readonly #onFailure = (ended: Thread, error: unknown): void => {
    if (!(ended instanceof InFlight)) {
      this.#errnoOf('close', error);
      return;
    }
    ended.give(AnswerState.Started);
    if (this.callTrace.isActive) this.callTrace.ended(ended, -EIO);
    this.requests.woke(ended);
    this.requests.keep(ended);
    if (ended.opcode === Opcode.OPEN) this.fileSystem.openFiles.drop(ended.file!);
    this.#endFailed(ended, error);
  };

  /** What a call fails with that has thrown: -ENOMEM for want of memory; anything else is a bug of ours, and -EIO. */
  #errnoOf(call: string, error: unknown): number {
    if (isOutOfMemory(error)) return -ENOMEM;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.fileSystem.kernel.host.log(`internal error in ${call}, please report it: ${text}`);
    return -EIO;
  }

  /** Runs what has been woken, for a slice at most, and sends the notifications that came of it. */
  settle(): void {
    this.fileSystem.kernel.scheduler.runSlice();
    this.#afterSlice();
  }

  /** Whether something is left that `settle` has not come to. */
  get hasBacklog(): boolean {
    return this.fileSystem.kernel.scheduler.backlogCount > 0 || this.writes.isWanted;
  }

  /** As `settle`, for what was left. */
  settleBacklog(): void {
    this.fileSystem.kernel.scheduler.runSlice();
    this.fileSystem.kernel.scheduler.runBacklog();
    this.#afterSlice();
  }

  #afterSlice(): void {
    this.#answers.thinNotices();
    this.#answers.sendNotices();
    const { clock } = this.fileSystem.kernel.host;
    // A request that is served here settles too: the outer turn goes on then.
    while (this.writes.isWanted && !this.#isDelivering) {
      const startMs = clock.monotonicMs();
      if (startMs < this.#nextDeliveryMs) return;
      this.#isDelivering = true;
      const next = this.writes.deliver(this.#redelivery);
      this.fileSystem.kernel.scheduler.runSlice();
      this.#answers.sendNotices();
      if (next > 0) this.serve(next);
      this.#isDelivering = false;
      // Nothing else is served in a delivery, and it can be long: requests have as much time before the next.
      const endMs = clock.monotonicMs();
      this.#nextDeliveryMs = endMs + (endMs - startMs);
    }
  }

  /** When no request waits: ends what is known to have ended. True when requests are to be looked for again before sleeping. */
  settleWhenIdle(): boolean {
    const { lastMappings } = this.backings;
    if (lastMappings?.isUnsettled !== true) return false;
    const isMoreTold = lastMappings.lookWhenIdle();
    this.settle();
    return isMoreTold;
  }

  /** Ends every sleep that a signal could end: for the end of the mount. */
  interruptAll(): void {
    this.requests.interruptAll();
    this.fileSystem.kernel.scheduler.run();
    this.settle();
  }

  /** How writes whose bytes were left with their writers get them. */
  readonly #redelivery: Redelivery = {
    ask: () => {
      this.#device.finishAnswers();
      return this.#notices.askForResend();
    },
    receive: () => this.#device.receive(this.buffers.current),
    recognise: (length) => this.#recognise(length),
    payload: () => this.#request.payload(WriteIn.bytes, this.#request.u32(WriteIn.size)),
    unanswered: () => this.requests.all(),
  };

  #recognise(length: number): InFlight | null | false {
    const request = this.#request;
    if (!request.parse(this.buffers.current, length)) return false;
    if (request.isResent) {
      const call = this.requests.get(request.unique);
      if (call === undefined) return null;
      call.isResent = true;
      return call;
    }
    // Those that want no answer come before the queue of the others, and start no operation.
    if (opcodes[request.opcode]?.isAnswered !== false) return null;
    this.#dispatch(request, this.fileSystem.kernel.host.clock.monotonicMs());
    return false;
  }

  /** Repeats the invariants between two requests; called after every step in tests. */
  checkInvariants(): void {
    this.requests.checkInvariants();
    this.nodes.checkInvariants();
    this.buffers.checkInvariants();
    this.backings.checkInvariants(this.handles.files());
  }
}
