import { type Fill, type Model, type Process, processLabel, type Track } from './model.ts';

/** A line of the timeline. */
export interface TimelineRow {
  readonly label: string;
  /** Of a thread, and not of its process. */
  readonly isInner: boolean;
  readonly track: Track | null;
  readonly fill: Fill | null;
  y: number;
  height: number;
}

const USES: ReadonlySet<string> = new Set([
  'open',
  'create',
  'read',
  'write',
  'poll',
  'ioctl',
  'flock',
  'fcntl',
]);
const TALL = 24;
/** With very many rows. */
const LOW = 14;
const MANY_ROWS = 80;

/**
 * The rows of everything whose name has `filter` in it: processes in the order of their first calls, then pipes, then processes that have
 * used neither a pipe nor another object: they only made or removed names.
 */
export function layOut(model: Model, filter: string): TimelineRow[] {
  const wanted = filter.toLowerCase();
  const has = (label: string): boolean => wanted === '' || label.toLowerCase().includes(wanted);
  const users: TimelineRow[] = [];
  const others: TimelineRow[] = [];
  for (const process of model.processes) {
    if (has(processLabel(process)) || process.tracks.some((track) => concerns(track, wanted)))
      (process.tracks.some(hasUsed) ? users : others).push(...rowsOf(process));
  }
  const pipes = model.fills
    .filter(({ object }) => has(object))
    .map((fill) => ({ label: fill.object, isInner: false, track: null, fill, y: 0, height: 0 }));
  const rows = [...users, ...pipes, ...others];
  const height = rows.length > MANY_ROWS ? LOW : TALL;
  let y = 0;
  for (const row of rows) {
    row.y = y;
    row.height = height;
    y += height;
  }
  return rows;
}

function hasUsed({ calls }: Track): boolean {
  return calls.some(
    ({ call, object }) => USES.has(call) && object.includes('/') && !object.startsWith('info/'),
  );
}

function concerns(track: Track, wanted: string): boolean {
  return track.calls.some(({ object }) => object.toLowerCase().includes(wanted));
}

function rowsOf(process: Process): TimelineRow[] {
  return process.tracks.map((track, index) => {
    const isFirst = index === 0;
    const lane = track.lane === 0 ? '' : ` (${track.lane + 1})`;
    const label = isFirst ? processLabel(process) : `thread ${track.thread}${lane}`;
    return { label, isInner: !isFirst, track, fill: null, y: 0, height: 0 };
  });
}

/** The first index in `items` at which `isBehind` holds; it holds for all after that. */
export function firstIndex<T>(items: readonly T[], isBehind: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBehind(items[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
