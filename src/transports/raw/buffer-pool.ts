import { addressOf } from '../../host/linux/io-vector.ts';
import type { Host } from '../../kern/host.ts';
import { allocate } from '../../kern/memory.ts';
import { IN_HEADER_BYTES, RECEIVE_BUFFER_BYTES } from './protocol/constants.ts';
import { WriteIn } from './protocol/layouts.ts';
import { ReceiveBuffer } from './protocol/request.ts';

/** Buffers kept for reuse; beyond these, memory goes back to the collector. */
const SPARE_BUFFERS = 8;
const PAGE_BYTES = 4096;
/** Where the bytes of a WRITE begin. */
const PAYLOAD_START = IN_HEADER_BYTES + WriteIn.bytes;
/** Some pages of it are not used: which, its address decides. */
const ALLOCATED_BYTES = RECEIVE_BUFFER_BYTES + PAGE_BYTES;

/**
 * A buffer in which a WRITE's bytes begin where a page does. The kernel copies page by page: a page that lies across two of the
 * other side takes two copies.
 */
function aligned(memory: ArrayBuffer): ReceiveBuffer {
  const beyond = (addressOf(memory) + PAYLOAD_START) % PAGE_BYTES;
  return new ReceiveBuffer(memory, (PAGE_BYTES - beyond) % PAGE_BYTES, RECEIVE_BUFFER_BYTES);
}

/** The buffer that the next request is received into, and spare ones for when a sleeping write keeps it. */
export class BufferPool {
  readonly #host: Host;
  readonly #spares: ReceiveBuffer[] = [];
  #keptCount = 0;
  current = aligned(new ArrayBuffer(ALLOCATED_BYTES));

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
    const memory = allocate(this.#host, ALLOCATED_BYTES);
    return memory === null ? null : aligned(memory.buffer as ArrayBuffer);
  }
}
