import { UsageFailure } from './failure.ts';

/** Node's timers take no more. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

/** Seconds, fractions allowed, in milliseconds. */
export function parseTimeout(text: string): number {
  const milliseconds = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text) ? Number(text) * MS_PER_SECOND : NaN;
  if (milliseconds <= LONGEST_TIMEOUT_MS) return milliseconds;
  const longest = Math.floor(LONGEST_TIMEOUT_MS / MS_PER_SECOND);
  throw new UsageFailure(`--timeout takes seconds from 0 to ${longest}, fractions allowed, not '${text}'`);
}

export function parseCount(text: string): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && Number.isSafeInteger(count)) return count;
  throw new UsageFailure(`--count takes a number of events, 1 or more, not '${text}'`);
}
