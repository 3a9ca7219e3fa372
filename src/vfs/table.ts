import type { Credentials } from '../kern/credentials.ts';
import type { Operation } from '../kern/operation.ts';
import { cellOf, printableJson, printableText, printableWord } from '../kern/printable.ts';
import type { Work } from '../kern/work.ts';
import type { TableSpace } from './table-memory.ts';

export type Cell = string | number;

/** One column of a table: adding one here adds it to the text, to the JSON form and to help. */
export interface Column<Row> {
  /** Stable: scripts go by it. */
  readonly name: string;
  /** What the cells are, for help and the guide. */
  readonly description: string;
  value(row: Row): Cell;
}

/** What the JSON form has for each row of a table with these columns. */
export type JsonRow<Columns extends readonly Column<never>[]> = {
  readonly [Each in Columns[number] as Each['name']]: ReturnType<Each['value']>;
};

/** In place of a row: work was done that shows nothing. */
export const NO_ROW = null;

/** Live state as rows: the same rows make the text for people and awk, and the JSON. */
export interface Table<Row = unknown> {
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  /** Whether the last column is text for people, whose blanks stay. */
  readonly endsInText?: boolean;
  /** Finds out, before `rows`, what takes time. */
  prepare?(): Operation<void>;
  /**
   * The objects of the rows, one by one; the cells of each are made before the next is asked for, and show one moment. Objects may come
   * and go between two rows: one that has gone has no row. NO_ROW lets others have their turn: there is one after each bounded piece of
   * work. `viewer` is who will read it: names and counts are for everybody, bytes are not.
   */
  rows(viewer: Credentials): Iterable<Row | typeof NO_ROW>;
}

/** A column is never padded to more than this, however long some of its cells are. */
const WIDEST_PADDING = 64;
/** About what a row takes beside its characters while the table is made. */
const ROW_OVERHEAD_BYTES = 64;

/**
 * A header line and a line for each row; columns are padded to line up, numbers to the right. Cells have a bounded length, names in them are
 * escaped: see `printable.ts`. False when `space` does not hold the table.
 */
export function* formatTable(table: Table, viewer: Credentials, space: TableSpace): Work<boolean> {
  const { columns } = table;
  const last = columns.length - 1;
  const isNumber = columns.map(() => false);
  const widths = columns.map(({ name }) => name.length);
  // A tab is in no cell.
  const lines = [columns.map(({ name }) => name).join('\t')];
  for (const row of table.rows(viewer)) {
    if (row !== NO_ROW) {
      if (!space.hasRoomForRow()) return false;
      const cells = columns.map((each, column) => {
        const cell = each.value(row);
        if (typeof cell === 'number') isNumber[column] = true;
        const isText = column === last && table.endsInText === true;
        const text = cell === '' ? '-' : cellOf(String(cell), isText ? printableText : printableWord);
        if (text.length > widths[column]! && text.length <= WIDEST_PADDING) widths[column] = text.length;
        return text;
      });
      const line = cells.join('\t');
      lines.push(line);
      if (!space.keep(line.length + ROW_OVERHEAD_BYTES)) return false;
    }
    yield;
  }
  for (const [index, line] of lines.entries()) {
    const cells = line.split('\t').map((cell, column) => {
      if (isNumber[column] === true) return cell.padStart(widths[column]!);
      return column === last ? cell : cell.padEnd(widths[column]!);
    });
    lines[index] = '';
    if (!space.write(cells.join(' ') + '\n')) return false;
    space.keep(-line.length);
    yield;
  }
  return true;
}

/** An array of objects, one a line. Names are whole. False when `space` does not hold the table. */
export function* formatTableJson(table: Table, viewer: Credentials, space: TableSpace): Work<boolean> {
  const { columns } = table;
  let before = '[\n';
  for (const row of table.rows(viewer)) {
    if (row !== NO_ROW) {
      if (!space.hasRoomForRow()) return false;
      const fields = columns.map(
        (column) => `"${column.name}":${printableJson(JSON.stringify(column.value(row)))}`,
      );
      if (!space.write([before, '{', fields.join(','), '}'].join(''))) return false;
      before = ',\n';
      if (!space.keep(ROW_OVERHEAD_BYTES)) return false;
    }
    yield;
  }
  return space.write(before === '[\n' ? '[]\n' : '\n]\n');
}
