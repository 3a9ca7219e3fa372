import { ENOSPC } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import { HeapBacking, HeapMemory, type SegmentBacking, type SegmentMemory } from './memory.ts';

/** Memory of a segment as files need it: the daemon's own view of what processes map. */
export interface SegmentStorage extends SegmentBacking {
  /** A descriptor of the memory that a transport can let processes map; -1 when there is none. */
  readonly descriptor: number;
  /** Copies from `position` on into `target`, all of it: the caller stays within the segment. */
  read(position: number, target: Uint8Array): void;
  /** Copies `source` to `position`. 0, or a negative errno when there is no memory for it. */
  write(position: number, source: Uint8Array): number;
}

/** Where segments that are files get their memory. */
export interface StorageMemory extends SegmentMemory {
  /** Memory for a file whose size is not known yet: it grows as it is written. A negative errno when there is none. */
  stage(): SegmentStorage | number;
  /** The next `allocate` takes this staged memory, with what has been written to it, and fixes its size. */
  adopt(staged: SegmentStorage | null): void;
}

/** Storage in this program's own memory, which nobody can map: for tests of the tree. */
class HeapStorage implements SegmentStorage {
  #backing: HeapBacking;
  readonly descriptor = -1;

  constructor(sizeBytes: number) {
    this.#backing = new HeapBacking(sizeBytes);
  }

  get sizeBytes(): number {
    return this.#backing.sizeBytes;
  }

  fix(sizeBytes: number): void {
    const grown = new HeapBacking(sizeBytes);
    grown.bytes.set(this.#backing.bytes.subarray(0, grown.sizeBytes));
    this.#backing = grown;
  }

  read(position: number, target: Uint8Array): void {
    target.set(this.#backing.bytes.subarray(position, position + target.length));
  }

  write(position: number, source: Uint8Array): number {
    const end = position + source.length;
    if (end > Number.MAX_SAFE_INTEGER) return -ENOSPC;
    if (end > this.sizeBytes) this.fix(end);
    this.#backing.bytes.set(source, position);
    return 0;
  }

  lock(): number {
    return this.#backing.lock();
  }

  unlock(): void {
    this.#backing.unlock();
  }

  free(): void {
    this.#backing.free();
  }
}

export class HeapStorageMemory implements StorageMemory {
  readonly #heap = new HeapMemory();
  #adopted: HeapStorage | null = null;

  stage(): SegmentStorage {
    return new HeapStorage(0);
  }

  adopt(staged: SegmentStorage | null): void {
    this.#adopted = staged as HeapStorage | null;
  }

  *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    const storage = this.#adopted ?? new HeapStorage(0);
    this.#adopted = null;
    storage.fix(sizeBytes);
    return storage;
  }

  reserveTable(slotCount: number): number {
    return this.#heap.reserveTable(slotCount);
  }

  releaseTable(slotCount: number): void {
    this.#heap.releaseTable(slotCount);
  }
}
