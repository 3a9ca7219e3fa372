/** Names of the text form, in both directions, and its numbers. */

import {
  EVFILT_AIO,
  EVFILT_EXCEPT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
  EV_EOF,
  EV_ONESHOT,
} from '../kern/klist.ts';
import * as k from './kevent.ts';

export const filterNumbers = new Map<string, number>([
  ['read', EVFILT_READ],
  ['write', EVFILT_WRITE],
  ['aio', EVFILT_AIO],
  ['vnode', EVFILT_VNODE],
  ['proc', EVFILT_PROC],
  ['signal', EVFILT_SIGNAL],
  ['timer', EVFILT_TIMER],
  ['except', EVFILT_EXCEPT],
  ['user', EVFILT_USER],
]);

const filterNames = new Map([...filterNumbers].map(([name, number]) => [number, name]));

/** A number for a filter that has no name: binary changes can ask for any. */
export function filterName(filter: number): string {
  return filterNames.get(filter) ?? String(filter);
}

export const verbFlags = new Map<string, number>([
  ['add', k.EV_ADD],
  ['delete', k.EV_DELETE],
  ['enable', k.EV_ENABLE],
  ['disable', k.EV_DISABLE],
  ['modify', 0],
]);

export const flagOptions = new Map<string, number>([
  ['oneshot', EV_ONESHOT],
  ['clear', k.EV_CLEAR],
  ['dispatch', k.EV_DISPATCH],
  ['receipt', k.EV_RECEIPT],
  ['disable', k.EV_DISABLE],
  ['enable', k.EV_ENABLE],
]);

/** Flags that an event shows, in alphabetical order. What a change asks to be done is not shown (decision D9). */
const shownFlags: readonly (readonly [string, number])[] = [
  ['clear', k.EV_CLEAR],
  ['dispatch', k.EV_DISPATCH],
  ['eof', EV_EOF],
  ['nodata', k.EV_NODATA],
  ['oneshot', EV_ONESHOT],
];

const SHOWN_FLAGS = shownFlags.reduce((mask, [, bit]) => mask | bit, 0);

const vnodeNotes = new Map<string, number>([
  ['attrib', k.NOTE_ATTRIB],
  ['delete', k.NOTE_DELETE],
  ['extend', k.NOTE_EXTEND],
  ['link', k.NOTE_LINK],
  ['rename', k.NOTE_RENAME],
  ['revoke', k.NOTE_REVOKE],
  ['write', k.NOTE_WRITE],
]);

const processNotes = new Map<string, number>([
  ['exec', k.NOTE_EXEC],
  ['exit', k.NOTE_EXIT],
  ['fork', k.NOTE_FORK],
  ['track', k.NOTE_TRACK],
]);

const noNotes = new Map<string, number>();

const userNotes = new Map<string, number>([['trigger', k.NOTE_TRIGGER]]);

/** Words for bits of fflags that a change of this filter may have as options. */
export function noteOptions(filter: number): ReadonlyMap<string, number> {
  if (filter === EVFILT_VNODE) return vnodeNotes;
  if (filter === EVFILT_PROC) return processNotes;
  return filter === EVFILT_USER ? userNotes : noNotes;
}

const shownProcessNotes: readonly (readonly [string, number])[] = [
  ['child', k.NOTE_CHILD],
  ...processNotes,
  ['trackerr', k.NOTE_TRACKERR],
];

/** `0x12`, and `0` for nothing. */
export function formatHex(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}

function formatBits(bits: number, names: Iterable<readonly [string, number]>, none: string): string {
  const words: string[] = [];
  let rest = bits;
  for (const [name, bit] of names) {
    if ((bits & bit) === 0) continue;
    words.push(name);
    rest = (rest & ~bit) >>> 0;
  }
  if (rest !== 0) words.push(formatHex(rest));
  return words.length === 0 ? none : words.join(',');
}

export function formatFlags(flags: number): string {
  return formatBits(flags & SHOWN_FLAGS, shownFlags, '-');
}

export function formatFflags(filter: number, fflags: number): string {
  if (filter === EVFILT_VNODE) return formatBits(fflags, vnodeNotes, '0');
  if (filter === EVFILT_PROC) return formatBits(fflags, shownProcessNotes, '0');
  return formatHex(fflags);
}

/** Signals by their names without SIG, in Linux's numbering. */
const signalNumbers = new Map<string, number>(
  (
    'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU ' +
    'XFSZ VTALRM PROF WINCH IO PWR SYS'
  )
    .split(' ')
    .map((name, index) => [name, index + 1]),
);

/** The number of `USR1` or `SIGUSR1`, in any case; null when there is no such name. */
export function signalNumber(name: string): number | null {
  const upper = name.toUpperCase();
  return signalNumbers.get(upper.startsWith('SIG') ? upper.slice(3) : upper) ?? null;
}

const LOWEST = -(2n ** 63n);
const HIGHEST = 2n ** 64n - 1n;

/**
 * A decimal or 0x-hexadecimal integer of 64 bits, with a sign or without; a bigint when it is not a safe integer; null when it is
 * none.
 */
export function parseInteger64(text: string): number | bigint | null {
  const match = /^(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.exec(text);
  if (match === null) return null;
  const magnitude = BigInt(match[2]!);
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (value < LOWEST || value > HIGHEST) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
