import { ENOSYS } from '../../../kern/errno.ts';
import * as libc from '../libc.ts';
import * as memoryCalls from '../memory/memory-calls.ts';

/** io_uring_setup(2) and io_uring_enter(2), by their numbers. `parameters` is struct io_uring_params. */
const ioRingSetup = libc.define('long syscall(long, unsigned int, void*)') as (
  number: number,
  count: number,
  parameters: Uint32Array,
) => number;
const ioRingEnter = libc.define(
  'long syscall(long, int, unsigned int, unsigned int, unsigned int, intptr_t, size_t)',
) as (
  number: number,
  descriptor: number,
  submittedCount: number,
  awaitedCount: number,
  flags: number,
  argument: number,
  argumentBytes: number,
) => number;

const SYS_io_uring_setup = 425;
const SYS_io_uring_enter = 426;

/** struct io_uring_params in 32-bit words, and where its parts begin. */
const PARAMETER_WORDS = 30;
const SQ_ENTRIES = 0;
const CQ_ENTRIES = 1;
const FLAGS = 2;
const FEATURES = 5;
const SQ_OFFSETS = 10;
const CQ_OFFSETS = 20;
/** Both queues lie in one mapping (Linux 5.4). */
const IORING_FEAT_SINGLE_MMAP = 1;
const IORING_SETUP_CQSIZE = 1 << 3;
export const IORING_SETUP_TASKRUN_FLAG = 1 << 9;
/** Submission entries have 128 bytes in place of 64. */
export const IORING_SETUP_SQE128 = 1 << 10;
export const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
export const IORING_SETUP_DEFER_TASKRUN = 1 << 13;

/** Words of struct io_sqring_offsets and of struct io_cqring_offsets. */
const RING_TAIL = 1;
const RING_MASK = 2;
const SQ_FLAGS = 4;
const SQ_ARRAY = 6;
const CQ_CQES = 5;
/** Flags of the submission queue: completions have overflowed, or the kernel has work for the thread to run. */
const IORING_SQ_CQ_OVERFLOW = 1 << 1;
const IORING_SQ_TASKRUN = 1 << 2;

/** Where the submission entries are mapped. */
const IORING_OFF_SQES = 0x1000_0000;

/** struct io_uring_sqe and struct io_uring_cqe in words. */
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const SQE_TAG = 8;
const CQE_RESULT = 2;
export const IORING_ENTER_GETEVENTS = 1;

interface Mapping {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface RingOptions {
  /** IORING_SETUP_ bits. */
  readonly flags?: number;
  /** Completions that the ring holds; twice `count` when it is not given. */
  readonly completionCount?: number;
}

/** The two queues of an io_uring, which lie in memory that the kernel shares. One thread uses them. */
export class RingQueues {
  readonly descriptor: number;
  /** Words of the submission entries, `entryWords` each. */
  readonly entries: Uint32Array;
  readonly entryWords: number;
  readonly #mappings: readonly Mapping[];
  readonly #size: number;
  readonly #submissionTail: Int32Array;
  readonly #submissionMask: number;
  readonly #submissionFlags: Int32Array;
  readonly #completionHead: Int32Array;
  readonly #completionTail: Int32Array;
  readonly #completionMask: number;
  readonly #completions: Uint32Array;
  /** Entries that the kernel has not taken yet. */
  pendingCount = 0;
  /** What the call returned whose tag `next` has given: a negative errno when it failed. */
  result = 0;

  /** Opens a ring that takes `count` submissions at a time. A negative errno when there is none: many systems allow nobody one. */
  static open(count: number, { flags = 0, completionCount }: RingOptions = {}): RingQueues | number {
    const parameters = new Uint32Array(PARAMETER_WORDS);
    parameters[FLAGS] = flags;
    if (completionCount !== undefined) {
      parameters[FLAGS] |= IORING_SETUP_CQSIZE;
      parameters[CQ_ENTRIES] = completionCount;
    }
    const descriptor = ioRingSetup(SYS_io_uring_setup, count, parameters);
    if (descriptor < 0) return libc.failure();
    const ring = RingQueues.#map(descriptor, parameters);
    if (typeof ring === 'number') libc.close(descriptor);
    return ring;
  }

  static #map(descriptor: number, parameters: Uint32Array): RingQueues | number {
    if ((parameters[FEATURES]! & IORING_FEAT_SINGLE_MMAP) === 0) return -ENOSYS;
    const wordBytes = Uint32Array.BYTES_PER_ELEMENT;
    const ringBytes = Math.max(
      parameters[SQ_OFFSETS + SQ_ARRAY]! + parameters[SQ_ENTRIES]! * wordBytes,
      parameters[CQ_OFFSETS + CQ_CQES]! + parameters[CQ_ENTRIES]! * CQE_WORDS * wordBytes,
    );
    const entriesBytes = parameters[SQ_ENTRIES]! * entryWordsOf(parameters[FLAGS]!) * wordBytes;
    const ring = memoryCalls.mapShared(descriptor, ringBytes);
    if (ring < 0) return libc.failure();
    const entries = memoryCalls.mapShared(descriptor, entriesBytes, IORING_OFF_SQES);
    if (entries < 0) {
      const failure = libc.failure();
      memoryCalls.munmap(ring, ringBytes);
      return failure;
    }
    return new RingQueues(
      descriptor,
      parameters,
      { address: ring, sizeBytes: ringBytes },
      { address: entries, sizeBytes: entriesBytes },
    );
  }

