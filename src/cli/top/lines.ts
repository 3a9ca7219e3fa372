import { type Charset, fit, widthOf } from '../tables/format.ts';

/** The meaning of a piece of text, which decides its colour. */
export type Style = 'plain' | 'title' | 'dim' | 'selected' | 'alarm' | 'calm' | 'warm' | 'full';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** A line of the screen. */
export type Line = readonly Span[];

export function line(text: string, style: Style = 'plain'): Line {
  return [{ text, style }];
}

/** A line with something at its right end, which goes first when there is no room for both. */
export function spread(
  left: string,
  right: string,
  columns: number,
  charset: Charset,
  style: Style = 'plain',
): Line {
  const room = columns - widthOf(right) - 1;
  if (widthOf(left) > room) return line(fit(left, columns, 'left', charset), style);
  return line(fit(left, room, 'left', charset) + ' ' + right, style);
}
