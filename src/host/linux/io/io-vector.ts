import * as libc from '../libc.ts';

const TWO_32 = 0x1_0000_0000;
/** struct iovec in 32-bit words: address and length, two each. */
const WORDS = 4;

/**
 * Addresses of buffers that were in a vector before: they do not move, and asking for one makes a bigint. The processors that are
 * served have 48 or 57 bits of address, of which a process has less than 2^53.
 */
const addresses = new WeakMap<ArrayBufferLike, number>();

export function addressOf(buffer: ArrayBufferLike): number {
  let address = addresses.get(buffer);
  if (address === undefined) {
    address = Number(libc.addressOf(new Uint8Array(buffer)));
    addresses.set(buffer, address);
  }
  return address;
}

/** An array of struct iovec for writev(2), which is filled anew for each call without an allocation. */
export class IoVector {
  readonly #words: Uint32Array;

  constructor(capacity: number) {
    this.#words = new Uint32Array(WORDS * capacity);
  }

  /** Makes the entry at `index` stand for `length` bytes of `view`, from `start` on. */
  set(index: number, view: Uint8Array, start: number, length: number): void {
    const address = addressOf(view.buffer) + view.byteOffset + start;
    const at = WORDS * index;
    this.#words[at] = address;
    this.#words[at + 1] = address / TWO_32;
    // Of the length's upper word only zeros are needed, which are there.
    this.#words[at + 2] = length;
  }

  /** Writes what `count` entries from `first` on stand for: bytes written, or -1. */
  write(descriptor: number, count: number, first = 0): number {
    const words = first === 0 ? this.#words : this.#words.subarray(first * WORDS);
    return libc.writev(descriptor, words, count);
  }

  /** Where the entry at `index` lies, for a writev(2) that is not made here. */
  addressOf(index: number): number {
    return addressOf(this.#words.buffer) + index * WORDS * Uint32Array.BYTES_PER_ELEMENT;
  }
}
