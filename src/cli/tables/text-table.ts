import { type Charset, fit, widthOf } from './format.ts';

/** One column of a table for people. */
export interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** The cell. `width` is what the column has, for cells that are drawn to fill it. */
  text(row: Row, width: number): string;
  /** Of a column whose cells are drawn to fill it: its width. */
  readonly fixedWidth?: number;
  /** Such a column gives up width when there is not enough, but not below this. */
  readonly minimumWidth?: number;
}

const GAP = '  ';

/** The width of each column: as its longest cell, flexible ones less when the terminal has only `width` columns. */
export function columnWidths<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): number[] {
  const widths = columns.map((column) => {
    const cells = column.fixedWidth ?? 0;
    return rows.reduce(
      (widest, row) =>
        column.fixedWidth === undefined ? Math.max(widest, widthOf(column.text(row, 0))) : widest,
      Math.max(cells, column.title.length),
    );
  });
  let excess = widths.reduce((sum, each) => sum + each, GAP.length * (columns.length - 1)) - width;
  columns.forEach((column, index) => {
    if (excess <= 0 || column.minimumWidth === undefined) return;
    const given = Math.min(excess, Math.max(0, widths[index]! - column.minimumWidth));
    widths[index]! -= given;
    excess -= given;
  });
  return widths;
}

/** The titles as a line. */
export function titleLine<Row>(
  columns: readonly Column<Row>[],
  widths: readonly number[],
  charset: Charset,
): string {
  return joinCells(
    columns,
    widths,
    columns.map(({ title }) => title),
    charset,
  );
}

/** A row as a line. */
export function rowLine<Row>(
  columns: readonly Column<Row>[],
  widths: readonly number[],
  row: Row,
  charset: Charset,
): string {
  return joinCells(
    columns,
    widths,
    columns.map((column, index) => column.text(row, widths[index]!)),
    charset,
  );
}

function joinCells(
  columns: readonly { readonly align: 'left' | 'right' }[],
  widths: readonly number[],
  cells: readonly string[],
  charset: Charset,
): string {
  return cells
    .map((cell, index) => fit(cell, widths[index]!, columns[index]!.align, charset))
    .join(GAP)
    .trimEnd();
}
