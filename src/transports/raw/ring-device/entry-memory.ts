import * as libc from '../../../host/linux/libc.ts';
import * as memoryCalls from '../../../host/linux/memory/memory-calls.ts';
import { ENTRY_HEADER_BYTES, ENTRY_HEADER_ROOM_BYTES, ENTRY_PAYLOAD_BYTES } from './ring-entry.ts';

/** Memory of several entries. */
export interface EntryBlock {
  /** Words of a header, by the entry's place in the block. */
  header(place: number): Uint32Array;
  payload(place: number): Uint8Array;
  /** Where the two struct iovec of an entry lie. */
  vectorAddress(place: number): number;
}

/** Where the memory of entries comes from: the C library, or tests. */
export interface EntryMemory {
  /** Memory for `count` entries; null when there is none. Pages are taken when they are written. */
  allocate(count: number): EntryBlock | null;
  /** Gives back the pages of an entry's payload, which reads as zeros afterwards. */
  release(payload: Uint8Array): void;
  /** Gives everything back. Nothing of it may be used any more, by the kernel neither. */
  free(): void;
}

const PAGE_BYTES = 4096;
const VECTOR_BYTES = 32;
const VECTOR_WORDS = VECTOR_BYTES / Uint32Array.BYTES_PER_ELEMENT;
const TWO_32 = 0x1_0000_0000;

interface Mapping {
  readonly address: number;
  readonly sizeBytes: number;
}

/** The size of a block of `count` entries. */
export function blockBytes(count: number): number {
  return payloadStart(count) + count * ENTRY_PAYLOAD_BYTES;
}

function payloadStart(count: number): number {
  const bytes = count * (ENTRY_HEADER_ROOM_BYTES + VECTOR_BYTES);
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** Entries in mappings of their own: address space until bytes arrive. */
export class MappedEntryMemory implements EntryMemory {
  #mappings: Mapping[] = [];
  /** Where each block begins, by its memory. */
  readonly #addresses = new Map<ArrayBufferLike, number>();

  allocate(count: number): EntryBlock | null {
    const sizeBytes = blockBytes(count);
    const address = memoryCalls.reserveAddresses(sizeBytes);
    if (address < 0) return null;
    const memory = libc.memoryAt(address, sizeBytes);
    this.#mappings.push({ address, sizeBytes });
    this.#addresses.set(memory, address);
    const vectorsAt = count * ENTRY_HEADER_ROOM_BYTES;
    const payloadsAt = payloadStart(count);
    const vectors = new Uint32Array(memory, vectorsAt, count * VECTOR_WORDS);
    for (let place = 0; place < count; place++) {
      setPart(vectors, 2 * place, address + place * ENTRY_HEADER_ROOM_BYTES, ENTRY_HEADER_BYTES);
      setPart(
        vectors,
        2 * place + 1,
        address + payloadsAt + place * ENTRY_PAYLOAD_BYTES,
        ENTRY_PAYLOAD_BYTES,
      );
    }
    const headerWords = ENTRY_HEADER_ROOM_BYTES / Uint32Array.BYTES_PER_ELEMENT;
    return {
      header: (place) => new Uint32Array(memory, place * ENTRY_HEADER_ROOM_BYTES, headerWords),
      payload: (place) =>
        new Uint8Array(memory, payloadsAt + place * ENTRY_PAYLOAD_BYTES, ENTRY_PAYLOAD_BYTES),
      vectorAddress: (place) => address + vectorsAt + place * VECTOR_BYTES,
    };
  }

  release(payload: Uint8Array): void {
    const address = this.#addresses.get(payload.buffer)! + payload.byteOffset;
    memoryCalls.discardPages(address, payload.length);
  }

  free(): void {
    for (const { address, sizeBytes } of this.#mappings) memoryCalls.munmap(address, sizeBytes);
    this.#mappings = [];
    this.#addresses.clear();
  }
}

/** Part `index` of an array of struct iovec. */
function setPart(vectors: Uint32Array, index: number, address: number, sizeBytes: number): void {
  const at = index * 4;
  vectors[at] = address;
  vectors[at + 1] = address / TWO_32;
  vectors[at + 2] = sizeBytes;
}
