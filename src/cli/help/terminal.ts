import type { Token, Tokens } from 'marked';
import { plainText } from './text.ts';

const INDENT = '  ';
const GAP = '  ';
/** Longer lines are hard to read. */
const WIDEST_COLUMNS = 100;
/** A last column that is narrower goes below the others. */
const NARROWEST_CELL_COLUMNS = 24;

/** Markdown as text for a terminal that has `columns` columns. Only code may be longer. */
export function renderForTerminal(tokens: readonly Token[], columns: number): string {
  const width = Math.min(columns, WIDEST_COLUMNS);
  const blocks = tokens.map((token) => block(token, width)).filter((lines) => lines.length > 0);
  return blocks.map((lines) => `${lines.join('\n')}\n`).join('\n');
}

function block(token: Token, width: number): string[] {
  switch (token.type) {
    case 'heading':
      return [plainText(token)];
    case 'paragraph':
      return fill(plainText(token), width);
    case 'code':
      return (token as Tokens.Code).text.split('\n').map((line) => (line === '' ? '' : INDENT + line));
    case 'list':
      return (token as Tokens.List).items.flatMap((item) =>
        fill(plainText(item), width - 2).map((line, index) => (index === 0 ? `- ${line}` : INDENT + line)),
      );
    case 'table':
      return table(token as Tokens.Table, width);
    default:
      return [];
  }
}

function table({ header, rows }: Tokens.Table, width: number): string[] {
  const texts = [header, ...rows].map((cells) => cells.map(plainText));
  return renderRows(texts, width);
}

/** Rows of cells, the last of which is wrapped. */
export function renderRows(rows: readonly (readonly string[])[], width: number): string[] {
  const leading = rows[0]!.slice(0, -1);
  const widths = leading.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const indent = widths.reduce((sum, columnWidth) => sum + columnWidth + GAP.length, 0);
  const isStacked = width - indent < NARROWEST_CELL_COLUMNS;
  return rows.flatMap((cells) => {
    const head = widths.map((columnWidth, column) => cells[column]!.padEnd(columnWidth) + GAP).join('');
    const last = cells.at(-1)!;
    if (isStacked) {
      const above = fill(cells.slice(0, -1).join(GAP), width);
      return [...above, ...fill(last, width - 4).map((line) => INDENT + INDENT + line)];
    }
    return fill(last, width - indent).map((line, index) =>
      (index === 0 ? head + line : ' '.repeat(indent) + line).trimEnd(),
    );
  });
}

/** Words in lines of at most `width` columns, if no word is longer. */
export function fill(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
