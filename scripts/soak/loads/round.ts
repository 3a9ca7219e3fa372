import type { Random } from '../../../test/support/random.ts';
import { shell } from '../children.ts';

/** One turn of a load: what it may use. Whatever it makes it takes away again, unless it throws. */
export interface Round {
  /** The root of the mount. */
  readonly directory: string;
  /** A file of random bytes, and what is in it. */
  readonly source: string;
  readonly sourceBytes: Uint8Array;
  readonly random: Random;
  /** A word that no other turn has, for names. */
  readonly name: string;
  /** A number that no other turn has, from 1 on, for keys. */
  readonly number: number;
}

/** Throws when something is not as it must be. */
export type Load = (round: Round) => Promise<void>;

/** Runs a script in the mount's root; what it prints. */
export function sh({ directory }: Round, script: string): Promise<string> {
  return shell(script, directory);
}

export function expectSame(what: string, seen: string, expected: string): void {
  if (seen !== expected)
    throw new Error(`${what}: ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
}

/** An integer up to `limit` whose logarithm is uniform: small ones are as frequent as large ones. */
export function sizeUpTo(random: Random, limit: number): number {
  return Math.max(1, Math.floor(limit ** (random.below(10_001) / 10_000)));
}
