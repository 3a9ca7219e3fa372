/** Something with invariants that a test has made. */
export interface Checked {
  checkInvariants(): void;
}

/** Random tests make thousands within one test: the oldest of more than this many is checked at once, and let go. */
const LIMIT = 32;

const made: Checked[] = [];

/** Has the invariants of `checked` looked at when the current test has ended. */
export function checkAtEnd(checked: Checked): void {
  made.push(checked);
  if (made.length > LIMIT) made.shift()!.checkInvariants();
}

/** Looks at everything that was made since the last call. */
export function checkAll(): void {
  for (const checked of made.splice(0)) checked.checkInvariants();
}
