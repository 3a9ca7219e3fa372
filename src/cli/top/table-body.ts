import { type Charset, fit, widthOf } from '../tables/format.ts';
import type { TopColumn, TopTable } from './columns.ts';
import { line, type Line, type Span } from './lines.ts';
import type { Sorting } from './state.ts';

const MARKER_WIDTH = 1;
const NAME_MINIMUM = 8;
const ARROWS = { unicode: { down: '▼', up: '▲' }, ascii: { down: 'v', up: '^' } };

/** What the table shows. */
interface Body {
  readonly table: TopTable<never>;
  /** In their order. */
  readonly rows: readonly never[];
  /** Index of the selected row. */
  readonly at: number;
  readonly sorting: Sorting;
}

/** Titles and `lineCount` rows, with the selected row among them; `emptyText` where there is none. */
export function tableBody(
  { table, rows, at, sorting }: Body,
  lineCount: number,
  emptyText: string,
  { columns, charset }: { readonly columns: number; readonly charset: Charset },
): Line[] {
  const widths = widthsOf(table, rows, columns);
  const titles = titlesOf(table.columns, widths, sorting, charset);
  const body: Line[] = [line(fit(` ${titles}`, columns, 'left', charset), 'title')];
  const first = Math.min(Math.max(0, at - Math.floor(lineCount / 2)), Math.max(0, rows.length - lineCount));
  for (const [index, row] of rows.slice(first, first + lineCount).entries()) {
    const isSelected = first + index === at;
    const plain = isSelected ? 'selected' : 'plain';
    const spans: Span[] = [{ text: isSelected ? '>' : ' ', style: plain }];
    table.columns.forEach((column, place) => {
      const text = fit(column.text(row, widths[place]!), widths[place]!, column.align, charset);
      spans.push({ text, style: column.style?.(row) ?? plain });
      if (place < table.columns.length - 1) spans.push({ text: ' ', style: plain });
    });
    body.push(spans);
  }
  if (rows.length === 0) body.push(line(fit(emptyText, columns, 'left', charset), 'dim'));
  while (body.length < lineCount + 1) body.push([]);
  return body;
}

/** The name is as wide as the longest one, so that numbers stay near it; one column takes what is left. */
function widthsOf(table: TopTable<never>, rows: readonly never[], columns: number): number[] {
  const fixed = table.columns.reduce((sum, { width }) => sum + width + 1, MARKER_WIDTH - 1);
  const widths = table.columns.map((column) => {
    if (column.width > 0) return column.width;
    const longest = rows.reduce(
      (most, row) => Math.max(most, widthOf(column.text(row, 0))),
      column.title.length + 1,
    );
    return Math.max(NAME_MINIMUM, Math.min(longest, columns - fixed));
  });
  const left = columns - widths.reduce((sum, width) => sum + width + 1, MARKER_WIDTH - 1);
  return table.columns.map(({ isStretched }, index) =>
    isStretched === true ? widths[index]! + Math.max(0, left) : widths[index]!,
  );
}

/** The titles in a row. An arrow stands in the gap beside the title by which rows are sorted: down for the largest number first. */
function titlesOf(
  columns: readonly TopColumn<never>[],
  widths: readonly number[],
  { column: sorted, isReversed }: Sorting,
  charset: Charset,
): string {
  return columns
    .map(({ title, align }, index) => {
      if (index !== sorted) return fit(title, widths[index]!, align, charset) + ' ';
      const { down, up } = ARROWS[charset];
      const arrow = (align === 'right') === isReversed ? up : down;
      return align === 'right'
        ? fit(title, widths[index]!, align, charset) + arrow
        : fit(title + arrow, widths[index]! + 1, align, charset);
    })
    .join('');
}
