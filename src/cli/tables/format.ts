import stringWidth from 'string-width';

const UNITS = ['', 'K', 'M', 'G', 'T'];
const BAR_FULL = { unicode: '█', ascii: '#' };
const BAR_EMPTY = { unicode: '░', ascii: '.' };
const ELLIPSIS = { unicode: '…', ascii: '~' };

/** Which characters the terminal can show. */
export type Charset = 'unicode' | 'ascii';

/** From the locale, in the order in which the C library looks. */
export function charsetOf(environment: NodeJS.ProcessEnv): Charset {
  const set = ['LC_ALL', 'LC_CTYPE', 'LANG'].find((name) => (environment[name] ?? '') !== '');
  const locale = set === undefined ? '' : environment[set]!;
  return /utf-?8/i.test(locale) ? 'unicode' : 'ascii';
}

/** Columns that a text takes in a terminal. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** The text in exactly `width` columns. What is too long loses its middle: names are told apart at both ends. */
export function fit(text: string, width: number, align: 'left' | 'right', charset: Charset): string {
  if (width <= 0) return '';
  let shown = text;
  if (widthOf(text) > width) {
    const characters = Array.from(text);
    const head = takeColumns(characters, Math.ceil((width - 1) / 2));
    const tail = takeColumns(characters.toReversed(), width - 1 - widthOf(head));
    shown = head + ELLIPSIS[charset] + Array.from(tail).toReversed().join('');
  }
  const padding = ' '.repeat(Math.max(0, width - widthOf(shown)));
  return align === 'left' ? shown + padding : padding + shown;
}

function takeColumns(characters: readonly string[], width: number): string {
  let taken = '';
  for (const character of characters) {
    if (widthOf(taken + character) > width) break;
    taken += character;
  }
  return taken;
}

/** Bytes in at most 5 characters: `512`, `1.5K`, `64K`, `1000M`. */
export function byteCount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.round(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return String(Math.round(value));
  const text = value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : String(Math.round(value));
  return text + UNITS[unit]!;
}

/** A time in its two largest units: `0.3 s`, `12 s`, `4 min 10 s`, `3 h 5 min`, `2 d 1 h`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** A bar of `width` columns, `share` of it full. Something is never shown as nothing, nor as full what is not. */
export function bar(share: number, width: number, charset: Charset): string {
  let full = Math.round(share * width);
  if (share > 0) full = Math.max(1, full);
  full = Math.min(share < 1 ? width - 1 : width, full);
  return BAR_FULL[charset].repeat(full) + BAR_EMPTY[charset].repeat(width - full);
}

/** `1 pipe`, `2 pipes`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
