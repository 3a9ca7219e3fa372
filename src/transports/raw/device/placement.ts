/** Of smaller writes, copying is not what takes the time. */
const BULK_BYTES = 16 * 1024;
/** How often it is looked where the writer is: a look takes 20 us. */
const LOOK_MS = 4;

/**
 * Keeps the serving thread on the processor of a caller that writes much. Receiving a write copies its bytes, and a processor whose
 * cache they are in does that several times as fast as another one. Of several writers none is followed.
 */
export class Placement {
  readonly #moveTo: (threadId: number) => boolean;
  #writer = 0;
  /** Nobody else has written since the last look. */
  #isAlone = false;
  #nextLookMs = 0;
  /** How often the thread has been moved. */
  moves = 0;

  /** `moveTo` moves the serving thread to the processor of another one; whether it was moved. */
  constructor(moveTo: (threadId: number) => boolean) {
    this.#moveTo = moveTo;
  }

  /** A write of the thread has been received. */
  wrote(threadId: number, sizeBytes: number, nowMs: number): void {
    if (sizeBytes < BULK_BYTES) return;
    if (threadId !== this.#writer) {
      this.#writer = threadId;
      this.#isAlone = false;
    }
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + LOOK_MS;
    // Callers of other namespaces have no number here.
    if (this.#isAlone && threadId > 0 && this.#moveTo(threadId)) this.moves++;
    this.#isAlone = true;
  }
}
