import { aioFilter } from './aio.ts';
import { exceptFilter, openFilter, readFilter, vnodeFilter, writeFilter } from './file.ts';
import type { Filter } from './filter.ts';
import { processFilter } from './process.ts';
import { signalFilter } from './signal.ts';
import { timerFilter } from './timer.ts';
import { userFilter } from './user.ts';

/** Every filter. A new one is a file like those above, and a place in this list. */
export const filters: readonly Filter[] = [
  readFilter,
  writeFilter,
  aioFilter,
  vnodeFilter,
  processFilter,
  signalFilter,
  timerFilter,
  exceptFilter,
  userFilter,
  openFilter,
];

/** By number: ~(-1) is 0. */
const byNumber: readonly (Filter | undefined)[] = filters.reduce<(Filter | undefined)[]>((table, filter) => {
  table[~filter.number] = filter;
  return table;
}, []);

/** How far down the numbers of filters go (EVFILT_SYSCOUNT; K37). */
export const FILTER_COUNT = byNumber.length;

/** The filter with this number; undefined when there is none. */
export function filterOf(number: number): Filter | undefined {
  return byNumber[~number];
}

/** Whether idents of this filter name something with an open file. */
export function namesFile(number: number): boolean {
  return filterOf(number)?.identKind === 'file';
}
