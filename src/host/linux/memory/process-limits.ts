import { openSync, readSync } from 'node:fs';
import type { MemoryLimit } from '../../memory-room.ts';
import * as libc from '../libc.ts';
import * as memoryCalls from './memory-calls.ts';

const PAGE_SIZE_BYTES = 4096;
const RLIM_INFINITY = 2n ** 64n - 1n;

/** What a call needs for a moment, and V8 to collect garbage. */
export const RESERVE_BYTES = 32 * 1024 ** 2;
/** The part of it that has to be free beside what is held. */
const FREE_BYTES = 8 * 1024 ** 2;

/** Words of /proc/self/statm, in pages: all that is mapped, and what is private and writable. */
const STATM_SIZE = 0;
const STATM_DATA = 5;

/**
 * The limits of this process's address space (RLIMIT_AS) and of its private memory (RLIMIT_DATA). A reserve of both is held from the
 * start, and given up when they run short: lowering a limit below the use does not leave V8 without a page.
 */
export class ProcessLimits implements MemoryLimit {
  /** Where the reserve is mapped; -1 when it is not held. */
  #reservedAt = -1;
  readonly #text = Buffer.alloc(128);
  readonly #limits = new BigUint64Array(2);
  /** /proc/self/statm; -1 until it could be opened. */
  #descriptor = -1;

  /** Takes the reserve, as far as it can be had. */
  hold(): void {
    if (this.#reservedAt < 0) this.#reservedAt = memoryCalls.reserveAddresses(RESERVE_BYTES);
  }

  roomBytes(): number {
    const sizeBytes = this.#limitOf(libc.RLIMIT_AS);
    const dataBytes = this.#limitOf(libc.RLIMIT_DATA);
    if (sizeBytes === Infinity && dataBytes === Infinity) return Infinity;
    const words = this.#statm();
    if (words === null) return Infinity;
    const usedBytes = (word: number): number => Number(words[word]) * PAGE_SIZE_BYTES;
    const freeBytes = Math.min(sizeBytes - usedBytes(STATM_SIZE), dataBytes - usedBytes(STATM_DATA));
    if (this.#reservedAt >= 0) {
      if (freeBytes < FREE_BYTES) {
        memoryCalls.munmap(this.#reservedAt, RESERVE_BYTES);
        this.#reservedAt = -1;
      }
      return freeBytes - FREE_BYTES;
    }
    if (freeBytes > 2 * RESERVE_BYTES) this.hold();
    return freeBytes - RESERVE_BYTES - FREE_BYTES;
  }

  reusableBytes(): number {
    return memoryCalls.freedBytes();
  }

  #limitOf(resource: number): number {
    if (libc.getrlimit(resource, this.#limits) !== 0 || this.#limits[0] === RLIM_INFINITY) return Infinity;
    return Number(this.#limits[0]);
  }

  #statm(): readonly string[] | null {
    try {
      if (this.#descriptor < 0) this.#descriptor = openSync('/proc/self/statm', 'r');
      const length = readSync(this.#descriptor, this.#text, 0, this.#text.length, 0);
      return this.#text.toString('latin1', 0, length).split(' ');
    } catch {
      // Without descriptors nothing can be found out.
      return null;
    }
  }
}
