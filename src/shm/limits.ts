import { assert } from '../kern/assert.ts';
import type { Host } from '../kern/host.ts';

export const PAGE_SIZE_BYTES = 4096;

/** Slots that an id can tell apart: it has 16 bits for them (SB18). */
export const MAXIMUM_SLOTS = 65536;

export const DEFAULT_SLOTS = 128;
const DEFAULT_ATTACHMENTS_PER_PROCESS = 128;

/** shmmax is a quarter of the machine's memory by default, and at least 4 MiB (S83). */
const MEMORY_SHARE = 4;
const SMALLEST_DEFAULT_PAGES = 1024;

/** shmall has 32 bits (S79). */
export const LARGEST_MAXIMUM_PAGES = 2 ** 32 - 1;
export const LARGEST_MAXIMUM_BYTES = LARGEST_MAXIMUM_PAGES * PAGE_SIZE_BYTES;

export function pagesOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / PAGE_SIZE_BYTES);
}

/** `sizeBytes` rounded up to whole pages. */
export function roundToPages(sizeBytes: number): number {
  return pagesOf(sizeBytes) * PAGE_SIZE_BYTES;
}

/**
 * What segments may use (struct shminfo), but for the number of slots, which the table knows. The largest segment and the
 * total are one limit in two units: writing either sets both (S78). Lowering a limit leaves what exists alone (S80).
 */
export class ShmLimits {
  /** Bytes of the smallest segment (shmmin). */
  readonly minimumBytes = 1;
  #maximumPages: number;
  /** Attachments that a process may have (shmseg). */
  attachmentsPerProcess = DEFAULT_ATTACHMENTS_PER_PROCESS;
  /** Non-zero: new segments and new mappings are wired (shm_use_phys). */
  usePhysical = 0;

  constructor(host: Host) {
    const share = Math.floor(host.memoryBytes / PAGE_SIZE_BYTES / MEMORY_SHARE);
    this.#maximumPages = Math.min(Math.max(share, SMALLEST_DEFAULT_PAGES), LARGEST_MAXIMUM_PAGES);
  }

  /** Pages of all segments together (shmall). */
  get maximumPages(): number {
    return this.#maximumPages;
  }

  /** Bytes of the largest segment (shmmax). */
  get maximumBytes(): number {
    return this.#maximumPages * PAGE_SIZE_BYTES;
  }

  /** Sets shmmaxpgs, from 1 to LARGEST_MAXIMUM_PAGES (S76). */
  setMaximumPages(pages: number): void {
    assert(pages >= 1 && pages <= LARGEST_MAXIMUM_PAGES, 'shmmaxpgs is at least one page, and has 32 bits');
    this.#maximumPages = pages;
  }

  /** Sets shmmax, from one page to LARGEST_MAXIMUM_BYTES, rounded up to a page (S77, S79). */
  setMaximumBytes(bytes: number): void {
    this.setMaximumPages(pagesOf(bytes));
  }

  /** Whether a new segment may have this size. Negative sizes, huge as they are to the caller's size_t, may not (S10). */
  allowsSize(sizeBytes: number): boolean {
    return sizeBytes >= this.minimumBytes && sizeBytes <= this.maximumBytes;
  }
}
