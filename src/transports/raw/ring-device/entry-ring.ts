import { addressOf } from '../../../host/linux/io/io-vector.ts';
import {
  IORING_ENTER_GETEVENTS,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQE128,
  IORING_SETUP_TASKRUN_FLAG,
  RingQueues,
} from '../../../host/linux/io/ring-queues.ts';
import { POLLIN } from '../../../host/linux/libc.ts';

/**
 * What carries entries between this program and the kernel: an io_uring, or memory in tests. The kernel writes into entries, and adds
 * completions for them, only during `enter`.
 */
export interface EntryRing {
  /**
   * Gives the kernel an entry of `queue` for the first time. `vectorAddress`: two struct iovec, of its header and its payload. A
   * completion without an error brings a request.
   */
  register(entry: number, queue: number, vectorAddress: number): void;
  /** Gives the kernel an entry back whose request, `commitLow` and `commitHigh`, is answered in it. The next completion is as above. */
  commit(entry: number, queue: number, commitLow: number, commitHigh: number): void;
  /** Adds one completion, tagged `WATCH_TAG`, when `descriptor` is readable. */
  watch(descriptor: number): void;
  /** Whether entries were given that the kernel has not taken, or the kernel has completions that it adds during `enter`. */
  readonly hasWork: boolean;
  /** Whether `next` has a completion. */
  readonly hasCompletion: boolean;
  /** Takes the next completion: the entry, or WATCH_TAG; -1 when there is none. */
  next(): number;
  /** Of the completion that `next` has taken: 0 or a negative errno. */
  readonly result: number;
  /** Passes everything to the kernel, and gets nothing that it need not add at once. */
  submit(): void;
  /** Passes everything to the kernel. With a `timeoutMs` other than 0 it sleeps until there is a completion; -1 is for ever. */
  enter(timeoutMs: number): void;
  /** The kernel gives up all entries. */
  close(): void;
}

/** Beyond every entry. */
export const WATCH_TAG = 0xffff_fff0;

const IORING_OP_POLL_ADD = 6;
const IORING_OP_URING_CMD = 46;
const FUSE_IO_URING_CMD_REGISTER = 1;
const FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2;
const VECTOR_PARTS = 2;
const IORING_ENTER_EXT_ARG = 1 << 3;

/** Words of a submission entry. */
const SQE_DESCRIPTOR = 1;
const SQE_COMMAND = 2;
const SQE_ADDRESS = 4;
const SQE_LENGTH = 6;
const SQE_POLL_EVENTS = 7;
/** struct fuse_uring_cmd_req lies behind the first 48 bytes: flags, commit id, queue. */
const SQE_COMMIT_ID = 14;
const SQE_QUEUE = 16;

const TWO_32 = 0x1_0000_0000;
/** Entries that the kernel takes at a time. */
const SUBMISSIONS = 256;
const MS_PER_SECOND = 1000;
const NS_PER_MS = 1e6;

/** An io_uring that carries the entries of one FUSE connection. */
export class FuseEntryRing implements EntryRing {
  readonly #queues: RingQueues;
  readonly #fuseDescriptor: number;
  /** struct __kernel_timespec, and struct io_uring_getevents_arg, which names it. */
  readonly #timeout = new BigInt64Array(2);
  readonly #argument = new BigUint64Array(3);
  readonly #argumentAddress: number;

  /** `entryCount`: entries at most. A negative errno when the kernel gives us no ring. The calling thread is the one that uses it. */
  static open(fuseDescriptor: number, entryCount: number): FuseEntryRing | number {
    const queues = RingQueues.open(SUBMISSIONS, {
      // Entries are filled, and completions added, when this thread enters the kernel and at no other time.
      flags:
        IORING_SETUP_SQE128 |
        IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
      // Completions beyond that would be kept in memory that may not be there.
      completionCount: entryCount + 1,
    });
    return typeof queues === 'number' ? queues : new FuseEntryRing(queues, fuseDescriptor);
  }

  private constructor(queues: RingQueues, fuseDescriptor: number) {
    this.#queues = queues;
    this.#fuseDescriptor = fuseDescriptor;
    this.#argumentAddress = addressOf(this.#argument.buffer);
  }

  register(entry: number, queue: number, vectorAddress: number): void {
    const at = this.#begin(entry, FUSE_IO_URING_CMD_REGISTER, queue);
    const { entries } = this.#queues;
    entries[at + SQE_ADDRESS] = vectorAddress;
    entries[at + SQE_ADDRESS + 1] = vectorAddress / TWO_32;
    entries[at + SQE_LENGTH] = VECTOR_PARTS;
    this.#queues.push();
  }

  commit(entry: number, queue: number, commitLow: number, commitHigh: number): void {
    const at = this.#begin(entry, FUSE_IO_URING_CMD_COMMIT_AND_FETCH, queue);
    const { entries } = this.#queues;
    entries[at + SQE_COMMIT_ID] = commitLow;
    entries[at + SQE_COMMIT_ID + 1] = commitHigh;
    this.#queues.push();
  }

  watch(descriptor: number): void {
    const at = this.#beginAny(WATCH_TAG);
    const { entries } = this.#queues;
    entries[at] = IORING_OP_POLL_ADD;
    entries[at + SQE_DESCRIPTOR] = descriptor;
    entries[at + SQE_POLL_EVENTS] = POLLIN;
    this.#queues.push();
  }

  get hasWork(): boolean {
    return this.#queues.pendingCount > 0 || this.#queues.hasWork;
  }

  get hasCompletion(): boolean {
    return this.#queues.hasCompletion;
  }

  next(): number {
    return this.#queues.next();
  }

  get result(): number {
    return this.#queues.result;
  }

  submit(): void {
    this.#queues.enter(0, 0);
  }

  enter(timeoutMs: number): void {
    if (timeoutMs === 0) {
      this.#queues.enter(0, IORING_ENTER_GETEVENTS);
      return;
    }
    let timeoutAddress = 0n;
    if (timeoutMs > 0) {
      this.#timeout[0] = BigInt(Math.floor(timeoutMs / MS_PER_SECOND));
      this.#timeout[1] = BigInt(Math.round((timeoutMs % MS_PER_SECOND) * NS_PER_MS));
      timeoutAddress = BigInt(addressOf(this.#timeout.buffer));
    }
    this.#argument[2] = timeoutAddress;
    this.#queues.enter(
      1,
      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
      this.#argumentAddress,
      this.#argument.byteLength,
    );
  }

  close(): void {
    this.#queues.close();
  }

  #begin(entry: number, command: number, queue: number): number {
    const at = this.#beginAny(entry);
    const { entries } = this.#queues;
    entries[at] = IORING_OP_URING_CMD;
    entries[at + SQE_DESCRIPTOR] = this.#fuseDescriptor;
    entries[at + SQE_COMMAND] = command;
    entries[at + SQE_QUEUE] = queue;
    return at;
  }

  #beginAny(tag: number): number {
    if (this.#queues.isFull) this.submit();
    return this.#queues.begin(tag);
  }
}
