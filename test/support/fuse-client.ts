import { assert } from '../../src/kern/assert.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { GatherUio } from '../../src/transports/raw/device/gather-uio.ts';
import { EAGAIN } from '../../src/kern/errno.ts';
import {
  INIT2_OVER_IO_URING,
  Opcode,
  OUT_HEADER_BYTES,
} from '../../src/transports/raw/protocol/constants.ts';
import type { Reply } from '../../src/transports/raw/protocol/reply.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { rawTransport } from '../../src/transports/raw/raw-transport.ts';
import { type EntryPoolOptions } from '../../src/transports/raw/ring-device/entry-pool.ts';
import { RingDevice, type WatchedDevice } from '../../src/transports/raw/ring-device/ring-device.ts';
import { Session } from '../../src/transports/raw/session/session.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import { checkAtEnd } from './checked.ts';
import { FakeHost } from './engine.ts';
import { MemoryEntryRing } from './entry-ring.ts';
import { checkFileSystem } from './tree-checks.ts';

/** The body of a request, field by field, as the structures of fuse.h lay it out: little-endian and without padding of its own. */
export class Body {
  readonly #parts: Buffer[] = [];

  u16(value: number): this {
    const part = Buffer.alloc(2);
    part.writeUInt16LE(value);
    return this.#add(part);
  }

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.#add(part);
  }

  u64(value: number | bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigInt64LE(BigInt(value));
    return this.#add(part);
  }

  /** A string with its NUL, one character a byte. */
  name(text: string): this {
    return this.bytes(Buffer.from(text + '\0', 'latin1'));
  }

  bytes(bytes: Uint8Array): this {
    return this.#add(Buffer.from(bytes));
  }

  build(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #add(part: Buffer): this {
    this.#parts.push(part);
    return this;
  }
}

/** One message to the kernel: an answer, or with `unique` 0 a notification whose code stands in `error`. */
export interface Answer {
  readonly unique: number;
  /** Names the request by the mark that it has since it came again. */
  readonly isResent: boolean;
  /** 0 or a negative errno. */
  readonly error: number;
  readonly payload: DataView;
}

/** A device in memory: keeps what is sent, or refuses it as the kernel refuses the answer to a request that has gone. */
export class MemoryDevice implements WatchedDevice {
  readonly sent: Answer[] = [];
  /** Asked before each message is taken. */
  refuses: (answer: Answer) => boolean = () => false;

  /** What comes when the session itself asks: a message, or a negative errno. */
  next: () => Uint8Array | number = () => {
    throw new Error('a test serves requests itself');
  };

  receive(buffer: ReceiveBuffer): number {
    const next = this.next();
    if (typeof next === 'number') return next;
    buffer.bytes.set(next);
    return next.length;
  }

  send(reply: Reply, length: number): boolean {
    return this.#take(reply.bytes.slice(0, length));
  }

  sendGathered(reply: Reply, uio: GatherUio): boolean {
    const message = new Uint8Array(OUT_HEADER_BYTES + uio.total);
    message.set(reply.bytes.subarray(0, OUT_HEADER_BYTES));
    uio.copyTo(message, OUT_HEADER_BYTES);
    return this.#take(message);
  }

  /** No answer is sent in the background unless a test lowers this. */
  backgroundBytes = Infinity;
  onSent: (buffer: ReceiveBuffer) => void = () => undefined;
  /** Answers that are under way, in their order. */
  readonly underWay: {
    readonly message: Uint8Array;
    readonly uio: GatherUio;
    readonly buffer: ReceiveBuffer;
  }[] = [];

  /** Whose bytes are read only when the answer is finished: what lies there then is what its reader gets. */
  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean {
    const kept = new GatherUio();
    kept.reset(uio.total, 0);
    kept.moveOut(uio.sources[0]!, uio.starts[0]!, uio.lengths[0]!);
    this.underWay.push({ message: reply.bytes.slice(0, OUT_HEADER_BYTES), uio: kept, buffer });
    return true;
  }

  finishAnswers(): void {
    for (const { message, uio, buffer } of this.underWay.splice(0)) {
      const whole = new Uint8Array(OUT_HEADER_BYTES + uio.total);
      whole.set(message);
      uio.copyTo(whole, OUT_HEADER_BYTES);
      this.#take(whole);
      this.onSent(buffer);
    }
  }

  /** Passthrough is not negotiated by these tests. */
  openBacking(): number {
    return -1;
  }

  closeBacking(): void {
    throw new Error('nothing has been opened');
  }

  negotiateRing(): boolean {
    return false;
  }

  facts(): readonly [] {
    return [];
  }

  flush(): void {
    // Each answer is sent at once.
  }

