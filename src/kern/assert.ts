/** A broken invariant of this program; never the caller's mistake, which is a negative errno. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws when `condition` does not hold; `fact` says what should have been true. */
export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw new AssertionFailure(fact);
}
