import { printable } from '../printable.ts';
import { byteCount, duration, fit, widthOf } from '../tables/format.ts';
import { commandOf, queuedBytes } from '../tables/objects.ts';
import type { Tables } from '../tables/tables.ts';
import type { TopTable } from './columns.ts';
import { hexBytesPerLine, hexLines } from './hex.ts';
import { line, type Line } from './lines.ts';
import type { TerminalSize } from './render.ts';
import type { Detail, Facts, View } from './state.ts';

/** Of the pane's lines, so many are left to the bytes, where there are bytes. */
const HEX_SHARE = 0.5;

/** The pane: what is known of the selected object, then its bytes. */
export function detailLines(
  view: View,
  facts: Facts,
  table: TopTable<never>,
  selected: { readonly key: string; readonly row: unknown } | null,
  lineCount: number,
  { columns, charset }: TerminalSize,
): { readonly lines: Line[]; readonly hexPageLines: number; readonly hexLineCount: number } {
  if (selected === null || lineCount === 0) return { lines: [], hexPageLines: 0, hexLineCount: 0 };
  const { detail } = facts;
  const isCurrent = detail?.table === view.table && detail.key === selected.key;
  const known = isCurrent ? detail : null;
  const sizeBytes = contentBytes(view, selected.row);
  const [dash, title] = [charset === 'unicode' ? '─' : '-', table.name(selected.row as never)];
  const rule = `${dash}${dash} ${title} `;
  const lines = [
    line(fit(rule + dash.repeat(Math.max(0, columns - widthOf(rule))), columns, 'left', charset), 'title'),
  ];
  const factsShown = factLines(view, facts, selected.row, known);
  const perLine = hexBytesPerLine(columns);
  const hexLineCount = Math.ceil((sizeBytes ?? 0) / perLine);
  const room = lineCount - 1;
  const hexWanted = sizeBytes === null ? 0 : Math.min(hexLineCount + 1, Math.ceil(room * HEX_SHARE));
  const factRoom = Math.max(1, room - hexWanted);
  const shown =
    factsShown.length > factRoom
      ? [...factsShown.slice(0, factRoom - 1), `... ${factsShown.length - factRoom + 1} more`]
      : factsShown;
  for (const text of shown) lines.push(line(fit(` ${text}`, columns, 'left', charset)));
  const hexPageLines = Math.max(0, room - shown.length - 1);
  if (sizeBytes !== null && hexPageLines > 0)
    lines.push(...bytesLines(view, known, sizeBytes, hexPageLines, columns));
  return { lines, hexPageLines, hexLineCount };
}

/** How many bytes the object has to show; null for one that has none of its own. */
export function contentBytes({ table }: View, row: unknown): number | null {
  if (table === 'pipes') return queuedBytes(row as Tables['pipes']);
  if (table === 'shm') return (row as Tables['shm']).size;
  return null;
}

function bytesLines(
  view: View,
  known: Detail | null,
  sizeBytes: number,
  room: number,
  columns: number,
): Line[] {
  const what = view.table === 'pipes' ? 'queued, none taken' : 'in the segment';
  const title = line(` ${byteCount(sizeBytes)} ${what}`, 'dim');
  if (known === null) return [title];
  if (known.refusal !== null) return [line(` ${known.refusal}`, 'dim')];
  const perLine = hexBytesPerLine(columns);
  const lines = hexLines(known.bytes ?? new Uint8Array(0), known.offset, perLine).slice(0, room);
  return [title, ...lines.map((text) => line(text.slice(0, columns)))];
}

function factLines(view: View, facts: Facts, row: unknown, detail: Detail | null): string[] {
  switch (view.table) {
    case 'pipes':
      return pipeFacts(row as Tables['pipes'], facts, detail);
    case 'kqueues':
      return kqueueFacts(row as Tables['kqueues'], detail);
    case 'shm':
      return segmentFacts(row as Tables['shm'], detail);
    case 'waits':
      return waitFacts(row as Tables['waits'], facts, detail);
  }
}

