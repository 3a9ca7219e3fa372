const WORD_BITS = 32;

function wordsFor(count: number): number {
  return Math.ceil(count / WORD_BITS);
}

/**
 * A set of slot numbers that knows its lowest member without a search. Bitmaps in levels: a bit of one level says that the
 * word of the level below has a bit set, up to a level of one word.
 */
export class FreeSlots {
  /** Lowest level first. */
  readonly #levels: Uint32Array[] = [];

  /** Room for the numbers 0 to `capacity` - 1; none is in the set. */
  constructor(capacity: number) {
    let words = wordsFor(capacity);
    this.#levels.push(new Uint32Array(words));
    while (words > 1) {
      words = wordsFor(words);
      this.#levels.push(new Uint32Array(words));
    }
  }

  has(slot: number): boolean {
    return (this.#levels[0]![slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }

  add(slot: number): void {
    let position = slot;
    for (const level of this.#levels) {
      level[position >>> 5]! |= 1 << (position & 31);
      position >>>= 5;
    }
  }

  delete(slot: number): void {
    let position = slot;
    for (const level of this.#levels) {
      const word = (level[position >>> 5]! &= ~(1 << (position & 31)));
      if (word !== 0) return;
      position >>>= 5;
    }
  }

  /** The lowest member, -1 when there is none. */
  lowest(): number {
    let position = 0;
    for (let index = this.#levels.length - 1; index >= 0; index--) {
      const word = this.#levels[index]![position]!;
      if (word === 0) return -1;
      position = position * WORD_BITS + (31 - Math.clz32(word & -word));
    }
    return position;
  }
}
