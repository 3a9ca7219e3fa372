import { type Charset, fit } from '../tables/format.ts';
import { line, type Line } from './lines.ts';

/** Every key and what it does. */
const KEYS: readonly (readonly [keys: string, action: string])[] = [
  ['Tab, Shift-Tab, Right, Left', 'next or previous table'],
  ['Down, Up, j, k', 'select the next or previous row'],
  ['PgDn, PgUp, Space, b', 'a page down or up; in the pane, through the bytes'],
  ['Home, End, g, G', 'the first or last row'],
  ['Enter', 'open or close the pane of the selected object'],
  ['/', 'show only rows with a text; Enter keeps the filter, Esc removes it'],
  ['s, S', 'sort by the next or previous column'],
  ['r', 'reverse the order'],
  ['+, -', 'refresh half as often, twice as often'],
  ['?, h', 'this list'],
  ['Ctrl-Z, Ctrl-L', 'stop until fg; redraw'],
  ['q, Ctrl-C', 'quit'],
];
const KEYS_WIDTH = Math.max(...KEYS.map(([keys]) => keys.length));

/** The list of keys in `lineCount` lines. */
export function keyLines(
  { columns, charset }: { readonly columns: number; readonly charset: Charset },
  lineCount: number,
): Line[] {
  const lines = [
    line(fit(' KEYS', columns, 'left', charset), 'title'),
    ...KEYS.map(([keys, action]) =>
      line(fit(` ${keys.padEnd(KEYS_WIDTH)}  ${action}`, columns, 'left', charset)),
    ),
  ].slice(0, lineCount);
  while (lines.length < lineCount) lines.push([]);
  return lines;
}
