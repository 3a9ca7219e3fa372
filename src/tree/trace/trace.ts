import type { Kernel } from '../../kern/kernel.ts';
import { formatIdent } from '../../kqueue/text.ts';
import { filterName, formatFflags, formatFlags } from '../../kqueue/words.ts';
import { filterOf } from '../../kqueue/filters/list.ts';
import type { Kevent } from '../../kqueue/kevent.ts';
import type { KqueueSubsystem } from '../../kqueue/subsystem.ts';
import type { PipeEnd } from '../../pipe/end.ts';
import type { Callout } from '../../kern/callout.ts';
import { ENOMEM } from '../../kern/errno.ts';
import { PollQueue } from '../../kern/poll.ts';
import type { Thread } from '../../kern/scheduler.ts';
import { Directory } from '../../vfs/directory.ts';
import type { Name, Node } from '../../vfs/node.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import type { TracedCall, TraceSink } from '../../vfs/traced-call.ts';
import type { Transport } from '../../vfs/transport.ts';
import { PairEndNode } from '../pairs.ts';
import { PipeNode } from '../pipes.ts';
import { Callers } from './callers.ts';
import { emptyRecord, RecordRing, TraceType } from './record-ring.ts';
import { BATCH_BYTES, type TraceForm, TraceReader } from './trace-reader.ts';

const MEBIBYTE = 1024 ** 2;
const DEFAULT_BYTES = 8 * MEBIBYTE;
const LEAST_BYTES = 65_536;
const MOST_BYTES = 256 * MEBIBYTE;
const US_PER_MS = 1000;

/** A reader gets the lines of so much time at once: a wake-up for each line would double the work of each call. */
const PACE_MS = 10;
/** Of the server's time, the part that may go into the text of all readers; who reads more slowly loses lines. */
const TEXT_SHARE = 1 / 50;

/** What a batch may count for: a pause of the machine is not the reader's. */
const LONGEST_BATCH_MS = 2;

/** Calls after which names lead elsewhere. */
const RENAMING = new Set(['rename', 'unlink', 'rmdir', 'link']);

/**
 * What happens in a mount, for those who read info/trace. While nobody does, transports look at `isActive` and that is all. Records go into
 * one ring for all readers, and become text when they are read.
 */
export class Trace implements TraceSink {
  isActive = false;
  readonly #kernel: Kernel;
  readonly #kqueues: KqueueSubsystem;
  readonly #transport: Transport;
  readonly #root: Node;
  /** Those that read the trace: what is done with them is left out. */
  readonly #ownNodes = new Set<Node>();
  readonly #readers = new Set<TraceReader>();
  /** Readers that wait for lines sleep here. */
  readonly channel;
  readonly pollQueue = new PollQueue();
  /** What the memory of a trace is. A change counts when the next one begins. */
  #sizeBytes = DEFAULT_BYTES;
  #ring: RecordRing | null = null;
  #callers: Callers | null = null;
  #beganMs = 0;
  /** From the monotonic clock to calendar time. */
  #epochMs = 0;
  readonly #record = emptyRecord();
  /** Paths as they were in the last call; see RENAMING. */
  #paths = new WeakMap<Node, string>();
  /** Where the first byte lies that a sleeping write has moved. */
  #offsets = new WeakMap<Thread, number>();
  #wakeup: Callout | null = null;
  #nextTextMs = 0;

  constructor(kernel: Kernel, kqueues: KqueueSubsystem, transport: Transport, root: Node) {
    this.#kernel = kernel;
    this.#kqueues = kqueues;
    this.#transport = transport;
    this.#root = root;
    this.channel = kernel.channel(this);
    kernel.sysctls.register({
      name: 'ipcfs.trace_bytes',
      description:
        'bytes that the lines of info/trace may take until they are read, half of them for contents; counts once nobody traces',
      type: 'bytes',
      get: () => this.#sizeBytes,
      set: (value) => {
        this.#sizeBytes = value;
        return 0;
      },
      minimum: LEAST_BYTES,
      maximum: MOST_BYTES,
    });
  }

  /** Leaves out what is done with a node. */
  leaveOut(node: Node): void {
    this.#ownNodes.add(node);
  }

  /** Begins to read, with what happens from now on; -ENOMEM when the opener may not hold so much. */
  subscribe(file: OpenFile, form: TraceForm): TraceReader | number {
    const ring = this.#ring;
    const sizeBytes = this.#sizeBytes;
    if (!file.hold(sizeBytes + 2 * BATCH_BYTES)) return -ENOMEM;
    if (ring === null) this.#begin(sizeBytes);
    const reader = new TraceReader(file, form, this.#ring!);
    this.#readers.add(reader);
    return reader;
  }

  unsubscribe(reader: TraceReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size === 0) this.#end();
  }

