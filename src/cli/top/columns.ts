import { printable } from '../printable.ts';
import { bar, byteCount, type Charset, duration } from '../tables/format.ts';
import {
  blockedOn,
  byInterest,
  commandOf,
  compareNames,
  fillOf,
  mappedBy,
  queuedBytes,
  segmentName,
  type WaitRow,
  waitsByObject,
} from '../tables/objects.ts';
import type { Tables } from '../tables/tables.ts';
import type { Style } from './lines.ts';
import type { Facts, Rate, Sorting, TableName } from './state.ts';

/** A column of the view. Numbers sort from the largest, words from the first. */
export interface TopColumn<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** In characters; the one column of a table that has 0 is as wide as its longest text, if there is room. */
  readonly width: number;
  /** Takes the room that no other column needs. */
  readonly isStretched?: boolean;
  text(row: Row, width: number): string;
  compare(one: Row, other: Row): number;
  style?(row: Row): Style;
}

/** A table of the view. */
export interface TopTable<Row> {
  readonly title: string;
  /** What tells the row from others, over time. */
  key(row: Row): string;
  /** The object's name, as a person writes it. */
  name(row: Row): string;
  readonly columns: readonly TopColumn<Row>[];
  /** The order before a column is chosen. */
  compare(one: Row, other: Row): number;
}

/** What columns need to know besides their rows. */
interface Surroundings {
  readonly rates: ReadonlyMap<number, Rate>;
  readonly waits: ReadonlyMap<string, readonly WaitRow[]>;
  readonly charset: Charset;
  /** Whether there is room to spare. */
  readonly isWide: boolean;
}

/** A column of words. */
function words<Row>(title: string, width: number, text: (row: Row) => string): TopColumn<Row> {
  return { title, align: 'left', width, text, compare: (one, other) => compareNames(text(one), text(other)) };
}

/** A column of numbers. */
function numbers<Row>(
  title: string,
  width: number,
  value: (row: Row) => number,
  text: (value: number) => string = String,
): TopColumn<Row> {
  return {
    title,
    align: 'right',
    width,
    text: (row) => text(value(row)),
    compare: (one, other) => value(other) - value(one),
  };
}

function rateText(bytes: number): string {
  return bytes === 0 ? '-' : byteCount(bytes);
}

const BAR_WIDTH = { narrow: 10, wide: 30 };
/** From this share on a pipe is nearly full. */
const NEARLY_FULL = 0.75;

function pipesTable({ rates, waits, charset, isWide }: Surroundings): TopTable<Tables['pipes']> {
  const path = ({ path: name }: Tables['pipes']): string => printable(name);
  return {
    title: 'Pipes',
    key: ({ path: name }) => name,
    name: path,
    compare: byInterest(waits),
    columns: [
      words('PIPE', 0, path),
      {
        title: 'FILL',
        align: 'left',
        width: isWide ? BAR_WIDTH.wide : BAR_WIDTH.narrow,
        text: (pipe, width) => (pipe.state === 'closed' ? '-' : bar(fillOf(pipe), width, charset)),
        compare: (one, other) => fillOf(other) - fillOf(one),
        style: (pipe) => (fillOf(pipe) >= 1 ? 'full' : fillOf(pipe) >= NEARLY_FULL ? 'warm' : 'calm'),
      },
      numbers('QUEUED', 6, queuedBytes, byteCount),
      numbers('IN/s', 6, ({ ino }) => rates.get(ino)?.inBytes ?? 0, rateText),
      numbers('OUT/s', 6, ({ ino }) => rates.get(ino)?.outBytes ?? 0, rateText),
      numbers('RD', 3, ({ readers }) => readers),
      numbers('WR', 3, ({ writers }) => writers),
      {
        ...numbers('ASLEEP', isWide ? 24 : 9, (pipe: Tables['pipes']) => waits.get(pipe.path)?.length ?? 0),
        align: 'left',
        text: (pipe) =>
          (isWide
            ? blockedOn(pipe, waits)
            : blockedOn(pipe, waits).replace(/ (reader|writer)s?/g, (_, who: string) => who[0]!)) || '-',
      },
      words('STATE', 9, ({ state }) => state),
      ...(isWide ? [words('OPTIONS', 24, ({ options }: Tables['pipes']) => options)] : []),
    ],
  };
}

