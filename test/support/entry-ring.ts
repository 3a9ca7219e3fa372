import { assert } from '../../src/kern/assert.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import * as layouts from '../../src/transports/raw/protocol/layouts.ts';
import type { EntryBlock, EntryMemory } from '../../src/transports/raw/ring-device/entry-memory.ts';
import { type EntryRing, WATCH_TAG } from '../../src/transports/raw/ring-device/entry-ring.ts';

const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
/** Where struct fuse_uring_req_header has the operation's struct, the commit id and the size of the payload. */
const OPERATION_OFFSET = 128;
const COMMIT_ID_OFFSET = 264;
const PAYLOAD_SIZE_OFFSET = 272;
const HEADER_BYTES = 512;
/** What the kernel's memory is overwritten with: nobody else may read it. */
const POISON = 0xdd;
const POISONED_BYTES = 4096;
const EINVAL = 22;
const ENOTCONN = 107;

/** The size of the struct that goes before names and bytes: the kernel puts it beside the header. */
const structBytes: Readonly<Record<number, number>> = {
  [Opcode.GETATTR]: layouts.GetattrIn.bytes,
  [Opcode.SETATTR]: layouts.SetattrIn.bytes,
  [Opcode.MKNOD]: layouts.MknodIn.bytes,
  [Opcode.MKDIR]: layouts.MkdirIn.bytes,
  [Opcode.LINK]: layouts.LinkIn.bytes,
  [Opcode.RENAME]: layouts.RenameIn.bytes,
  [Opcode.RENAME2]: layouts.Rename2In.bytes,
  [Opcode.OPEN]: layouts.OpenIn.bytes,
  [Opcode.OPENDIR]: layouts.OpenIn.bytes,
  [Opcode.CREATE]: layouts.CreateIn.bytes,
  [Opcode.READ]: layouts.ReadIn.bytes,
  [Opcode.READDIR]: layouts.ReadIn.bytes,
  [Opcode.WRITE]: layouts.WriteIn.bytes,
  [Opcode.RELEASE]: layouts.ReleaseIn.bytes,
  [Opcode.RELEASEDIR]: layouts.ReleaseIn.bytes,
  [Opcode.FLUSH]: layouts.FlushIn.bytes,
  [Opcode.POLL]: layouts.PollIn.bytes,
  [Opcode.IOCTL]: layouts.IoctlIn.bytes,
  [Opcode.GETLK]: layouts.LkIn.bytes,
  [Opcode.SETLK]: layouts.LkIn.bytes,
  [Opcode.SETLKW]: layouts.LkIn.bytes,
};

/** Who has an entry: the kernel, without or with a request that is not handed over, or the program. */
type EntryOwner = 'kernel' | 'program';

interface KernelEntry {
  readonly queue: number;
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  owner: EntryOwner;
  /** Of the request that it brought last. */
  commitId: bigint;
}

interface Completion {
  readonly tag: number;
  readonly result: number;
}

export interface MemoryRingOptions {
  /** Takes an answer: fuse_out_header and the payload. */
  readonly answered: (message: Uint8Array) => void;
  readonly payloadBytes: number;
}

/** The kernel's side of a ring, and the memory of its entries. Entries that are the kernel's are overwritten. */
export class MemoryEntryRing implements EntryRing, EntryMemory {
  readonly #options: MemoryRingOptions;
  /** Memory by the address of its vectors, and entries by index. */
  readonly #memory = new Map<number, { header: Uint8Array; payload: Uint8Array }>();
  readonly #entries: (KernelEntry | undefined)[] = [];
  /** Entries without a request, by queue: the one that was used last goes first. */
  readonly #available = new Map<number, number[]>();
  /** Requests that have no entry yet, by queue. */
  readonly waiting = new Map<number, Uint8Array[]>();
  /** Requests that have an entry, and that the program does not have yet. */
  #dispatched: [tag: number, message: Uint8Array][] = [];
  readonly #submissions: (() => void)[] = [];
  readonly #completions: Completion[] = [];
  #lastAddress = 0x1000;
  #isWatched = false;
  result = 0;
  /** The descriptor that is watched is readable. */
  isReadable = false;
  /** Registrations fail with this from now on; 0 for none. */
  registrationError = 0;
  /** Blocks of memory that can still be had. */
  blocksLeft = Infinity;
  /** Whether the kernel sends everything through /dev/fuse, since an entry was refused. */
  isGivenUp = false;
  isClosed = false;
  isFreed = false;
  /** Calls of the kernel, and those that may sleep. */
  enters = 0;
  sleeps = 0;
  /** Payloads whose pages were given back. */
  readonly released: Uint8Array[] = [];
  /** Called in each `enter`, when the kernel has taken what was pending and before it hands requests over. */
  onEnter: ((timeoutMs: number) => void) | null = null;

