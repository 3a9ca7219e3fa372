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
  signals: number,
  signalsBytes: number,
) => number;

const SYS_io_uring_setup = 425;
const SYS_io_uring_enter = 426;

/** struct io_uring_params in 32-bit words, and where its parts begin. */
const PARAMETER_WORDS = 30;
const SQ_ENTRIES = 0;
const CQ_ENTRIES = 1;
const FEATURES = 5;
const SQ_OFFSETS = 10;
const CQ_OFFSETS = 20;
/** Both queues lie in one mapping (Linux 5.4). */
const IORING_FEAT_SINGLE_MMAP = 1;

/** Words of struct io_sqring_offsets and of struct io_cqring_offsets. */
const RING_TAIL = 1;
const RING_MASK = 2;
const SQ_ARRAY = 6;
const CQ_CQES = 5;

/** Where the submission entries are mapped. */
const IORING_OFF_SQES = 0x1000_0000;

/** struct io_uring_sqe and struct io_uring_cqe in words. */
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const IORING_OP_WRITEV = 2;
const IORING_OP_CLOSE = 19;
/** In the second byte of an entry: not tried in this thread first. */
const IOSQE_ASYNC = 1 << 4;
const IORING_ENTER_GETEVENTS = 1;

const TWO_32 = 0x1_0000_0000;
const CURRENT_POSITION = 0xffff_ffff;

/** One of the two queues: `head` is where the consumer is, `tail` where the producer. */
interface Queue {
  readonly head: Int32Array;
  readonly tail: Int32Array;
  readonly mask: number;
}

/** An io_uring whose calls are made by threads of the kernel, while the thread that starts them goes on. */
export class IoRing {
  readonly #descriptor: number;
  readonly #mappings: readonly { readonly address: number; readonly sizeBytes: number }[];
  readonly #submissions: Queue;
  /** Which entry is at which place of the queue. */
  readonly #order: Uint32Array;
  readonly #entries: Uint32Array;
  readonly #completions: Queue;
  readonly #results: Uint32Array;

  /** A ring for so many calls at a time, or a negative errno: many systems allow nobody one. */
  static open(count: number): IoRing | number {
    const parameters = new Uint32Array(PARAMETER_WORDS);
    const descriptor = ioRingSetup(SYS_io_uring_setup, count, parameters);
    if (descriptor < 0) return libc.failure();
    const ring = IoRing.#map(descriptor, parameters);
    if (typeof ring === 'number') libc.close(descriptor);
    return ring;
  }

