import { type Deadlock, isCertain } from '../blocked-calls/wait-graph.ts';
import { printable, printableWords } from '../printable.ts';
import { bar, byteCount, type Charset, counted, duration, fit } from '../tables/format.ts';
import type { WaitRow } from '../tables/objects.ts';
import { arrange, topTable, type TopTable } from './columns.ts';
import { detailLines } from './detail-lines.ts';
import { hexBytesPerLine } from './hex.ts';
import type { Layout } from './keys.ts';
import { keyLines } from './key-list.ts';
import { line, type Line, type Span, spread } from './lines.ts';
import { type Facts, TABLE_NAMES, type TableName, type View } from './state.ts';
import { tableBody } from './table-body.ts';

const SMALLEST = { columns: 72, rows: 12 };
const WIDE_COLUMNS = 120;
const MEMORY_BAR_WIDTH = 10;
/** Above the rows: three lines of the mount, the tables' names, the titles. Below: the keys. */
const FRAME_LINES = 6;
/** Of the lines that are left, the detail pane takes what the table does not need to be found in. */
const TABLE_SHARE = 0.3;
const TABLE_MINIMUM_LINES = 3;

/** The size of a terminal, and what it can show. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
  readonly charset: Charset;
}

/** The screen, and where its keys lead. */
export interface Rendered {
  readonly lines: readonly Line[];
  readonly layout: Layout;
  /** The selected row of the table, null in an empty one. */
  readonly selected: { readonly key: string; readonly row: unknown } | null;
}

/** The whole screen: as many lines as the terminal has. */
export function render(view: View, facts: Facts, size: TerminalSize): Rendered {
  const isWide = size.columns >= WIDE_COLUMNS;
  const table = topTable(view.table, facts, size.charset, isWide);
  const rows = arrange(
    table,
    (facts.tables[view.table] ?? []) as never[],
    view.filter,
    view.sorting[view.table],
  );
  const keys = rows.map((row) => table.key(row));
  const at = Math.max(0, keys.indexOf(view.selected[view.table] ?? ''));
  const bodyLines = Math.max(0, size.rows - FRAME_LINES);
  const tableLines = view.isDetailOpen
    ? Math.min(Math.max(TABLE_MINIMUM_LINES, Math.floor(bodyLines * TABLE_SHARE)), bodyLines)
    : bodyLines;
  const paneLines = bodyLines - tableLines;
  const selected = rows.length === 0 ? null : { key: keys[at]!, row: rows[at]! };
  const pane = view.isDetailOpen ? detailLines(view, facts, table, selected, paneLines, size) : null;
  const layout: Layout = {
    keys,
    columnCount: table.columns.length,
    pageRows: tableLines,
    hexPageLines: pane?.hexPageLines ?? 0,
    hexLineCount: pane?.hexLineCount ?? 0,
  };
  if (size.columns < SMALLEST.columns || size.rows < SMALLEST.rows) {
    const text = `ipcfs top needs ${SMALLEST.columns} columns and ${SMALLEST.rows} rows`;
    return { lines: [line(fit(text, size.columns, 'left', size.charset))], layout, selected };
  }
  const lines = [
    ...headLines(facts, size),
    tabLine(view, facts, table, rows.length, size),
    ...(view.isHelpOpen
      ? keyLines(size, bodyLines + 1)
      : tableBody(
          { table, rows, at, sorting: view.sorting[view.table] },
          tableLines,
          emptyText(view, facts),
          size,
        )),
    ...(view.isHelpOpen ? [] : (pane?.lines ?? [])),
  ];
  while (lines.length < size.rows - 1) lines.push([]);
  lines.push(helpLine(view, size));
  return { lines, layout, selected };
}

/** The first byte that the hex view shows, and how many it has room for. */
export function hexWindow(view: View, layout: Layout, columns: number): { offset: number; length: number } {
  const perLine = hexBytesPerLine(columns);
  return { offset: view.hexLine * perLine, length: Math.max(1, layout.hexPageLines) * perLine };
}

function headLines(facts: Facts, { columns, charset }: TerminalSize): Line[] {
  const { usedBytes, maximumBytes } = facts.pipeMemory;
  let inBytes = 0;
  let outBytes = 0;
  for (const rate of facts.rates.values()) {
    inBytes += rate.inBytes;
    outBytes += rate.outBytes;
  }
  const memory = bar(maximumBytes === 0 ? 0 : usedBytes / maximumBytes, MEMORY_BAR_WIDTH, charset);
  return [
    spread(
      `ipcfs ${facts.version} on ${printable(facts.mount)}`,
      `server ${facts.pid}, up ${duration(facts.uptimeSeconds)}`,
      columns,
      charset,
      'title',
    ),
    spread(
      `pipe memory ${memory} ${byteCount(usedBytes)} of ${byteCount(maximumBytes)}`,
      `written ${byteCount(inBytes)}/s, read ${byteCount(outBytes)}/s`,
      columns,
      charset,
    ),
    waitingLine(facts, columns, charset),
  ];
}

