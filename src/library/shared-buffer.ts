import { EINVAL, ENOMEM } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import type { AddressSpace, MapRequest } from '../shm/address-space.ts';
import { PAGE_SIZE_BYTES } from '../shm/limits.ts';
import { HeapMemory, type SegmentBacking } from '../shm/memory.ts';

/** A segment that this program's threads can share. */
class SharedBufferBacking implements SegmentBacking {
  readonly bytes: Uint8Array<SharedArrayBuffer>;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(new SharedArrayBuffer(sizeBytes));
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  lock(): number {
    return 0;
  }

  unlock(): void {
    // Nothing is paged out by our doing.
  }

  free(): void {
    // The collector takes it, once no view of it is left.
  }
}

/** Segments as SharedArrayBuffers. */
export class SharedBufferMemory extends HeapMemory {
  override *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    try {
      return new SharedBufferBacking(sizeBytes);
    } catch {
      // The runtime has no more memory for buffers, or none of that size.
      return -ENOMEM;
    }
  }
}

/** The attachments of one user of segments: an address is a number that stands for a view. */
export class ViewSpace implements AddressSpace {
  readonly #views = new Map<number, SharedBufferBacking>();
  #lastAddress = 0;

  /** The views of a child process: the same addresses. */
  copy(): ViewSpace {
    const copy = new ViewSpace();
    for (const [address, backing] of this.#views) copy.#views.set(address, backing);
    copy.#lastAddress = this.#lastAddress;
    return copy;
  }

  *map({ backing, address }: MapRequest): Operation<number> {
    if (address !== null) return -EINVAL;
    this.#lastAddress += PAGE_SIZE_BYTES;
    this.#views.set(this.#lastAddress, backing as SharedBufferBacking);
    return this.#lastAddress;
  }

  unmap(address: number): void {
    this.#views.delete(address);
  }

  wire(): number {
    return 0;
  }

  unwire(): number {
    return 0;
  }

  /** The memory behind an address, whole pages; null when nothing is attached there. */
  bytesAt(address: number): Uint8Array<SharedArrayBuffer> | null {
    return this.#views.get(address)?.bytes ?? null;
  }
}