  private constructor(descriptor: number, parameters: Uint32Array, ring: Mapping, entries: Mapping) {
    this.descriptor = descriptor;
    this.#mappings = [ring, entries];
    const memory = libc.memoryAt(ring.address, ring.sizeBytes);
    const word = (offset: number): Int32Array => new Int32Array(memory, parameters[offset], 1);
    this.#size = parameters[SQ_ENTRIES]!;
    this.#submissionTail = word(SQ_OFFSETS + RING_TAIL);
    this.#submissionMask = word(SQ_OFFSETS + RING_MASK)[0]!;
    this.#submissionFlags = word(SQ_OFFSETS + SQ_FLAGS);
    this.#completionHead = word(CQ_OFFSETS);
    this.#completionTail = word(CQ_OFFSETS + RING_TAIL);
    this.#completionMask = word(CQ_OFFSETS + RING_MASK)[0]!;
    this.#completions = new Uint32Array(
      memory,
      parameters[CQ_OFFSETS + CQ_CQES],
      parameters[CQ_ENTRIES]! * CQE_WORDS,
    );
    this.entryWords = entryWordsOf(parameters[FLAGS]!);
    this.entries = new Uint32Array(libc.memoryAt(entries.address, entries.sizeBytes));
    // Each entry keeps its place in the queue.
    const order = new Uint32Array(memory, parameters[SQ_OFFSETS + SQ_ARRAY], this.#size);
    for (let index = 0; index < this.#size; index++) order[index] = index;
  }

  /** Whether no further entry can be begun before the kernel has taken some. */
  get isFull(): boolean {
    return this.pendingCount === this.#size;
  }

  /** Clears the next submission entry and sets its tag: where its words begin. `push` hands it over. */
  begin(tag: number): number {
    const at = (this.#submissionTail[0]! & this.#submissionMask) * this.entryWords;
    this.entries.fill(0, at, at + this.entryWords);
    this.entries[at + SQE_TAG] = tag;
    return at;
  }

  /** Puts the entry that was begun into the queue. The kernel takes it when it is entered. */
  push(): void {
    Atomics.store(this.#submissionTail, 0, (this.#submissionTail[0]! + 1) | 0);
    this.pendingCount++;
  }

  /** Takes the last entry back that was pushed: the kernel looks at the queue only when it is entered. */
  takeBack(): void {
    Atomics.store(this.#submissionTail, 0, (this.#submissionTail[0]! - 1) | 0);
    this.pendingCount--;
  }

  /** Whether the kernel has completions that only `enter` with IORING_ENTER_GETEVENTS puts into the queue. */
  get hasWork(): boolean {
    return (Atomics.load(this.#submissionFlags, 0) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !== 0;
  }

  /** Whether `next` has a completion. */
  get hasCompletion(): boolean {
    return this.#completionHead[0] !== Atomics.load(this.#completionTail, 0);
  }

  /** Takes the next completion from the queue: its tag, and `result`. -1 when there is none. */
  next(): number {
    const position = this.#completionHead[0]!;
    if (position === Atomics.load(this.#completionTail, 0)) return -1;
    const at = (position & this.#completionMask) * CQE_WORDS;
    const tag = this.#completions[at]!;
    this.result = this.#completions[at + CQE_RESULT]! | 0;
    Atomics.store(this.#completionHead, 0, (position + 1) | 0);
    return tag;
  }

  /**
   * Hands all pending entries to the kernel, and with IORING_ENTER_GETEVENTS waits for `awaitedCount` completions. `argument` and
   * `argumentBytes` are those of io_uring_enter(2). The number of entries taken, or a negative errno.
   */
  enter(awaitedCount: number, flags: number, argument = 0, argumentBytes = 0): number {
    const taken = ioRingEnter(
      SYS_io_uring_enter,
      this.descriptor,
      this.pendingCount,
      awaitedCount,
      flags,
      argument,
      argumentBytes,
    );
    if (taken < 0) return libc.failure();
    this.pendingCount -= taken;
    return taken;
  }

  close(): void {
    libc.close(this.descriptor);
    for (const { address, sizeBytes } of this.#mappings) memoryCalls.munmap(address, sizeBytes);
  }
}

function entryWordsOf(flags: number): number {
  return (flags & IORING_SETUP_SQE128) === 0 ? SQE_WORDS : 2 * SQE_WORDS;
}
