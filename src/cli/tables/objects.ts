import { readFileSync } from 'node:fs';
import { isInferred } from '../blocked-calls/wait-graph.ts';
import { printable } from '../printable.ts';
import type { Tables } from './tables.ts';

export type PipeRow = Tables['pipes'];
export type KqueueRow = Tables['kqueues'];
export type SegmentRow = Tables['shm'];
export type WaitRow = Tables['waits'];

/** Bytes that a reader of the pipe could take. */
export function queuedBytes(pipe: PipeRow): number {
  return pipe.direct > 0 ? pipe.direct : pipe.cnt;
}

/** How full a pipe is, from 0 to 1: of its ring, or 1 while a writer offers bytes directly, as no other can write then. */
export function fillOf(pipe: PipeRow): number {
  if (pipe.direct > 0) return 1;
  return pipe.size === 0 ? 0 : pipe.cnt / pipe.size;
}

/** Who sleeps on a pipe, for people: `2 readers`, `1 writer`, `1 reader, 1 writer`, or nothing. */
export function blockedOn(pipe: PipeRow, waits: ReadonlyMap<string, readonly WaitRow[]>): string {
  let readers = pipe['blocked-readers'];
  let writers = pipe['blocked-writers'];
  // Those who wait in open(2) sleep on the FIFO, and not on the pair that the table counts.
  for (const { wait } of waits.get(pipe.path) ?? []) {
    if (wait === 'fifoor') readers++;
    else if (wait === 'fifoow') writers++;
  }
  const parts = [];
  if (readers > 0) parts.push(`${readers} reader${readers === 1 ? '' : 's'}`);
  if (writers > 0) parts.push(`${writers} writer${writers === 1 ? '' : 's'}`);
  return parts.join(', ');
}

/**
 * The blocked calls of info/waits, without inferred rows. Calls that wait for a table to be made are over when it is shown: they say
 * something of this look only.
 */
export function lastingWaits(waits: readonly WaitRow[]): WaitRow[] {
  return waits.filter((row) => !row.object.startsWith('info/') && !isInferred(row));
}

/** The blocked calls of each object, by its path. */
export function waitsByObject(waits: readonly WaitRow[]): ReadonlyMap<string, readonly WaitRow[]> {
  const byObject = new Map<string, WaitRow[]>();
  for (const wait of waits) {
    const list = byObject.get(wait.object);
    if (list === undefined) byObject.set(wait.object, [wait]);
    else list.push(wait);
  }
  return byObject;
}

/** Most interesting first: whom somebody waits for, then by what is queued, then what is open, then by name. */
export function byInterest(
  waits: ReadonlyMap<string, readonly WaitRow[]>,
): (one: PipeRow, other: PipeRow) => number {
  return (one, other) =>
    (waits.get(other.path)?.length ?? 0) - (waits.get(one.path)?.length ?? 0) ||
    queuedBytes(other) - queuedBytes(one) ||
    other.readers + other.writers - (one.readers + one.writers) ||
    compareNames(one.path, other.path);
}

const collator = new Intl.Collator('en', { numeric: true });

/** Numbers in names count as numbers: a2 comes before a10. */
export function compareNames(one: string, other: string): number {
  return collator.compare(one, other);
}

/** The name of a process or thread, `?` when it is gone or hidden. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch {
    return '?';
  }
}

const MOST_MAPPERS = 8;

/** The processes that map a segment, with their names: `4711 python3, 4712 cat`; `-` for none. */
export function mappedBy(segment: SegmentRow): string {
  const pids =
    segment['mapped-by'] === '' || segment['mapped-by'] === '-' ? [] : segment['mapped-by'].split(',');
  if (pids.length === 0) return '-';
  const named = pids
    .slice(0, MOST_MAPPERS)
    .map((pid) => (pid === '?' ? pid : `${pid} ${printable(commandOf(Number(pid)))}`));
  const more = pids.length - named.length;
  return [...named, ...(more > 0 ? [`${more} more`] : [])].join(', ');
}

/** How a segment is called: by its key, a private one by its id. */
export function segmentName(segment: SegmentRow): string {
  return /^0x0+$/.test(segment.key) ? `id/${segment.id}` : segment.key;
}
