/** A seeded generator of uniform random numbers (mulberry32): the same seed always gives the same test. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Begins again with another seed. */
  restart(seed: number): void {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** An integer from `lowest` to `highest`. */
  between(lowest: number, highest: number): number {
    return lowest + this.below(highest - lowest + 1);
  }

  /** True once in `count` times. */
  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Thousands of random histories take a quiet machine seconds, and a busy one minutes. */
export const longTest = { timeout: 300_000 };

/** The seed that IPCFS_SEED asks for, or a new one. Tests print it, so that a failure can be repeated. */
export function seedFromEnvironment(): number {
  const text = process.env['IPCFS_SEED'];
  if (text === undefined || text === '') return Math.floor(Math.random() * 2 ** 32);
  const seed = Number(text);
  if (!Number.isSafeInteger(seed)) throw new Error(`IPCFS_SEED is not an integer: ${text}`);
  return seed >>> 0;
}