  close(): void {
    // Nothing is held.
  }

  readonly watchDescriptor = 99;
  readonly hasSources = false;

  wait(): boolean {
    return false;
  }

  /** Takes an answer or a notification. */
  take(message: Uint8Array): boolean {
    return this.#take(message);
  }

  #take(message: Uint8Array): boolean {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    assert(view.getUint32(0, true) === message.length, 'the header says how long the message is');
    const answer: Answer = {
      error: view.getInt32(4, true),
      unique: Number(BigInt.asUintN(63, view.getBigUint64(8, true))),
      isResent: view.getBigUint64(8, true) >> 63n === 1n,
      payload: new DataView(message.buffer, message.byteOffset + OUT_HEADER_BYTES),
    };
    if (this.refuses(answer)) return false;
    this.sent.push(answer);
    return true;
  }
}

/** struct fuse_init_in. */
export function initBody(major: number, minor: number, flags = 0xffff_ffff, flags2 = 0): Body {
  return new Body()
    .u32(major) // major
    .u32(minor) // minor
    .u32(131072) // max_readahead
    .u32(flags) // flags
    .u32(flags2) // flags2
    .bytes(new Uint8Array(44)); // unused
}

/** Who a request comes from. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** A ring in memory, before a client's device. */
export interface RingSettings extends Pick<EntryPoolOptions, 'queueCount' | 'initialCount' | 'entryLimit'> {
  readonly payloadBytes?: number;
  /** Where the server runs; by default on none of the callers' processors. */
  readonly ownProcessor?: number;
}

const SMALL_RING: RingSettings = { queueCount: 2, initialCount: 4, entryLimit: 12 };
const RING_PAYLOAD_BYTES = 1024 * 1024;
/** What Linux sends through /dev/fuse although there is a ring. */
const NOT_BY_RING: ReadonlySet<number> = new Set([
  Opcode.INIT,
  Opcode.FORGET,
  Opcode.BATCH_FORGET,
  Opcode.INTERRUPT,
]);

/** What a client is made with. */
export interface FuseClientOptions {
  /** Sends INIT first; without it the session knows no other request. */
  readonly agrees?: boolean;
  /** Requests go through a ring, once INIT has offered one. */
  readonly ring?: boolean | RingSettings;
}

const rootCaller: Caller = { uid: 0, gid: 0, pid: 700 };
const IN_HEADER_BYTES = 40;

/** The kernel's side of a session that memory drives: makes requests and finds their answers. */
export class FuseClient {
  readonly host = new FakeHost();
  readonly device = new MemoryDevice();
  readonly fileSystem: FileSystem;
  readonly session: Session;
  /** The kernel's side of the ring; null without one. */
  readonly ring: MemoryEntryRing | null = null;
  readonly ringDevice: RingDevice | null = null;
  #lastUnique = 0;
  /** Messages that /dev/fuse has beside the ring. */
  readonly #besideRing: Uint8Array[] = [];
  /** The processor that calls are made on. */
  processor = 0;

  constructor({ agrees = true, ring = false }: FuseClientOptions = {}) {
    const identity = { uid: 0, gid: 0, version: '9.9', pid: 1 };
    this.fileSystem = new FileSystem(new Kernel(this.host), {
      identity,
      transport: rawTransport(() => this.session, {
        findMappers: null,
        findSleepers: null,
        findHandle: null,
      }),
    });
    if (ring !== false) {
      const settings = ring === true ? SMALL_RING : ring;
      const memory = new MemoryEntryRing({
        answered: (message) => this.device.take(message),
        payloadBytes: settings.payloadBytes ?? RING_PAYLOAD_BYTES,
      });
      this.device.next = () => {
        const message = this.#besideRing.shift();
        memory.isReadable = this.#besideRing.length > 0;
        return message ?? -EAGAIN;
      };
      this.ring = memory;
      this.ringDevice = new RingDevice(this.device, {
        ring: memory,
        memory,
        currentProcessor: () => settings.ownProcessor ?? -1,
        hasMemory: () => this.host.hasMemory(),
        ...settings,
      });
    }
    this.session = new Session(this.fileSystem, this.ringDevice ?? this.device);
    checkAtEnd(this);
    if (!agrees) return;
    this.request(Opcode.INIT, 0, initBody(7, 45, 0xffff_ffff, ring === false ? 0 : INIT2_OVER_IO_URING));
    this.device.sent.length = 0;
  }

  /** Repeats the invariants of the session and of everything below it. After every test, and any time. */
  checkInvariants(): void {
    this.session.checkInvariants();
    this.ringDevice?.checkInvariants();
    checkFileSystem(this.fileSystem, this.session.requests.all());
  }

