import { assert } from '../../src/kern/assert.ts';
import { NOTIFY_STORE, Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { Attr, AttrOut, NotifyStoreOut } from '../../src/transports/raw/protocol/layouts.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';

const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
const ENOSYS = 38;
const EAGAIN = 11;
const S_IFMT = 0o170000;

/** Puts a message together where the session receives it. */
export class MessageWriter {
  #view: DataView = new DataView(new ArrayBuffer(0));
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  start(buffer: ReceiveBuffer): void {
    this.#bytes = buffer.bytes;
    this.#view = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset);
    this.#at = IN_HEADER_BYTES;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    this.u32(value % 2 ** 32);
    return this.u32(Math.floor(value / 2 ** 32));
  }

  /** A string with its NUL, one character a byte. */
  name(text: string): this {
    for (let index = 0; index < text.length; index++) this.#bytes[this.#at++] = text.charCodeAt(index);
    this.#bytes[this.#at++] = 0;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** Writes the header; the length of the message. */
  end(opcode: number, unique: number, nodeid: number, caller: Caller): number {
    const length = this.#at;
    this.#at = 0;
    this.u32(length).u32(opcode).u64(unique).u64(nodeid);
    this.u32(caller.uid).u32(caller.gid).u32(caller.pid).u32(0);
    return length;
  }
}

export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** The thread. */
  readonly pid: number;
}

/** A nodeid that this kernel holds. */
export interface KernelNode {
  readonly nodeid: number;
  /** S_IFREG and so on, as shown last. */
  type: number;
  lookups: number;
  /** What this kernel takes the size to be, which stat need not show. */
  sizeBytes: number;
  /** When that was said last. */
  attributeVersion: number;
  /** Open files and calls under way that use it; the fixed directories have one for ever. */
  pins: number;
}

/** An open file of this kernel. */
export interface KernelFile {
  readonly handle: number;
  readonly node: KernelNode;
  readonly kind: FileKind;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly isDirectory: boolean;
  /** Each close of a descriptor is told to the server. */
  readonly isFlushed: boolean;
  nonBlocking: boolean;
  /** Descriptors that refer to it, and calls in progress on it. The last one releases it. */
  references: number;
  calls: number;
  /** What a poll of it has found unready and waits to be told of; 0 for nothing. */
  polledEvents: number;
  polledBy: Caller | null;
  /** Where the next read of a file with a position begins. */
  position: number;
  /** The lock of flock that the file has for certain; null when it has none, or that is not certain. */
  flock: 'shared' | 'exclusive' | null;
}

export type FileKind =
  'pipe' | 'kqueue' | 'kqueue.bin' | 'segment' | 'control' | 'faults' | 'text' | 'directory';

/** A request that a program makes. */
export interface Call {
  readonly opcode: number;
  readonly nodeid: number;
  readonly body?: (writer: MessageWriter) => void;
  /** The file that it uses meanwhile. */
  readonly file?: KernelFile;
  /** For the trace. */
  readonly note?: string;
}

export interface Answer {
  /** 0 or a negative errno. */
  readonly error: number;
  /** Only until the program goes on. */
  readonly payload: Uint8Array;
  readonly view: DataView;
  /** The kernel has refused the answer: its caller has gone. What it says happened all the same. */
  readonly isRefused: boolean;
}

interface Pending {
  readonly unique: number;
  readonly call: Call;
  readonly answered: (answer: Answer) => void;
  isInterrupted: boolean;
  /** What was known when it was sent: an answer with attributes that are older than others is not stored. */
  readonly attributeVersion: number;
}

/** Below it, a write(2) may go past the size: it then excludes other writes, which wait where no signal ends them. */
const LONGEST_WRITE_BYTES = 2 ** 31;
const STREAM_KINDS: ReadonlySet<FileKind> = new Set(['pipe', 'kqueue', 'kqueue.bin', 'control', 'faults']);

function u64At(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

const kernelCaller: Caller = { uid: 0, gid: 0, pid: 0 };

/** The kernel's side of the connection: what it knows of nodes, files and requests, and the rules that it keeps. */
export class SimulatedKernel {
  readonly #writer = new MessageWriter();
  #buffer: ReceiveBuffer | null = null;
  #lastUnique = 0;
  #lastAttributeVersion = 0;
  readonly pending = new Map<number, Pending>();
  readonly nodes = new Map<number, KernelNode>();
  readonly files = new Map<number, KernelFile>();
  /** Handles whose RELEASE has been sent. */
  readonly #released = new Set<number>();
  /** Messages that nobody waits for: RELEASE, INTERRUPT, FORGET. */
  readonly queue: (() => number)[] = [];
  /** The next answers are refused, as if their callers had gone. */
  refusals = 0;
  /** The connection has ended: nothing is taken any more. */
  isGone = false;
  /** Requests by opcode, answers by error, and whatever else a test wants to have seen. */
  readonly tally: Map<string, number>;
  trace: ((line: string) => void) | null = null;

  constructor(tally: Map<string, number>) {
    this.tally = tally;
  }

  count(event: string): void {
    this.tally.set(event, (this.tally.get(event) ?? 0) + 1);
  }

  use(buffer: ReceiveBuffer): void {
    this.#buffer = buffer;
  }

  nextUnique(): number {
    // The lowest bit marks interrupts.
    return (this.#lastUnique += 2);
  }

  /** Sends a request; its length. */
  issue(call: Call, caller: Caller, answered: (answer: Answer) => void, unique = this.nextUnique()): number {
    const writer = this.#writer;
    writer.start(this.#buffer!);
    call.body?.(writer);
    this.count(`opcode ${call.opcode}`);
    const { file } = call;
    if (file !== undefined) file.calls++;
    if (file !== undefined && call.opcode === Opcode.WRITE && STREAM_KINDS.has(file.kind))
      assert(file.node.sizeBytes > LONGEST_WRITE_BYTES, 'writes to a stream do not exclude each other');
    const attributeVersion = this.#lastAttributeVersion;
    this.pending.set(unique, { unique, call, answered, isInterrupted: false, attributeVersion });
    this.trace?.(
      `#${unique} thread ${caller.pid}: ${opcodeName(call.opcode)} node ${call.nodeid} file ${call.file?.handle ?? '-'} ${call.note ?? ''}`,
    );
    return writer.end(call.opcode, unique, call.nodeid, caller);
  }

  /** Sends what has no answer; its length. */
  tell(opcode: number, nodeid: number, unique: number, body: (writer: MessageWriter) => void): number {
    this.#writer.start(this.#buffer!);
    body(this.#writer);
    this.count(`opcode ${opcode}`);
    this.trace?.(`${opcodeName(opcode)} node ${nodeid} unique ${unique}`);
    return this.#writer.end(opcode, unique, nodeid, kernelCaller);
  }

  /** The process whose request this is has a signal. */
  interrupt(unique: number): number {
    const pending = this.pending.get(unique);
    if (pending !== undefined) pending.isInterrupted = true;
    return this.tell(Opcode.INTERRUPT, 0, unique + 1, (writer) => writer.u64(unique));
  }

  /** Takes an answer or a notification, as write(2) on the device does; false for ENOENT. */
  take(message: Uint8Array): boolean {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    assert(view.getUint32(0, true) === message.length, 'a message says how long it is');
    const error = view.getInt32(4, true);
    const unique = view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32;
    const payload = message.subarray(OUT_HEADER_BYTES);
    if (unique === 0) return this.#notified(error, payload);
    assert(error <= 0 && error > -4096, 'an answer has an errno or none');
    assert(error === 0 || payload.length === 0, 'an error has nothing else to say');
    if (unique % 2 === 1) return this.#interruptAnswered(unique - 1, error);
    const pending = this.pending.get(unique);
    assert(pending !== undefined, 'a request is answered once');
    this.pending.delete(unique);
    const { call } = pending;
    this.count(`${opcodeName(call.opcode)} ${error}`);
    this.trace?.(`#${unique} answered ${error}, ${payload.length} bytes`);
    const isRefused = this.isGone || (this.refusals > 0 && call.opcode !== Opcode.INIT);
    if (isRefused && !this.isGone) {
      this.refusals--;
      this.count('answer refused');
    }
    if (call.file !== undefined) this.#left(call.file);
    if (error === 0 && !isRefused) this.#storeAttributes(pending, view);
    pending.answered({
      error,
      payload,
      view: new DataView(message.buffer, payload.byteOffset, payload.length),
      isRefused,
    });
    return !isRefused;
  }

  /** Takes the size from an answer to GETATTR or SETATTR. */
  #storeAttributes({ call: { opcode, nodeid }, attributeVersion }: Pending, view: DataView): void {
    if (opcode !== Opcode.GETATTR && opcode !== Opcode.SETATTR) return;
    const node = this.nodes.get(nodeid);
    if (node === undefined) return;
    if (opcode === Opcode.GETATTR && node.attributeVersion > attributeVersion) {
      this.count('attributes not stored');
      return;
    }
    node.sizeBytes = u64At(view, OUT_HEADER_BYTES + AttrOut.attr + Attr.size);
    if (opcode === Opcode.SETATTR) node.attributeVersion = ++this.#lastAttributeVersion;
  }

  /** FUSE_NOTIFY_STORE. */
  #stored(payload: Uint8Array): boolean {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const length = view.getUint32(NotifyStoreOut.size, true);
    assert(payload.length === NotifyStoreOut.bytes + length, 'a notification has the bytes that it names');
    this.count('store');
    const node = this.nodes.get(u64At(view, NotifyStoreOut.nodeid));
    if (node === undefined || this.isGone) return false;
    const end = u64At(view, NotifyStoreOut.offset) + length;
    if (end <= node.sizeBytes) return true;
    node.attributeVersion = ++this.#lastAttributeVersion;
    if (length === 0) return true;
    // Whoever reads such a page holds it until the server has answered, which waits for the page here.
    for (const file of this.files.values()) assert(file.node !== node, 'no page of an open file is stored');
    node.sizeBytes = end;
    return true;
  }

  #notified(code: number, payload: Uint8Array): boolean {
    if (code === NOTIFY_STORE) return this.#stored(payload);
    assert(code === 1 && payload.length === 8, 'there are two kinds of notifications');
    const handle = payload[0]! + payload[1]! * 256 + payload[2]! * 65536 + payload[3]! * 2 ** 24;
    this.count('notification');
    const file = this.files.get(handle);
    if (this.isGone) return false;
    assert(!this.#released.has(handle), 'a released file is not notified');
    if (file !== undefined) file.polledEvents = 0;
    return file !== undefined;
  }

  #interruptAnswered(unique: number, error: number): boolean {
    assert(error === -EAGAIN, 'an interrupt is answered only when it is to come again');
    assert(error !== -ENOSYS, 'interrupts stay switched on');
    this.count('interrupt again');
    return this.pending.has(unique);
  }

  /** An answer has shown a nodeid: one lookup more. It stays pinned until `unpin`. */
  learn(nodeid: number, mode: number, sizeBytes: number): KernelNode {
    let node = this.nodes.get(nodeid);
    const type = mode & S_IFMT;
    if (node === undefined)
      this.nodes.set(nodeid, (node = { nodeid, type, lookups: 0, sizeBytes, attributeVersion: 0, pins: 0 }));
    assert(node.type === type, 'a nodeid keeps its type');
    node.lookups++;
    node.pins++;
    return node;
  }

  unpin(node: KernelNode): void {
    node.pins--;
    assert(node.pins >= 0, 'the simulation unpins what it has pinned');
  }

  opened(file: KernelFile): KernelFile {
    assert(!this.files.has(file.handle), 'a handle is given once');
    this.files.set(file.handle, file);
    file.node.pins++;
    return file;
  }

  /** A process closes a descriptor of the file. The server hears of it before the close returns where its locks may end by it. */
  close(file: KernelFile, pid: number): void {
    if (file.isFlushed) {
      this.queue.push(() =>
        this.issue(
          {
            opcode: Opcode.FLUSH,
            nodeid: file.node.nodeid,
            file,
            body: (writer) => writer.u64(file.handle).u64(0).u64(pid),
          },
          { ...kernelCaller, pid },
          ({ error }) => {
            assert(error === 0, 'a flush succeeds');
          },
        ),
      );
    }
    file.references--;
    this.#releaseUnused(file);
  }

  #left(file: KernelFile): void {
    file.calls--;
    this.#releaseUnused(file);
  }

  /** The last reference has gone: the kernel says so some time later. */
  #releaseUnused(file: KernelFile): void {
    if (file.references > 0 || file.calls > 0 || !this.files.delete(file.handle)) return;
    file.polledEvents = 0;
    file.flock = null;
    const opcode = file.isDirectory ? Opcode.RELEASEDIR : Opcode.RELEASE;
    this.queue.push(() => {
      this.#released.add(file.handle);
      return this.issue(
        { opcode, nodeid: file.node.nodeid, body: (writer) => writer.u64(file.handle).u64(0).u64(0) },
        kernelCaller,
        ({ error }) => {
          assert(error === 0, 'a release succeeds');
          this.unpin(file.node);
        },
      );
    });
  }

  /** Forgets nodes that nothing uses: one by itself, several together. 0 when there is none. */
  forget(nodes: readonly KernelNode[]): number {
    const unused = nodes.filter(({ pins }) => pins === 0);
    for (const { nodeid } of unused) this.nodes.delete(nodeid);
    if (unused.length === 0) return 0;
    if (unused.length === 1) {
      const [node] = unused as [KernelNode];
      return this.tell(Opcode.FORGET, node.nodeid, this.nextUnique(), (writer) => writer.u64(node.lookups));
    }
    return this.tell(Opcode.BATCH_FORGET, 0, this.nextUnique(), (writer) => {
      writer.u32(unused.length).u32(0);
      for (const { nodeid, lookups } of unused) writer.u64(nodeid).u64(lookups);
    });
  }
}

const opcodeNames = new Map<number, string>(Object.entries(Opcode).map(([name, opcode]) => [opcode, name]));

export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `opcode ${opcode}`;
}