const openWords: Readonly<Record<string, string>> = { r: 'reads', w: 'writes', rw: 'reads and writes' };

function holderLines(detail: Detail | null): string[] {
  return (detail?.handles ?? []).map(({ pid, mode, uid, nonblock }) => {
    const mood = nonblock === 'yes' ? ', non-blocking' : '';
    return `open by ${pid} ${printable(commandOf(pid))} (uid ${uid}): ${openWords[mode] ?? 'neither reads nor writes'}${mood}`;
  });
}

function waitLine({ pid, command, call, until, since }: Tables['waits']): string {
  return `${pid} ${printable(command)} is blocked in ${call} for ${duration(since)}, until ${until}`;
}

/** A line for a pipe with options, or with losses by options that it has had. */
function optionFacts(pipe: Tables['pipes']): string[] {
  const [bytes, records] = [pipe['bytes-dropped'], pipe['records-dropped']];
  if (pipe.options === '-' && bytes === 0) return [];
  return [`options ${pipe.options}; dropped ${bytes} bytes, ${records} whole records among them`];
}

function pipeFacts(pipe: Tables['pipes'], facts: Facts, detail: Detail | null): string[] {
  const waits = (facts.tables.waits ?? []).filter(({ object }) => object === pipe.path);
  return [
    `${pipe.state}, inode ${pipe.ino}, ring ${pipe.cnt} of ${pipe.size} bytes (in ${pipe.in}, out ${pipe.out}), direct ${pipe.direct}`,
    `written ${pipe['bytes-in']} bytes, read ${pipe['bytes-out']}`,
    ...optionFacts(pipe),
    ...waits.map(waitLine),
    ...holderLines(detail),
  ];
}

function kqueueFacts(kqueue: Tables['kqueues'], detail: Detail | null): string[] {
  return [
    `made by ${kqueue.pid} ${printable(commandOf(kqueue.pid))}, ${kqueue.pending} of ${kqueue.knotes} knotes pending`,
    ...(detail?.knotes ?? [])
      .toSorted((one, other) => Number(other.status === 'pending') - Number(one.status === 'pending'))
      .map(
        ({ filter, ident, flags, fflags, data, status, udata }) =>
          `${status}: ${filter} ${printable(ident)} data=${data} flags=${flags} fflags=${fflags} udata=${printable(udata)}`,
      ),
    ...holderLines(detail),
  ];
}

/** Local time. Swedish writes dates as ISO 8601 does. */
function timeOf(seconds: number): string {
  return seconds === 0 ? 'never' : new Date(seconds * 1000).toLocaleString('sv-SE');
}

function segmentFacts(segment: Tables['shm'], detail: Detail | null): string[] {
  return [
    `id ${segment.id}, key ${segment.key}, ${segment.state}, mode ${segment.mode}, owner ${segment.owner}:${segment.group}, creator ${segment.creator}:${segment.cgroup}`,
    `attached ${segment.nattch} times, made by process ${segment.cpid}, last used by ${segment.lpid}`,
    `attached last ${timeOf(segment.atime)}, detached last ${timeOf(segment.dtime)}`,
    `changed ${timeOf(segment.ctime)}`,
    ...segment['mapped-by']
      .split(',')
      .filter((pid) => pid !== '')
      .map((pid) => `mapped by ${pid} ${printable(commandOf(Number(pid)))}`),
    ...holderLines(detail),
  ];
}

function waitFacts(wait: Tables['waits'], facts: Facts, detail: Detail | null): string[] {
  const isIn = ({ pid }: Tables['waits']): boolean => pid === wait.pid;
  const lines = [waitLine(wait), `on ${printable(wait.object)} (${wait.wait})`];
  const who = "'ipcfs waits' tells who waits for whom";
  if (facts.deadlocks.some(({ calls }) => calls.some(isIn))) lines.push(`it is part of a deadlock: ${who}`);
  if (facts.deadlocks.some(({ behind }) => behind.some(isIn)))
    lines.push(`it waits behind a deadlock: ${who}`);
  return [...lines, ...holderLines(detail)];
}
