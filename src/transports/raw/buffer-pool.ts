import { RECEIVE_BUFFER_BYTES } from './protocol/constants.ts';
import type { Host } from '../../kern/host.ts';
import { allocate } from '../../kern/memory.ts';
import { ReceiveBuffer } from './protocol/request.ts';

/** Buffers kept for reuse; beyond these, memory goes back to the collector. */
const SPARE_BUFFERS = 8;

/** The buffer that the next request is received into, and spare ones for when a sleeping write keeps it. */
export class BufferPool {
  readonly #host: Host;
  readonly #spares: ReceiveBuffer[] = [];
  #keptCount = 0;
  current = new ReceiveBuffer(new ArrayBuffer(RECEIVE_BUFFER_BYTES));

  constructor(host: Host) {
    this.#host = host;
  }

  /** Whether keeping the current buffer takes no memory that would not be used anyway. */
  get hasSpare(): boolean {
    return this.#keptCount < SPARE_BUFFERS;
  }

  /** Takes the current buffer out of circulation; null when there is no memory for another. */
  keepCurrent(): ReceiveBuffer | null {
    const next = this.#spares.pop() ?? this.#another();
    if (next === null) return null;
    this.#keptCount++;
    const kept = this.current;
    this.current = next;
    return kept;
  }

  giveBack(buffer: ReceiveBuffer): void {
    this.#keptCount--;
    if (this.#spares.length < SPARE_BUFFERS) this.#spares.push(buffer);
  }

  #another(): ReceiveBuffer | null {
    const memory = allocate(this.#host, RECEIVE_BUFFER_BYTES);
    return memory === null ? null : new ReceiveBuffer(memory.buffer as ArrayBuffer);
  }
}
