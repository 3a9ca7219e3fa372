import { describeDeadlock } from '../blocked-calls/wait-report.ts';
import { printable } from '../printable.ts';
import { bar, byteCount, type Charset, counted, duration, fit } from '../tables/format.ts';
import {
  blockedOn,
  byInterest,
  commandOf,
  compareNames,
  fillOf,
  mappedBy,
  type KqueueRow,
  type PipeRow,
  queuedBytes,
  type SegmentRow,
  segmentName,
  type WaitRow,
  waitsByObject,
} from '../tables/objects.ts';
import type { Status } from './status.ts';
import { type Column, columnWidths, rowLine, titleLine } from '../tables/text-table.ts';

const BAR_WIDTH = 10;
const PATH_MINIMUM = 12;
const OPTIONS_MINIMUM = 7;

/** What a pipe has lost by its options: `3 records, 40 bytes`; empty for nothing. */
function droppedText(pipe: PipeRow): string {
  const [records, bytes] = [pipe['records-dropped'], pipe['bytes-dropped']];
  return bytes === 0 ? '' : `${counted(records, 'record')}, ${byteCount(bytes)}`;
}

/** Columns that most mounts have no use for: those of pipes with options. */
function optionColumns(pipes: readonly PipeRow[]): Column<PipeRow>[] {
  const columns: Column<PipeRow>[] = [];
  if (pipes.some(({ options }) => options !== '-')) {
    columns.push({
      title: 'OPTIONS',
      align: 'left',
      minimumWidth: OPTIONS_MINIMUM,
      text: ({ options }) => options,
    });
  }
  if (pipes.some((pipe) => pipe['bytes-dropped'] > 0))
    columns.push({ title: 'DROPPED', align: 'left', text: (pipe) => droppedText(pipe) || '-' });
  return columns;
}

/** How much room there is. */
export interface Page {
  /** Infinity where nothing may be cut off. */
  readonly columns: number;
  /** Lines that may be printed; Infinity for all rows. */
  readonly lines: number;
  readonly charset: Charset;
}

/** A table and the line above it. */
interface Section {
  readonly summary: string;
  readonly rowCount: number;
  /** Titles, and the first `count` rows. */
  lines(count: number): string[];
}

function section<Row>(
  page: Page,
  summary: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): Section {
  return {
    summary,
    rowCount: rows.length,
    lines: (count) => {
      const shown = rows.slice(0, count);
      const widths = columnWidths(columns, shown, page.columns);
      return [
        titleLine(columns, widths, page.charset),
        ...shown.map((row) => rowLine(columns, widths, row, page.charset)),
      ];
    },
  };
}

function pipesSection(page: Page, { pipes, waits }: Status): Section {
  const waiting = waitsByObject(waits);
  const rows = pipes.toSorted(byInterest(waiting));
  const open = pipes.filter(({ state }) => state !== 'closed').length;
  const queued = pipes.reduce((sum, pipe) => sum + queuedBytes(pipe), 0);
  return section<PipeRow>(
    page,
    `${counted(pipes.length, 'pipe')}, ${open} open, ${byteCount(queued)} queued`,
    rows,
    [
      { title: 'PIPE', align: 'left', minimumWidth: PATH_MINIMUM, text: ({ path }) => printable(path) },
      {
        title: 'FILL',
        align: 'left',
        fixedWidth: BAR_WIDTH,
        text: (pipe, width) => (pipe.state === 'closed' ? '-' : bar(fillOf(pipe), width, page.charset)),
      },
      { title: 'QUEUED', align: 'right', text: (pipe) => String(queuedBytes(pipe)) },
      { title: 'RING', align: 'right', text: ({ size }) => String(size) },
      { title: 'RD', align: 'right', text: ({ readers }) => String(readers) },
      { title: 'WR', align: 'right', text: ({ writers }) => String(writers) },
      { title: 'STATE', align: 'left', text: ({ state }) => state },
      ...optionColumns(rows),
      { title: 'BLOCKED', align: 'left', text: (pipe) => blockedOn(pipe, waiting) || '-' },
    ],
  );
}

function kqueuesSection(page: Page, { kqueues }: Status): Section {
  const pending = kqueues.reduce((sum, kqueue) => sum + kqueue.pending, 0);
  const rows = kqueues.toSorted((one, other) => other.pending - one.pending || one.id - other.id);
  const summary = `${counted(kqueues.length, 'kqueue')}, ${counted(pending, 'event')} pending`;
  return section<KqueueRow>(page, summary, rows, [
    { title: 'KQUEUE', align: 'left', minimumWidth: PATH_MINIMUM, text: ({ name }) => printable(name) },
    { title: 'ID', align: 'right', text: ({ id }) => String(id) },
    { title: 'KNOTES', align: 'right', text: ({ knotes }) => String(knotes) },
    { title: 'PENDING', align: 'right', text: ({ pending: events }) => String(events) },
    {
      title: 'BLOCKED',
      align: 'left',
      text: (row) => (row['blocked-readers'] === 0 ? '-' : counted(row['blocked-readers'], 'reader')),
    },
    { title: 'MADE BY', align: 'left', text: ({ pid }) => `${pid} ${printable(commandOf(pid))}` },
  ]);
}

