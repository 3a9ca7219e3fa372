import { EINVAL } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import type { SegmentBacking } from './memory.ts';
import { PAGE_SIZE_BYTES } from './limits.ts';

export interface MapRequest {
  readonly backing: SegmentBacking;
  /** Whole pages. */
  readonly sizeBytes: number;
  /** Where to map, and nowhere else; null lets the address space choose. */
  readonly address: number | null;
  /** False: neither writable now nor to be made so later (S37). */
  readonly isWritable: boolean;
}

/** Where a process has its mappings. Addresses are multiples of the page size, and no two mappings overlap. */
export interface AddressSpace {
  /** Maps a segment, shared with children: the address, or a negative errno. May sleep. */
  map(request: MapRequest): Operation<number>;
  unmap(address: number, sizeBytes: number): void;
  /** Wires a mapping: 0 or a negative errno. */
  wire(address: number, sizeBytes: number): number;
  /** Undoes `wire`: 0 or a negative errno. */
  unwire(address: number, sizeBytes: number): number;
}

/**
 * The address space of something that maps nothing through us: an open file description of a mount, whose mappings are made by
 * the host's own mmap. An address is a ticket that names one attachment; it cannot be chosen (EINVAL).
 */
export class TicketSpace implements AddressSpace {
  #lastTicket = 0;

  *map(request: MapRequest): Operation<number> {
    if (request.address !== null) return -EINVAL;
    this.#lastTicket += PAGE_SIZE_BYTES;
    return this.#lastTicket;
  }

  unmap(_address: number, _sizeBytes: number): void {
    // The host unmaps.
  }

  wire(_address: number, _sizeBytes: number): number {
    return 0;
  }

  unwire(_address: number, _sizeBytes: number): number {
    return 0;
  }
}