/** What is wrong, or who waits. */
function waitingLine({ trouble, tables, deadlocks }: Facts, columns: number, charset: Charset): Line {
  if (trouble !== null) return line(fit(trouble, columns, 'left', charset), 'alarm');
  const [first, ...others] = deadlocks;
  if (first !== undefined) {
    const who = first.calls.map(callerOf).join(', ');
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    const text = `${headOf(first)}${more}: ${who}`;
    return line(fit(text, columns, 'left', charset), 'alarm');
  }
  const waits = tables.waits ?? [];
  if (waits.length === 0) return line('no blocked calls', 'dim');
  const longest = waits.reduce((one, other) => (other.since > one.since ? other : one));
  const text = `${counted(waits.length, 'blocked call')}, no deadlock, the longest ${duration(longest.since)}: ${callerOf(longest)}`;
  return line(fit(text, columns, 'left', charset));
}

function headOf(deadlock: Deadlock): string {
  if (isCertain(deadlock)) return 'DEADLOCK';
  return deadlock.doubts.length === 0 ? 'likely deadlock' : 'possible deadlock';
}

/** `bash 4711 on pipes/a`. */
function callerOf({ process, pid, command, object }: WaitRow): string {
  const who = process === '-' ? `thread ${pid}` : `${printable(command)} ${process}`;
  return `${who} on ${printable(object)}`;
}

const TITLES: Readonly<Record<TableName, string>> = {
  pipes: 'Pipes',
  kqueues: 'Kqueues',
  shm: 'Segments',
  waits: 'Waits',
};

function tabLine(
  view: View,
  facts: Facts,
  table: TopTable<never>,
  shownCount: number,
  { columns, charset }: TerminalSize,
): Line {
  const spans: Span[] = [];
  let used = 0;
  for (const name of TABLE_NAMES) {
    const count = facts.tables[name]?.length;
    const label = `${TITLES[name]}${count === undefined ? '' : ` ${count}`}`;
    const isCurrent = name === view.table;
    const text = isCurrent ? `[${label}]` : ` ${label} `;
    spans.push({ text, style: isCurrent ? 'title' : 'dim' });
    used += text.length;
  }
  const { column, isReversed } = view.sorting[view.table];
  const order = `${table.columns[column]?.title ?? 'interest'}${isReversed ? ', reversed' : ''}`;
  const cursor = view.filterBefore !== null ? '_' : '';
  const filter =
    view.filter !== '' || cursor !== ''
      ? `filter: ${printableWords(view.filter)}${cursor} (${shownCount})`
      : '';
  const right = `${filter === '' ? '' : `${filter}  `}by ${order}`;
  return [
    ...spans,
    { text: fit(right, columns - used, 'right', charset), style: cursor === '' ? 'plain' : 'title' },
  ];
}

function emptyText(view: View, facts: Facts): string {
  if (facts.tables[view.table] === null) return ' reading...';
  if (view.filter !== '') return ` nothing with '${printableWords(view.filter)}' in it: Esc shows all`;
  switch (view.table) {
    case 'pipes':
      return ` no pipes: 'mkfifo pipes/a' in the mount makes one`;
    case 'kqueues':
      return ` no kqueues: 'touch kqueues/q' in the mount makes one`;
    case 'shm':
      return ` no segments: 'truncate -s 64K shm/0x1234' in the mount makes one`;
    case 'waits':
      return ' no call is blocked';
  }
}

function helpLine(view: View, { columns, charset }: TerminalSize): Line {
  let text: string;
  if (view.filterBefore !== null) text = 'type to filter  Enter keep  Esc undo';
  else if (view.isHelpOpen) text = 'q quit  Esc close';
  else {
    const seconds = view.intervalMs / 1000;
    const arrows = charset === 'unicode' ? '↑↓' : 'jk';
    text = view.isDetailOpen
      ? `q quit  Enter close  ${arrows} move  PgUp PgDn bytes  Tab table  / filter  s sort`
      : `q quit  Tab table  ${arrows} move  Enter detail  / filter  s sort  ? keys  +- ${seconds} s`;
  }
  return line(fit(text, columns, 'left', charset), 'title');
}
