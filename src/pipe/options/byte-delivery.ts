import type { Credentials } from '../../kern/credentials.ts';
import type { File } from '../../kern/file.ts';
import type { ReadUio } from '../../kern/uio.ts';
import type { Delivery } from './delivery.ts';
import type { Queue } from './queue.ts';

/** Reads take bytes, wherever records end, as BSD's do. */
export class ByteDelivery implements Delivery {
  readonly frontBytes = 0;
  readonly heldBytes = 0;
  readonly #queue: Queue;

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  get reservedBytes(): number {
    return 0;
  }

  take(_file: File, uio: ReadUio, _credentials: Credentials): number {
    const length = Math.min(uio.residual, this.#queue.ring.count);
    if (length === 0) return 0;
    const error = this.#queue.ring.show(uio, 0, length);
    if (error !== 0) return error;
    this.#queue.readOffset = this.#queue.ringOffset;
    this.#queue.consume(length);
    return length;
  }

  readableBytes(): number {
    return this.#queue.ring.count;
  }

  descriptorClosed(): void {
    // Bytes that are read are the reader's.
  }

  closed(): void {
    // As above.
  }

  wrote(_file: File, _credentials: Credentials, _sizeBytes: number): void {
    // Who has written does not matter.
  }

  tailGrew(): void {
    // As above.
  }

  tailGone(): void {
    // No record goes through in pieces.
  }

  divided(): void {
    // Reads take bytes.
  }

  firstDropped(): void {
    // Readers have no place in the ring.
  }

  opened(): void {
    // As above.
  }

  front(): readonly Uint8Array[] {
    return [];
  }

  end(): void {
    // Nothing is kept.
  }

  checkInvariants(): void {
    // Nothing is kept.
  }
}
