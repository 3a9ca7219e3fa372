import type { Timespec } from '../kern/clock.ts';

const MS_PER_SECOND = 1000;
const NANOSECONDS_PER_MS = 1_000_000;

/** A time as JavaScript has it, in whole milliseconds. */
export function dateOf({ seconds, nanoseconds }: Timespec): Date {
  return new Date(seconds * MS_PER_SECOND + Math.floor(nanoseconds / NANOSECONDS_PER_MS));
}
