import { addressOf } from '../../../host/linux/io/io-vector.ts';
import { assert } from '../../../kern/assert.ts';
import type { Host } from '../../../kern/host.ts';
import { allocate } from '../../../kern/memory.ts';
import { IN_HEADER_BYTES, RECEIVE_BUFFER_BYTES } from '../protocol/constants.ts';
import { WriteIn } from '../protocol/layouts.ts';
import { ReceiveBuffer } from '../protocol/request.ts';

/** Buffers kept for reuse; beyond these, memory goes back to the collector. */
const SPARE_BUFFERS = 8;
const PAGE_BYTES = 4096;
/** Where the bytes of a WRITE begin. */
const PAYLOAD_START = IN_HEADER_BYTES + WriteIn.bytes;
/** A page of it is not used: which part, its address decides. */
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
  /** Buffers out of circulation, by their memory. */
  readonly #kept = new Map<ArrayBufferLike, ReceiveBuffer>();
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
    this.#kept.set(kept.bytes.buffer, kept);
    this.current = next;
    return kept;
  }

  /** The buffer out of circulation that bytes of this memory lie in; undefined for other memory, and for the current buffer. */
  keptBuffer(memory: ArrayBufferLike): ReceiveBuffer | undefined {
    return this.#kept.get(memory);
  }

  /** Nobody needs the buffer any more, once the answers that are under way from it have been sent. */
  giveBack(buffer: ReceiveBuffer): void {
    if (buffer.answersUnderWay > 0) {
      buffer.isGivenBack = true;
      return;
    }
    buffer.isGivenBack = false;
    this.#kept.delete(buffer.bytes.buffer);
    this.#keptCount--;
    if (this.#spares.length < SPARE_BUFFERS) this.#spares.push(buffer);
  }

  /** An answer whose bytes lie in this buffer has been sent. */
  sent(buffer: ReceiveBuffer): void {
    assert(buffer.answersUnderWay > 0, 'an answer is sent once');
    buffer.answersUnderWay--;
    if (buffer.isGivenBack) this.giveBack(buffer);
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    assert(this.#spares.length <= SPARE_BUFFERS, 'no more buffers are kept for reuse than their limit');
    assert(this.#kept.size === this.#keptCount, 'buffers out of circulation are counted');
    const seen = new Set<ReceiveBuffer>([this.current, ...this.#spares, ...this.#kept.values()]);
    assert(seen.size === 1 + this.#spares.length + this.#kept.size, 'a buffer is in one place');
    for (const spare of this.#spares) {
      assert(spare.answersUnderWay === 0, 'nobody sends from a spare buffer');
    }
    for (const buffer of this.#kept.values()) {
      assert(!buffer.isGivenBack || buffer.answersUnderWay > 0, 'only answers under way hold a buffer back');
    }
  }

  #another(): ReceiveBuffer | null {
    const memory = allocate(this.#host, ALLOCATED_BYTES);
    return memory === null ? null : aligned(memory.buffer as ArrayBuffer);
  }
}
