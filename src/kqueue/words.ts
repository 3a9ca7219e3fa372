/** Words of the text form, in both directions. */

import { EV_EOF, EV_ONESHOT } from '../kern/klist.ts';
import { NO_NOTES } from './filters/filter.ts';
import { filterOf, filters } from './filters/list.ts';
import * as k from './kevent.ts';
import { formatBits, formatHex } from './numbers.ts';

export const filterNumbers: ReadonlyMap<string, number> = new Map(
  filters.map(({ name, number }) => [name, number]),
);

/** A number for a filter that has no name: binary changes can ask for any. */
export function filterName(filter: number): string {
  return filterOf(filter)?.name ?? String(filter);
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

/** Words for bits of fflags that a change of this filter may have as options. */
export function noteOptions(filter: number): ReadonlyMap<string, number> {
  return filterOf(filter)?.notes ?? NO_NOTES;
}

export function formatFlags(flags: number): string {
  return formatBits(flags & SHOWN_FLAGS, shownFlags, '-');
}

export function formatFflags(filter: number, fflags: number): string {
  return filterOf(filter)?.formatFflags(fflags) ?? formatHex(fflags);
}