  #begin(sizeBytes: number): void {
    const { clock } = this.#kernel.host;
    this.#ring = new RecordRing(sizeBytes);
    this.#callers = new Callers(this.#kernel.host);
    this.#beganMs = clock.monotonicMs();
    const { seconds, nanoseconds } = clock.realtime();
    this.#epochMs = seconds * 1000 + nanoseconds / 1e6 - this.#beganMs;
    this.isActive = true;
    this.#kernel.scheduler.onSleep = (thread) => {
      this.#slept(thread);
    };
    this.#kqueues.onDelivered = (event) => {
      this.#delivered(event);
    };
  }

  #end(): void {
    this.isActive = false;
    this.#kernel.scheduler.onSleep = null;
    this.#kqueues.onDelivered = null;
    this.#ring = null;
    this.#callers = null;
    this.#paths = new WeakMap();
    this.#offsets = new WeakMap();
    if (this.#wakeup !== null) this.#kernel.callouts.cancel(this.#wakeup);
    this.#wakeup = null;
  }

  /** How long a reader has to wait for its next batch, in milliseconds; 0 or less when it need not. */
  delayOf(reader: TraceReader): number {
    const nowMs = this.#kernel.host.clock.monotonicMs();
    const paceMs = reader.hasBatch ? 0 : reader.nextBatchMs;
    return Math.max(paceMs, this.#nextTextMs) - nowMs;
  }

  /** Makes text for a reader. */
  makeBatch(reader: TraceReader): void {
    const { clock } = this.#kernel.host;
    const startMs = clock.monotonicMs();
    reader.makeBatch(this.#timeUs(startMs));
    const endMs = clock.monotonicMs();
    reader.nextBatchMs = endMs + PACE_MS;
    this.#nextTextMs = endMs + Math.min(endMs - startMs, LONGEST_BATCH_MS) * (1 / TEXT_SHARE - 1);
  }

  ended(call: TracedCall, result: number): void {
    if (call.node !== null && this.#ownNodes.has(call.node)) return;
    const { clock } = this.#kernel.host;
    const nowMs = clock.monotonicMs();
    const record = this.#record;
    const moved = result > 0 && (call.call === 'read' || call.call === 'write') ? result : 0;
    record.type = TraceType.End;
    this.#describe(call, nowMs);
    record.blockedUs = Math.round(Math.max(0, call.thread?.sleptMs ?? 0) * US_PER_MS);
    record.result = result;
    record.detail = call.newPath ?? '';
    const stream = streamOf(call);
    record.fill = stream?.queuedBytes ?? -1;
    record.offset = stream !== null && moved > 0 ? this.#offsetOf(call, stream, moved) : -1;
    record.content = moved > 0 && call.bytes !== null ? this.#contentOf(call, moved) : null;
    record.ownerUid = call.node?.uid ?? 0;
    this.#add();
    if (RENAMING.has(call.call)) this.#paths = new WeakMap();
  }

  /** The first sleep of a call is a line; later ones only tell where the bytes of a write lie. */
  #slept(thread: Thread): void {
    const call = this.#transport.tracedCall(thread);
    if (call === null || (call.node !== null && this.#ownNodes.has(call.node))) return;
    if (call.source !== null && !this.#offsets.has(thread)) {
      const moved = call.source.length - call.source.residual;
      const stream = streamOf(call);
      // What it has moved before the trace began may lie anywhere.
      if (stream !== null && stream.discipline === null && moved > 0 && call.beganMs >= this.#beganMs)
        this.#offsets.set(thread, endOf(stream) - moved);
    }
    if (thread.sleptMs >= 0) return;
    const record = this.#record;
    record.type = TraceType.Wait;
    this.#describe(call, thread.sleepingSinceMs);
    record.blockedUs = 0;
    record.result = 0;
    record.detail = thread.options!.message;
    record.fill = streamOf(call)?.queuedBytes ?? -1;
    record.offset = this.#offsets.get(thread) ?? -1;
    record.content = null;
    this.#add();
  }

  /** An event that the call under way collects. Tokens, and what USER knotes carry, are left out (U7). */
  #delivered(event: Kevent): void {
    const { current } = this.#kernel.scheduler;
    const call = current === null ? null : this.#transport.tracedCall(current);
    if (call === null) return;
    const filter = filterOf(event.filter);
    let detail = `${filterName(event.filter)} ${formatIdent(event)}`;
    if (filter?.hasPrivateValues !== true)
      detail += ` data=${filter?.formatData?.(event) ?? String(event.data)}`;
    detail += ` flags=${formatFlags(event.flags)}`;
    if (filter?.hasPrivateValues !== true) detail += ` fflags=${formatFflags(event.filter, event.fflags)}`;
    const nowMs = this.#kernel.host.clock.monotonicMs();
    const record = this.#record;
    record.type = TraceType.Event;
    this.#describe(call, nowMs);
    record.timeUs = this.#timeUs(nowMs);
    record.call = 'event';
    record.argument = -1;
    record.blockedUs = 0;
    record.result = 0;
    record.detail = detail;
    record.fill = -1;
    record.offset = -1;
    record.content = null;
    this.#add();
  }

  /** A fault on demand hits a call that begins: a line before the call's own. `detail` names the fault. */
  faultHit(node: Node, pid: number, detail: string): void {
    if (!this.isActive) return;
    const nowMs = this.#kernel.host.clock.monotonicMs();
    const record = this.#record;
    Object.assign(record, emptyRecord());
    record.type = TraceType.Event;
    record.timeUs = this.#timeUs(nowMs);
    record.pid = pid;
    record.caller = this.#callers!.of(pid, nowMs);
    record.call = 'fault';
    record.object = this.#pathOf(node);
    record.inode = node.inode;
    record.detail = detail;
    this.#add();
  }

  #describe(call: TracedCall, nowMs: number): void {
    const record = this.#record;
    const { node, name } = call;
    record.timeUs = this.#timeUs(call.beganMs);
    record.durationUs = Math.max(0, Math.round((nowMs - call.beganMs) * US_PER_MS));
    record.pid = call.pid;
    record.caller = this.#callers!.of(call.pid, nowMs);
    record.call = call.call;
    record.object =
      node === null ? (name ?? '-') : name === null ? this.#pathOf(node) : this.pathIn(node, name);
    record.inode = (call.file?.node ?? (name === null ? node : childOf(node, name)))?.inode ?? -1;
    record.handle = call.handle;
    record.argument = call.argument;
  }

  /** The path of a name in a directory, from the mount's root. */
  pathIn(directory: Node, name: Name): string {
    return directory === this.#root ? name : `${this.#pathOf(directory)}/${name}`;
  }

  #pathOf(node: Node): string {
    if (node === this.#root) return '.';
    let path = this.#paths.get(node);
    if (path === undefined) this.#paths.set(node, (path = node.path));
    return path;
  }

  #timeUs(monotonicMs: number): number {
    return Math.round((monotonicMs + this.#epochMs) * US_PER_MS);
  }

  /** Where in its pipe's stream the first byte of a call lies; -1 when that is not known. */
  #offsetOf(call: TracedCall, stream: PipeEnd, moved: number): number {
    const { discipline, traffic } = stream;
    const isRead = call.call === 'read';
    if (discipline !== null) return isRead ? discipline.readOffset : discipline.writeOffset;
    if (isRead) return traffic.bytesOut + traffic.skewBytes - moved;
    const { thread } = call;
    const known = thread === null ? undefined : this.#offsets.get(thread);
    if (known !== undefined) return known;
    // All that it has moved was moved just now, unless it slept before anybody looked.
    const isCertain = thread === null || thread.sleptMs < 0 || call.beganMs >= this.#beganMs;
    return isCertain ? endOf(stream) - moved : -1;
  }

  #contentOf(call: TracedCall, moved: number): Uint8Array | null {
    let wanted = 0;
    const ownerUid = call.node!.uid;
    for (const reader of this.#readers) {
      if (reader.contentBytes > wanted && reader.mayRead(ownerUid)) wanted = reader.contentBytes;
    }
    const length = Math.min(wanted, moved);
    return length === 0 || !this.#kernel.host.hasMemory(length) ? null : call.bytes!.prefix(length);
  }

  #add(): void {
    this.#ring!.add(this.#record);
    if (this.#wakeup !== null || (this.channel.firstSleeper === null && this.pollQueue.size === 0)) return;
    this.#wakeup = this.#kernel.callouts.schedule(PACE_MS, () => {
      this.#wakeup = null;
      this.channel.wakeup();
      this.pollQueue.wakeup();
    });
  }
}

function childOf(directory: Node | null, name: Name): Node | null {
  return directory instanceof Directory ? (directory.entries.get(name) ?? null) : null;
}

/** The end whose queue a read or write moves bytes through; null for what is no pipe. */
function streamOf({ node, call }: TracedCall): PipeEnd | null {
  if (call !== 'read' && call !== 'write') return null;
  if (node instanceof PipeNode) return node.fifo.end;
  if (node instanceof PairEndNode) return call === 'read' ? node.end : node.end.peer;
  return null;
}

/** Where the next byte will lie: behind those that were read and those that are queued. */
function endOf({ traffic, queuedBytes }: PipeEnd): number {
  return traffic.bytesOut + traffic.skewBytes + queuedBytes;
}
