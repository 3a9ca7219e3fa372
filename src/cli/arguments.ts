import { UsageFailure } from './failures.ts';

/** Takes one of `choices`; what refuses others names `what` (`--shm-backing`), as every refusal of a value does. */
export function oneOf<T extends string>(what: string, choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text);
    if (choice !== undefined) return choice;
    const known = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)!}`;
    throw new UsageFailure(`${what} takes ${known}, not '${text}'`);
  };
}

/** Node's timers take no more. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

/** Seconds, fractions allowed, in milliseconds. */
export function parseSeconds(what: string, text: string): number {
  const milliseconds = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text) ? Number(text) * MS_PER_SECOND : NaN;
  if (milliseconds <= LONGEST_TIMEOUT_MS) return milliseconds;
  const longest = Math.floor(LONGEST_TIMEOUT_MS / MS_PER_SECOND);
  throw new UsageFailure(`${what} takes seconds from 0 to ${longest}, fractions allowed, not '${text}'`);
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** A time with its unit, in milliseconds. */
export function parseDuration(what: string, text: string): number {
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m)$/.exec(text);
  if (match !== null) return Number(match[1]) * DURATION_UNITS_MS[match[2]!]!;
  throw new UsageFailure(`${what} takes a time with its unit, as 500ms, 5s or 2m, not '${text}'`);
}
