import type { Credentials } from '../kern/credentials.ts';
import type { Operation } from '../kern/operation.ts';
import type { Work } from './work.ts';

export type Cell = string | number;

/** In place of a row: work was done that shows nothing. */
export const NO_ROW: readonly Cell[] = [];

/** Live state as rows: the same rows make the text for people and awk, and the JSON. */
export interface Table {
  readonly name: string;
  /** Column names, stable: scripts go by them. */
  readonly columns: readonly string[];
  /** Whether the last column is text for people, whose blanks stay. */
  readonly endsInText?: boolean;
  /** Finds out, before `rows`, what takes time. */
  prepare?(): Operation<void>;
  /**
   * Each row shows its object as it is when the row is made. Objects may come and go between two rows: one that has gone has no
   * row, and no row has parts of several moments. NO_ROW is none, and lets others have their turn. `viewer` is who will read it: names and counts are for everybody, bytes are not.
   */
  rows(viewer: Credentials): Iterable<readonly Cell[]>;
}

/** Blanks and control characters become \ooo, as in /proc/mounts, so that columns stay columns. */
function escapeCell(cell: Cell): string {
  if (typeof cell === 'number') return String(cell);
  if (cell === '') return '-';
  return cell.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\x00-\x20\\\x7f]/g,
    (character) => '\\' + character.charCodeAt(0).toString(8).padStart(3, '0'),
  );
}

function isUtf8(bytes: string): boolean {
  try {
    decodeURIComponent(
      bytes.replace(/[^]/g, (byte) => '%' + byte.charCodeAt(0).toString(16).padStart(2, '0')),
    );
    return true;
  } catch {
    return false;
  }
}

/** JSON is UTF-8: names that are not are shown with their bytes as \u00xx. */
function escapeJsonString(text: string): string {
  const json = JSON.stringify(text);
  // eslint-disable-next-line no-control-regex -- nearly every name is ASCII
  if (/^[\x00-\x7f]*$/.test(text) || isUtf8(text)) return json;
  return json.replace(/[\x80-\xff]/g, (byte) => '\\u' + byte.charCodeAt(0).toString(16).padStart(4, '0'));
}

/** As `escapeCell`, for a column that is text to the end of the line. */
function escapeText(cell: Cell): string {
  return typeof cell === 'string' ? escapeCell(cell).replaceAll('\\040', ' ') : escapeCell(cell);
}

/** A header line and a line for each row; columns are padded to line up, numbers to the right. */
export function* formatTable(table: Table, viewer: Credentials): Work<readonly string[]> {
  const { columns } = table;
  const last = columns.length - 1;
  const isNumber = columns.map(() => false);
  const widths = columns.map((name) => name.length);
  const lines = [[...columns]];
  for (const row of table.rows(viewer)) {
    if (row === NO_ROW) {
      yield;
      continue;
    }
    const line = row.map((cell, column) => {
      if (typeof cell === 'number') isNumber[column] = true;
      const text = column === last && table.endsInText === true ? escapeText(cell) : escapeCell(cell);
      if (text.length > widths[column]!) widths[column] = text.length;
      return text;
    });
    lines.push(line);
    yield;
  }
  const texts: string[] = [];
  for (const line of lines) {
    const cells = line.map((cell, column) => {
      if (isNumber[column] === true) return cell.padStart(widths[column]!);
      return column === last ? cell : cell.padEnd(widths[column]!);
    });
    texts.push(cells.join(' ') + '\n');
    yield;
  }
  return texts;
}

/** An array of objects, one a line. */
export function* formatTableJson(table: Table, viewer: Credentials): Work<readonly string[]> {
  const names = table.columns.map((name) => JSON.stringify(name));
  const lines: string[] = [];
  let before = '[\n';
  for (const row of table.rows(viewer)) {
    if (row === NO_ROW) {
      yield;
      continue;
    }
    const fields = row.map((cell, column) => {
      const value = typeof cell === 'number' ? JSON.stringify(cell) : escapeJsonString(cell);
      return `${names[column]!}:${value}`;
    });
    lines.push(`${before}{${fields.join(',')}}`);
    before = ',\n';
    yield;
  }
  lines.push(lines.length === 0 ? '[]\n' : '\n]\n');
  return lines;
}
