import { RECEIVE_BUFFER_BYTES } from './protocol/constants.ts';
import { ReceiveBuffer } from './protocol/request.ts';

/** Buffers kept for reuse; beyond these, memory goes back to the collector. */
const SPARE_BUFFERS = 8;

/** The buffer that the next request is received into, and spare ones for when a sleeping write keeps it. */
export class BufferPool {
  readonly #spares: ReceiveBuffer[] = [];
  #keptCount = 0;
  current = new ReceiveBuffer(RECEIVE_BUFFER_BYTES);

  /** Whether keeping the current buffer takes no memory that would not be used anyway. */
  get hasSpare(): boolean {
    return this.#keptCount < SPARE_BUFFERS;
  }

  /** Takes the current buffer out of circulation. */
  keepCurrent(): ReceiveBuffer {
    this.#keptCount++;
    const kept = this.current;
    this.current = this.#spares.pop() ?? new ReceiveBuffer(RECEIVE_BUFFER_BYTES);
    return kept;
  }

  giveBack(buffer: ReceiveBuffer): void {
    this.#keptCount--;
    if (this.#spares.length < SPARE_BUFFERS) this.#spares.push(buffer);
  }
}