function kqueuesTable(): TopTable<Tables['kqueues']> {
  const name = (row: Tables['kqueues']): string => (row.name === '-' ? '(unnamed)' : printable(row.name));
  return {
    title: 'Kqueues',
    key: ({ id }) => String(id),
    name: (row) => `${name(row)} (id ${row.id})`,
    compare: (one, other) => other.pending - one.pending || one.id - other.id,
    columns: [
      words('KQUEUE', 0, name),
      numbers('ID', 8, ({ id }) => id),
      numbers('PENDING', 8, ({ pending }) => pending),
      numbers('KNOTES', 8, ({ knotes }) => knotes),
      numbers('ASLEEP', 7, (row) => row['blocked-readers']),
      numbers('PID', 8, ({ pid }) => pid),
      words('MADE BY', 16, ({ pid }) => printable(commandOf(pid))),
    ],
  };
}

function segmentsTable(): TopTable<Tables['shm']> {
  return {
    title: 'Segments',
    key: ({ id, key }) => (id >= 0 ? String(id) : key),
    name: (row) => `shm/${segmentName(row)}`,
    compare: (one, other) => other.nattch - one.nattch || other.size - one.size || one.id - other.id,
    columns: [
      words('SEGMENT', 0, segmentName),
      numbers('ID', 10, ({ id }) => id),
      numbers('SIZE', 6, ({ size }) => size, byteCount),
      numbers('ATTACHED', 8, ({ nattch }) => nattch),
      numbers('OWNER', 6, ({ owner }) => owner),
      words('MODE', 4, ({ mode }) => mode),
      words('STATE', 8, ({ state }) => state),
      { ...words('MAPPED BY', 14, mappedBy), isStretched: true },
    ],
  };
}

function waitsTable(): TopTable<Tables['waits']> {
  return {
    title: 'Waits',
    key: ({ pid, call, object }) => `${pid} ${call} ${object}`,
    name: ({ pid, object }) => `${pid} on ${printable(object)}`,
    compare: (one, other) => other.since - one.since,
    columns: [
      numbers('PID', 7, ({ pid }) => pid),
      words('COMMAND', 12, ({ command }) => printable(command)),
      words('CALL', 6, ({ call }) => call),
      words('OBJECT', 0, ({ object }) => printable(object)),
      numbers('SINCE', 11, ({ since }) => since, duration),
      { ...words('WAITS UNTIL', 20, ({ until }) => until), isStretched: true },
    ],
  };
}

/** The table that a name stands for, with what `facts` says around it. */
export function topTable(name: TableName, facts: Facts, charset: Charset, isWide: boolean): TopTable<never> {
  switch (name) {
    case 'pipes':
      return pipesTable({
        rates: facts.rates,
        waits: waitsByObject(facts.tables.waits ?? []),
        charset,
        isWide,
      });
    case 'kqueues':
      return kqueuesTable();
    case 'shm':
      return segmentsTable();
    case 'waits':
      return waitsTable();
  }
}

/** The rows that the filter lets through, in order. */
export function arrange<Row>(
  table: TopTable<Row>,
  rows: readonly Row[],
  filter: string,
  sorting: Sorting,
): Row[] {
  const wanted = filter.toLowerCase();
  const shown = rows.filter(
    (row) =>
      wanted === '' ||
      table.columns.some((column) => column.text(row, column.width).toLowerCase().includes(wanted)) ||
      table.name(row).toLowerCase().includes(wanted),
  );
  const column = table.columns[sorting.column];
  const sign = sorting.isReversed ? -1 : 1;
  return shown.sort((one, other) => sign * ((column?.compare(one, other) ?? 0) || table.compare(one, other)));
}