  static #map(descriptor: number, parameters: Uint32Array): IoRing | number {
    if ((parameters[FEATURES]! & IORING_FEAT_SINGLE_MMAP) === 0) return -ENOSYS;
    const ringBytes = Math.max(
      parameters[SQ_OFFSETS + SQ_ARRAY]! + parameters[SQ_ENTRIES]! * Uint32Array.BYTES_PER_ELEMENT,
      parameters[CQ_OFFSETS + CQ_CQES]! + parameters[CQ_ENTRIES]! * CQE_WORDS * Uint32Array.BYTES_PER_ELEMENT,
    );
    const entriesBytes = parameters[SQ_ENTRIES]! * SQE_WORDS * Uint32Array.BYTES_PER_ELEMENT;
    const ring = memoryCalls.mapShared(descriptor, ringBytes);
    if (ring < 0) return libc.failure();
    const entries = memoryCalls.mapShared(descriptor, entriesBytes, IORING_OFF_SQES);
    if (entries < 0) {
      const failure = libc.failure();
      memoryCalls.munmap(ring, ringBytes);
      return failure;
    }
    return new IoRing(
      descriptor,
      parameters,
      { address: ring, sizeBytes: ringBytes },
      { address: entries, sizeBytes: entriesBytes },
    );
  }

  private constructor(
    descriptor: number,
    parameters: Uint32Array,
    ring: { readonly address: number; readonly sizeBytes: number },
    entries: { readonly address: number; readonly sizeBytes: number },
  ) {
    this.#descriptor = descriptor;
    this.#mappings = [ring, entries];
    const memory = libc.memoryAt(ring.address, ring.sizeBytes);
    const queue = (offsets: number): Queue => ({
      head: new Int32Array(memory, parameters[offsets], 1),
      tail: new Int32Array(memory, parameters[offsets + RING_TAIL], 1),
      mask: new Uint32Array(memory, parameters[offsets + RING_MASK], 1)[0]!,
    });
    this.#submissions = queue(SQ_OFFSETS);
    this.#order = new Uint32Array(memory, parameters[SQ_OFFSETS + SQ_ARRAY], parameters[SQ_ENTRIES]);
    this.#entries = new Uint32Array(libc.memoryAt(entries.address, entries.sizeBytes));
    this.#completions = queue(CQ_OFFSETS);
    this.#results = new Uint32Array(
      memory,
      parameters[CQ_OFFSETS + CQ_CQES],
      parameters[CQ_ENTRIES]! * CQE_WORDS,
    );
  }

  /**
   * Starts writev(2) of `count` parts that the struct iovec at `vectorAddress` name; they and their bytes stay until `collect` tells
   * the end of it by `tag`. False when it could not be started.
   */
  startWrite(descriptor: number, vectorAddress: number, count: number, tag: number): boolean {
    const entry = this.#entries;
    const at = this.#begin(IORING_OP_WRITEV, descriptor, tag);
    entry[at + 2] = CURRENT_POSITION;
    entry[at + 3] = CURRENT_POSITION;
    entry[at + 4] = vectorAddress;
    entry[at + 5] = vectorAddress / TWO_32;
    entry[at + 6] = count;
    return this.#submit();
  }

  /** Starts close(2), which may wait for whoever serves the file. False when it could not be started. */
  startClose(descriptor: number, tag: number): boolean {
    this.#begin(IORING_OP_CLOSE, descriptor, tag);
    return this.#submit();
  }

  /** An empty entry for a call: where its words begin. */
  #begin(operation: number, descriptor: number, tag: number): number {
    const { tail, mask } = this.#submissions;
    const index = tail[0]! & mask;
    const at = index * SQE_WORDS;
    this.#entries.fill(0, at, at + SQE_WORDS);
    this.#entries[at] = operation | (IOSQE_ASYNC << 8);
    this.#entries[at + 1] = descriptor;
    this.#entries[at + 8] = tag;
    this.#order[index] = index;
    return at;
  }

  #submit(): boolean {
    const { tail } = this.#submissions;
    const position = tail[0]!;
    Atomics.store(tail, 0, (position + 1) | 0);
    if (this.#enter(1, 0, 0) === 1) return true;
    // The kernel looks at the queue only when it is entered: what it has not taken can be taken back.
    Atomics.store(tail, 0, position);
    return false;
  }

  /** Calls `ended` for each call that has ended, with what it returned or a negative errno. */
  collect(ended: (tag: number, result: number) => void): void {
    const { head, tail, mask } = this.#completions;
    for (let position = head[0]!; position !== Atomics.load(tail, 0);) {
      const at = (position & mask) * CQE_WORDS;
      const tag = this.#results[at]!;
      const result = this.#results[at + 2]! | 0;
      position = (position + 1) | 0;
      Atomics.store(head, 0, position);
      ended(tag, result);
    }
  }

  /** Sleeps until a call has ended that was not collected; also returns when a signal has come. */
  wait(): void {
    this.#enter(0, 1, IORING_ENTER_GETEVENTS);
  }

  close(): void {
    libc.close(this.#descriptor);
    for (const { address, sizeBytes } of this.#mappings) memoryCalls.munmap(address, sizeBytes);
  }

  #enter(submittedCount: number, awaitedCount: number, flags: number): number {
    return ioRingEnter(SYS_io_uring_enter, this.#descriptor, submittedCount, awaitedCount, flags, 0, 0);
  }
}
