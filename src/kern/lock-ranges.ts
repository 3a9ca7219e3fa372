/** Bytes that one owner has locked. Both ends belong to the range; `end` is Infinity for one that goes on past any end of file. */
export interface LockRange {
  readonly start: number;
  readonly end: number;
  readonly isExclusive: boolean;
}

export function overlaps(one: LockRange, other: LockRange): boolean {
  return one.start <= other.end && other.start <= one.end;
}

/** The position of the first range, of ranges in order, that ends at `start` or later. */
export function firstEndingAt(ranges: readonly LockRange[], start: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.end < start) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The ranges of one owner after it has locked `wanted`, or unlocked it (`isLocked` false). They stay disjoint and in order, and neighbours
 * of one type are one range.
 */
export function changeRanges(
  ranges: readonly LockRange[],
  wanted: LockRange,
  isLocked: boolean,
): readonly LockRange[] {
  let { start, end } = wanted;
  const changed: LockRange[] = [];
  for (const range of ranges) {
    const isSame = isLocked && range.isExclusive === wanted.isExclusive;
    if (isSame && range.start <= end + 1 && range.end + 1 >= start) {
      start = Math.min(start, range.start);
      end = Math.max(end, range.end);
    } else if (!overlaps(range, wanted)) {
      changed.push(range);
    } else {
      if (range.start < wanted.start) changed.push({ ...range, end: wanted.start - 1 });
      if (range.end > wanted.end) changed.push({ ...range, start: wanted.end + 1 });
    }
  }
  if (!isLocked) return changed;
  const next = changed.findIndex((range) => range.start > end);
  changed.splice(next < 0 ? changed.length : next, 0, { start, end, isExclusive: wanted.isExclusive });
  return changed;
}
