import type { Operation } from '../kern/operation.ts';
import type { NodeContext } from './node.ts';
import { TextFile } from './text-file.ts';

export type Cell = string | number;

/** Live state as rows: the same rows make the text for people and awk, and the JSON. */
export interface Table {
  readonly name: string;
  /** Column names, stable: scripts go by them. */
  readonly columns: readonly string[];
  /** Finds out, before `rows`, what takes time. */
  prepare?(): Operation<void>;
  rows(): Iterable<readonly Cell[]>;
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
  if (isUtf8(text)) return json;
  return json.replace(/[\x80-\xff]/g, (byte) => '\\u' + byte.charCodeAt(0).toString(16).padStart(4, '0'));
}

/** A header line and a line for each row; columns are padded to line up, numbers to the right. */
export function formatTable(table: Table): string {
  const lines = [[...table.columns]];
  const isNumber = table.columns.map(() => false);
  for (const row of table.rows()) {
    row.forEach((cell, column) => {
      if (typeof cell === 'number') isNumber[column] = true;
    });
    lines.push(row.map(escapeCell));
  }
  const widths = table.columns.map((_, column) =>
    lines.reduce((width, line) => Math.max(width, line[column]!.length), 0),
  );
  const last = table.columns.length - 1;
  let text = '';
  for (const line of lines) {
    text += line
      .map((cell, column) => {
        if (isNumber[column] === true) return cell.padStart(widths[column]!);
        return column === last ? cell : cell.padEnd(widths[column]!);
      })
      .join(' ');
    text += '\n';
  }
  return text;
}

/** An array of objects, one a line. */
export function formatTableJson(table: Table): string {
  const rows: string[] = [];
  for (const row of table.rows()) {
    const fields = row.map((cell, column) => {
      const value = typeof cell === 'number' ? JSON.stringify(cell) : escapeJsonString(cell);
      return `${JSON.stringify(table.columns[column])}:${value}`;
    });
    rows.push(`{${fields.join(',')}}`);
  }
  return rows.length === 0 ? '[]\n' : `[\n${rows.join(',\n')}\n]\n`;
}

const TABLE_PERMISSIONS = 0o444;

/** info/NAME or info/NAME.json. */
export class TableFile extends TextFile {
  readonly #table: Table;
  readonly #format: (table: Table) => string;

  constructor(context: NodeContext, table: Table, format: (table: Table) => string) {
    super(context, TABLE_PERMISSIONS);
    this.#table = table;
    this.#format = format;
  }

  protected override *read(): Operation<string> {
    if (this.#table.prepare !== undefined) yield* this.#table.prepare();
    return this.#format(this.#table);
  }
}
