import { RESENT } from '../protocol/request.ts';
import type { RingEntry } from './ring-entry.ts';

const TWO_32 = 0x1_0000_0000;

/** The entries of requests that are not answered. Most requests are answered before the next one is received. */
export class UnansweredEntries {
  /** That of the request that was received last. */
  #current: RingEntry | null = null;
  /** Those of other requests, by unique. */
  readonly #held = new Map<number, RingEntry>();

  received(entry: RingEntry): void {
    const current = this.#current;
    if (current !== null) this.#held.set(keyOf(current.uniqueLow, current.uniqueHigh), current);
    this.#current = entry;
  }

  /** Takes out the entry of a request that is being answered; null for what is none. */
  take(uniqueLow: number, uniqueHigh: number): RingEntry | null {
    const current = this.#current;
    if (current !== null && current.uniqueLow === uniqueLow && current.uniqueHigh === uniqueHigh) {
      this.#current = null;
      return current;
    }
    const key = keyOf(uniqueLow, uniqueHigh);
    const entry = this.#held.get(key);
    if (entry === undefined) return null;
    this.#held.delete(key);
    return entry;
  }
}

/** A unique as a number, without the mark of a request that comes again. */
function keyOf(low: number, high: number): number {
  return low + (high & ~RESENT) * TWO_32;
}
