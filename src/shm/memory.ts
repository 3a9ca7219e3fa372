import type { Operation } from '../kern/operation.ts';
import { roundToPages } from './limits.ts';

/** The memory of one segment (the original's anonymous object). A host adds what it needs to map it. */
export interface SegmentBacking {
  /** Whole pages. */
  readonly sizeBytes: number;
  /** Wires every page: 0 or a negative errno, with nothing wired. */
  lock(): number;
  /** Undoes `lock`; nothing happens when nothing is wired. */
  unlock(): void;
  /** Gives the memory back, wired or not. Called once, when no mapping made here is left. */
  free(): void;
}

/** Where segments get their memory. */
export interface SegmentMemory {
  /**
   * Memory full of zeros, of `sizeBytes` bytes, a multiple of the page size; or a negative errno. May sleep: the segment is in
   * creation meanwhile.
   */
  allocate(sizeBytes: number): Operation<SegmentBacking | number>;
  /** Asks for a table of that many slots, before the present one is given up: 0 or a negative errno (S70). */
  reserveTable(slotCount: number): number;
  /** Gives up a table of that many slots. */
  releaseTable(slotCount: number): void;
}

/** A segment within this program. */
export class HeapBacking implements SegmentBacking {
  readonly bytes: Uint8Array;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(roundToPages(sizeBytes));
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  lock(): number {
    return 0;
  }

  unlock(): void {
    // Nothing here is ever paged out by our doing.
  }

  free(): void {
    // The collector takes it.
  }
}

/** Segments within this program: for hosts that cannot share memory, and for tests. */
export class HeapMemory implements SegmentMemory {
  *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    return new HeapBacking(sizeBytes);
  }

  reserveTable(_slotCount: number): number {
    return 0;
  }

  releaseTable(_slotCount: number): void {
    // Tables are objects of the collector's.
  }
}