  /** Requests from now on have uniques above this one. */
  countUniquesFrom(unique: number): void {
    this.#lastUnique = unique;
  }

  /** The bytes of a request, header and body (struct fuse_in_header). */
  message(
    opcode: number,
    nodeid: number,
    body: Uint8Array,
    caller = rootCaller,
    unique = ++this.#lastUnique,
  ): Buffer {
    return new Body()
      .u32(IN_HEADER_BYTES + body.length) // len
      .u32(opcode) // opcode
      .u64(unique) // unique
      .u64(nodeid) // nodeid
      .u32(caller.uid) // uid
      .u32(caller.gid) // gid
      .u32(caller.pid) // pid
      .u32(0) // total_extlen, padding
      .bytes(body)
      .build();
  }

  /** Puts bytes where the session receives, as read(2) of the device does, and lets it serve them. */
  deliver(message: Uint8Array): ReceiveBuffer {
    if (this.ring !== null) return this.#deliverByRing(this.ring, message);
    const buffer = this.session.buffers.current;
    buffer.bytes.set(message);
    this.session.serve(message.length);
    return buffer;
  }

  #deliverByRing(ring: MemoryEntryRing, message: Uint8Array): ReceiveBuffer {
    if (this.#isForRing(message)) ring.request(message, this.processor);
    else {
      this.#besideRing.push(message);
      ring.isReadable = true;
    }
    this.serveAll();
    return this.session.buffers.current;
  }

  /** What says a wrong length does not come by a ring: the kernel puts its parts into place by their own lengths. */
  #isForRing(message: Uint8Array): boolean {
    if (!this.ringDevice!.isRing || message.length < IN_HEADER_BYTES) return false;
    const view = new DataView(message.buffer, message.byteOffset);
    return view.getUint32(0, true) === message.length && !NOT_BY_RING.has(view.getUint32(4, true));
  }

  /** Lets the session serve what the ring and the device have. */
  serveAll(): void {
    for (;;) {
      const length = this.ringDevice!.receive(this.session.buffers.current);
      if (this.ringDevice!.hasSources) this.ringDevice!.wait(0);
      if (length === -EAGAIN) return;
      if (length > 0) this.session.serve(length);
    }
  }

  /** Sends a request; its unique. */
  send(opcode: number, nodeid: number, body: Body = new Body(), caller = rootCaller): number {
    this.deliver(this.message(opcode, nodeid, body.build(), caller));
    return this.#lastUnique;
  }

  /** Every answer that `unique` has got. */
  answers(unique: number): Answer[] {
    this.ringDevice?.flush();
    return this.device.sent.filter((answer) => answer.unique === unique);
  }

  /** Sends a request that must be answered once and at once; the answer. */
  request(opcode: number, nodeid: number, body: Body = new Body(), caller = rootCaller): Answer {
    const answers = this.answers(this.send(opcode, nodeid, body, caller));
    assert(answers.length === 1, `the request has ${answers.length} answers`);
    return answers[0]!;
  }

  /** The error of a request that is answered at once. */
  error(opcode: number, nodeid: number, body: Body = new Body(), caller = rootCaller): number {
    return this.request(opcode, nodeid, body, caller).error;
  }

  /** The poll handles that have been notified (FUSE_NOTIFY_POLL), in order. */
  get notifiedPolls(): number[] {
    return this.device.sent
      .filter(({ unique, error }) => unique === 0 && error === 1)
      .map(({ payload }) => Number(payload.getBigUint64(0, true)));
  }
}

/** The bytes of an answer. */
export function textOf({ payload }: Answer): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
}

/** What an answer's struct fuse_attr says, at `offset` of the payload: 40 in entry_out, 16 in attr_out. */
export function attrOf({ payload }: Answer, offset: number): Record<string, number> {
  const u64 = (at: number): number => Number(payload.getBigInt64(offset + at, true));
  const u32 = (at: number): number => payload.getUint32(offset + at, true);
  return {
    ino: u64(0),
    size: u64(8),
    blocks: u64(16),
    atime: u64(24),
    mtime: u64(32),
    ctime: u64(40),
    atimensec: u32(48),
    mtimensec: u32(52),
    ctimensec: u32(56),
    mode: u32(60),
    nlink: u32(64),
    uid: u32(68),
    gid: u32(72),
    blksize: u32(80),
  };
}

/** nodeid of an entry_out. */
export function nodeidOf({ payload }: Answer): number {
  return Number(payload.getBigUint64(0, true));
}

/** fh of an open_out at `offset` (128 behind the entry_out of CREATE). */
export function handleOf({ payload }: Answer, offset = 0): number {
  return Number(payload.getBigUint64(offset, true));
}