function segmentsSection(page: Page, { segments }: Status): Section {
  const bytes = segments.reduce((sum, { size }) => sum + size, 0);
  const rows = segments.toSorted(
    (one, other) => other.nattch - one.nattch || other.size - one.size || compareNames(one.key, other.key),
  );
  return section<SegmentRow>(page, `${counted(segments.length, 'segment')}, ${byteCount(bytes)}`, rows, [
    { title: 'SEGMENT', align: 'left', text: segmentName },
    { title: 'ID', align: 'right', text: ({ id }) => String(id) },
    { title: 'SIZE', align: 'right', text: ({ size }) => String(size) },
    { title: 'ATTACHED', align: 'right', text: ({ nattch }) => String(nattch) },
    { title: 'OWNER', align: 'right', text: ({ owner }) => String(owner) },
    { title: 'MODE', align: 'left', text: ({ mode }) => mode },
    { title: 'STATE', align: 'left', text: ({ state }) => state },
    { title: 'MAPPED BY', align: 'left', minimumWidth: PATH_MINIMUM, text: mappedBy },
  ]);
}

function waitsSection(page: Page, { waits }: Status): Section {
  const rows = waits.toSorted((one, other) => other.since - one.since);
  return section<WaitRow>(page, counted(waits.length, 'blocked call'), rows, [
    { title: 'PID', align: 'right', text: ({ pid }) => String(pid) },
    { title: 'COMMAND', align: 'left', text: ({ command }) => printable(command) },
    { title: 'CALL', align: 'left', text: ({ call }) => call },
    { title: 'OBJECT', align: 'left', minimumWidth: PATH_MINIMUM, text: ({ object }) => printable(object) },
    { title: 'SINCE', align: 'right', text: ({ since }) => duration(since) },
    { title: 'WAITS UNTIL', align: 'left', minimumWidth: PATH_MINIMUM, text: ({ until }) => until },
  ]);
}

/** How many rows each section shows: all if they fit, else equal shares, and what one does not need goes to the others. */
function shareRows(sections: readonly Section[], lines: number): number[] {
  const shares = sections.map(() => 0);
  let left = lines;
  while (left > 0 && sections.some(({ rowCount }, index) => shares[index]! < rowCount)) {
    sections.forEach(({ rowCount }, index) => {
      if (left === 0 || shares[index]! >= rowCount) return;
      shares[index]!++;
      left--;
    });
  }
  return shares;
}

/** `a, b and c`. */
function enumeration(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}

/** Rows of info/transport that everybody wants to know; of the others, only what a transport cannot do. */
const HEAD_FACTS: ReadonlySet<string> = new Set(['transport', 'protocol', 'shm-backing', 'shm-detach']);

/** All deadlocks; in a terminal the first. */
function deadlockLines({ deadlocks }: Status, page: Page): string[] {
  if (deadlocks === null) return ['deadlocks are not known: a process does not let itself be looked at'];
  const lines = deadlocks.map(describeDeadlock);
  if (page.columns === Infinity || lines.length < 2) return lines;
  return [lines[0]!, `and ${counted(lines.length - 1, 'more deadlock')}: 'ipcfs waits' shows them`];
}

/** The lines of `ipcfs status`. */
export function statusLines(status: Status, page: Page): string[] {
  const { version, pid, uptimeSeconds, transport, pipeMemory } = status;
  const facts = Object.entries(transport)
    .filter(([name, value]) => HEAD_FACTS.has(name) || value === 'no')
    .map(([name, value]) => (value === 'no' ? `no ${name}` : `${name} ${value}`));
  const head = [
    `ipcfs ${version} on ${printable(status.mount)}`,
    `server ${pid}, up ${duration(uptimeSeconds)}, pipe memory ${byteCount(pipeMemory.usedBytes)} of ${byteCount(pipeMemory.maximumBytes)}`,
    facts.join(', '),
    ...deadlockLines(status, page),
  ].map((line) =>
    page.columns === Infinity ? line : fit(line, page.columns, 'left', page.charset).trimEnd(),
  );
  const all: [string, Section][] = [
    ['pipes', pipesSection(page, status)],
    ['kqueues', kqueuesSection(page, status)],
    ['segments', segmentsSection(page, status)],
    ['blocked calls', waitsSection(page, status)],
  ];
  const sections = all.map(([, each]) => each).filter(({ rowCount }) => rowCount > 0);
  const empty = all.filter(([, { rowCount }]) => rowCount === 0).map(([name]) => name);
  const tail = empty.length > 0 ? ['', `no ${enumeration(empty)}`] : [];
  // A blank line, the summary, and the titles.
  const overhead = head.length + tail.length + 3 * sections.length;
  const shares = shareRows(sections, Math.max(sections.length, page.lines - overhead));
  const hidden = sections.reduce((sum, { rowCount }, index) => sum + rowCount - shares[index]!, 0);
  const lines = [...head];
  sections.forEach((each, index) => {
    const more = each.rowCount - shares[index]!;
    lines.push('', more > 0 ? `${each.summary} (${more} not shown: --all)` : each.summary);
    lines.push(...each.lines(shares[index]!));
  });
  return hidden > 0 || tail.length > 0 ? [...lines, ...tail] : lines;
}
