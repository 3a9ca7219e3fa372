import { IORING_ENTER_GETEVENTS, RingQueues } from './ring-queues.ts';

const IORING_OP_WRITEV = 2;
const IORING_OP_CLOSE = 19;
/** In the second byte of an entry: not tried in this thread first. */
const IOSQE_ASYNC = 1 << 4;

const TWO_32 = 0x1_0000_0000;
const CURRENT_POSITION = 0xffff_ffff;

/** An io_uring whose calls are made by threads of the kernel, while the thread that starts them goes on. */
export class IoRing {
  readonly #queues: RingQueues;

  /** A ring for so many calls at a time, or a negative errno: many systems allow nobody one. */
  static open(count: number): IoRing | number {
    const queues = RingQueues.open(count);
    return typeof queues === 'number' ? queues : new IoRing(queues);
  }

  private constructor(queues: RingQueues) {
    this.#queues = queues;
  }

  /**
   * Starts writev(2) of `count` parts that the struct iovec at `vectorAddress` name; they and their bytes stay until `collect` tells
   * the end of it by `tag`. False when it could not be started.
   */
  startWrite(descriptor: number, vectorAddress: number, count: number, tag: number): boolean {
    const entry = this.#queues.entries;
    const at = this.#begin(IORING_OP_WRITEV, descriptor, tag);
    entry[at + 2] = CURRENT_POSITION;
    entry[at + 3] = CURRENT_POSITION;
    entry[at + 4] = vectorAddress;
    entry[at + 5] = vectorAddress / TWO_32;
    entry[at + 6] = count;
    return this.#submit();
  }

  /** Starts close(2), which may wait for the server of the file. False when it could not be started. */
  startClose(descriptor: number, tag: number): boolean {
    this.#begin(IORING_OP_CLOSE, descriptor, tag);
    return this.#submit();
  }

  /** An entry for a call: where its words begin. */
  #begin(operation: number, descriptor: number, tag: number): number {
    const at = this.#queues.begin(tag);
    this.#queues.entries[at] = operation | (IOSQE_ASYNC << 8);
    this.#queues.entries[at + 1] = descriptor;
    return at;
  }

  #submit(): boolean {
    this.#queues.push();
    if (this.#queues.enter(0, 0) === 1) return true;
    this.#queues.takeBack();
    return false;
  }

  /** Calls `ended` for each call that has ended, with what it returned or a negative errno. */
  collect(ended: (tag: number, result: number) => void): void {
    for (;;) {
      const tag = this.#queues.next();
      if (tag < 0) return;
      ended(tag, this.#queues.result);
    }
  }

  /** Sleeps until a call has ended that was not collected; also returns when a signal has come. */
  wait(): void {
    this.#queues.enter(1, IORING_ENTER_GETEVENTS);
  }

  close(): void {
    this.#queues.close();
  }
}