  constructor(options: MemoryRingOptions) {
    this.#options = options;
  }

  allocate(count: number): EntryBlock | null {
    if (this.blocksLeft <= 0) return null;
    this.blocksLeft--;
    const { payloadBytes } = this.#options;
    const first = this.#lastAddress + 1;
    this.#lastAddress += count;
    for (let place = 0; place < count; place++) {
      this.#memory.set(first + place, {
        header: new Uint8Array(HEADER_BYTES),
        payload: new Uint8Array(payloadBytes),
      });
    }
    const at = (place: number): { header: Uint8Array; payload: Uint8Array } =>
      this.#memory.get(first + place)!;
    return {
      header: (place) => new Uint32Array(at(place).header.buffer),
      payload: (place) => at(place).payload,
      vectorAddress: (place) => first + place,
    };
  }

  release(payload: Uint8Array): void {
    const entry = this.#entries.find((each) => each?.payload.buffer === payload.buffer);
    assert(entry?.owner === 'kernel', 'only memory that nobody uses is given back');
    this.released.push(payload);
  }

  free(): void {
    assert(this.isClosed, 'memory is given back when the kernel has given up the entries');
    this.isFreed = true;
  }

  get entryCount(): number {
    return this.#entries.length;
  }

  register(tag: number, queue: number, vectorAddress: number): void {
    this.#submissions.push(() => {
      const memory = this.#memory.get(vectorAddress);
      const error = memory === undefined ? EINVAL : this.registrationError;
      if (error !== 0) {
        this.isGivenUp = true;
        this.#completions.push({ tag, result: -error });
        return;
      }
      assert(this.#entries[tag] === undefined, 'an entry is registered once');
      this.#entries[tag] = { queue, ...memory!, owner: 'kernel', commitId: 0n };
      this.#makeAvailable(tag);
    });
  }

  commit(tag: number, queue: number, commitLow: number, commitHigh: number): void {
    const id = (BigInt(commitHigh) << 32n) | BigInt(commitLow);
    this.#submissions.push(() => {
      const entry = this.#entries[tag]!;
      assert(entry.owner === 'program' && entry.queue === queue, 'an answer is in the entry of its request');
      assert(entry.commitId === id, 'an answer names its request');
      const view = new DataView(entry.header.buffer);
      const payloadBytes = view.getUint32(PAYLOAD_SIZE_OFFSET, true);
      const message = new Uint8Array(OUT_HEADER_BYTES + payloadBytes);
      message.set(entry.header.subarray(0, OUT_HEADER_BYTES));
      message.set(entry.payload.subarray(0, payloadBytes), OUT_HEADER_BYTES);
      assert(view.getBigUint64(8, true) === id, 'an answer has the unique of its request');
      entry.owner = 'kernel';
      entry.header.fill(POISON, 0, 288);
      entry.payload.fill(POISON, 0, Math.max(payloadBytes, POISONED_BYTES));
      this.#options.answered(message);
      const next = this.waiting.get(queue)?.shift();
      if (next === undefined) this.#makeAvailable(tag);
      else this.#dispatched.push([tag, next]);
    });
  }

  #makeAvailable(tag: number): void {
    const { queue } = this.#entries[tag]!;
    const available = this.#available.get(queue) ?? [];
    available.push(tag);
    this.#available.set(queue, available);
  }

  /** The kernel uses the ring once each of so many queues has an entry. */
  isReady(queueCount: number): boolean {
    return [...Array(queueCount).keys()].every((queue) => (this.#available.get(queue)?.length ?? 0) > 0);
  }

  /**
   * A process makes a call on a processor. Its request, as read(2) of /dev/fuse would give it, gets an entry that is free, and the program
   * has it after the next `enter`. Without one it waits until an answer frees one: entries that are registered later are for later calls.
   */
  request(message: Uint8Array, queue: number): void {
    const tag = this.#available.get(queue)?.pop();
    if (tag !== undefined) {
      this.#dispatched.push([tag, message]);
      return;
    }
    const waiting = this.waiting.get(queue) ?? [];
    waiting.push(message);
    this.waiting.set(queue, waiting);
  }

  /** Takes a request back that has no entry yet: its caller was killed. Whether there was one. */
  removeWaiting(unique: number): boolean {
    for (const waiting of this.waiting.values()) {
      const index = waiting.findIndex((message) => uniqueOf(message) === BigInt(unique));
      if (index < 0) continue;
      waiting.splice(index, 1);
      return true;
    }
    return false;
  }

  watch(): void {
    this.#submissions.push(() => {
      assert(!this.#isWatched, 'the descriptor is watched once at a time');
      this.#isWatched = true;
    });
  }

  get hasWork(): boolean {
    return this.#submissions.length > 0 || this.onEnter !== null || this.#isCompletionDue;
  }

  get #isCompletionDue(): boolean {
    return (this.#isWatched && this.isReadable) || this.#dispatched.length > 0;
  }

  get hasCompletion(): boolean {
    return this.#completions.length > 0;
  }

  next(): number {
    const completion = this.#completions.shift();
    if (completion === undefined) return -1;
    this.result = completion.result;
    return completion.tag;
  }

  submit(): void {
    assert(!this.isClosed, 'a closed ring is not entered');
    this.enters++;
    for (const submit of this.#submissions.splice(0)) submit();
  }

  enter(timeoutMs: number): void {
    if (timeoutMs !== 0) this.sleeps++;
    this.submit();
    this.onEnter?.(timeoutMs);
    if (this.#isWatched && this.isReadable) {
      this.#isWatched = false;
      this.#completions.push({ tag: WATCH_TAG, result: 1 });
    }
    const dispatched = this.#dispatched;
    this.#dispatched = [];
    for (const [tag, message] of dispatched) this.#handOver(tag, message);
  }

  #handOver(tag: number, message: Uint8Array): void {
    const entry = this.#entries[tag]!;
    const view = new DataView(entry.header.buffer);
    const opcode = new DataView(message.buffer, message.byteOffset).getUint32(4, true);
    const structEnd = Math.min(message.length, IN_HEADER_BYTES + (structBytes[opcode] ?? 0));
    entry.header.set(message.subarray(0, IN_HEADER_BYTES));
    entry.header.set(message.subarray(IN_HEADER_BYTES, structEnd), OPERATION_OFFSET);
    entry.payload.set(message.subarray(structEnd));
    entry.commitId = uniqueOf(message);
    view.setBigUint64(COMMIT_ID_OFFSET, entry.commitId, true);
    view.setUint32(PAYLOAD_SIZE_OFFSET, message.length - structEnd, true);
    entry.owner = 'program';
    this.#completions.push({ tag, result: 0 });
  }

  /** The connection ends: the kernel gives up every entry. */
  abort(): void {
    for (const [tag, entry] of this.#entries.entries()) {
      if (entry?.owner === 'kernel') this.#completions.push({ tag, result: -ENOTCONN });
    }
    this.#available.clear();
    this.waiting.clear();
  }

  close(): void {
    assert(this.#submissions.length === 0, 'every answer was given to the kernel');
    this.isClosed = true;
  }
}

function uniqueOf(message: Uint8Array): bigint {
  return new DataView(message.buffer, message.byteOffset).getBigUint64(8, true);
}
