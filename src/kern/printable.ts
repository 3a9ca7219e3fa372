// Text that a person may see in a terminal. Names come from users: a name must change nothing but its own cell, and must not look like
// another. Everything here takes and gives one character a byte, as names are kept.

/** What a terminal obeys, what turns or hides the text beside it, and what looks like a blank or like nothing. */
const DANGEROUS = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u;

/** A blank, a control character or a backslash; a character of several bytes in UTF-8; a byte that is part of no UTF-8. */
const UNITS =
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\x00-\x20\\\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;

/** Nearly every name: nothing in it is a unit. */
const PLAIN = /^[!-[\]-~]*$/;
/** Of a JSON text, which has no control characters but line ends, what may have to be escaped. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const PLAIN_JSON = /^[\x00-\x7e]*$/;

const OCTAL = Array.from({ length: 256 }, (_, byte) => '\\' + byte.toString(8).padStart(3, '0'));

/** Characters that a cell has at most. */
export const LONGEST_CELL = 256;
/** Stands for what a cell has no room for. No name gives it, since a backslash is written \134. */
const CUT = String.raw`\...`;
const HALF_CELL = (LONGEST_CELL - CUT.length) / 2;
/** Bytes of the longest character in UTF-8. */
const LONGEST_UNIT = 4;

function codePointOf(unit: string): number {
  if (unit.length === 1) return unit.charCodeAt(0);
  let codePoint = unit.charCodeAt(0) & (0xff >> (unit.length + 1));
  for (let index = 1; index < unit.length; index++)
    codePoint = (codePoint << 6) | (unit.charCodeAt(index) & 0x3f);
  return codePoint;
}

/** Whether a character of several bytes, or a byte below 0x80, may not be shown as it is. */
function isDangerous(unit: string): boolean {
  return DANGEROUS.test(String.fromCodePoint(codePointOf(unit)));
}

function isStray(unit: string): boolean {
  return unit.length === 1 && unit >= '\x80';
}

/** Writes each dangerous unit that is not in `kept`, and each byte that is no UTF-8, as \ooo, byte by byte. */
function escape(text: string, kept: string): string {
  if (PLAIN.test(text)) return text;
  return text.replace(UNITS, (unit) => {
    if (unit.length === 1) return kept.includes(unit) ? unit : OCTAL[unit.charCodeAt(0)]!;
    if (!isDangerous(unit)) return unit;
    let escaped = '';
    for (let index = 0; index < unit.length; index++) escaped += OCTAL[unit.charCodeAt(index)]!;
    return escaped;
  });
}

/**
 * A text as one word, as names are in /proc/mounts: what could steer a terminal, turn or hide other text or look like a blank, the
 * backslash, and bytes that are no UTF-8 become \ooo. Different texts give different words, and `printf %b` gives a text back.
 */
export function printableWord(text: string): string {
  return escape(text, '');
}

/** The same for words in a row: spaces stay. */
export function printableText(text: string): string {
  return escape(text, ' ');
}

/** The same for a line that has been put together from words: spaces and backslashes stay. */
export function printableLine(text: string): string {
  return escape(text, ' \\');
}

/** What `print` makes of a text, with at most LONGEST_CELL characters: of a longer one the middle is left out, where \... stands. */
export function cellOf(text: string, print: (text: string) => string = printableWord): string {
  if (text.length <= LONGEST_CELL) {
    const whole = print(text);
    if (whole.length <= LONGEST_CELL) return whole;
  }
  // No byte gives less than one character. A part may begin or end within a character of UTF-8, which is left out then.
  const head = charactersOf(print(text.slice(0, HALF_CELL + LONGEST_UNIT)));
  const tail = charactersOf(print(text.slice(-HALF_CELL - LONGEST_UNIT)));
  return takeHalf(head).join('') + CUT + takeHalf(tail.reverse()).reverse().join('');
}

/** What `print` has made, character by character: an escape is one. */
function charactersOf(printed: string): string[] {
  return printed.match(/\\[0-7]{3}|[^\x80-\xbf][\x80-\xbf]*/g) ?? [];
}

function takeHalf(characters: readonly string[]): string[] {
  let length = 0;
  const end = characters.findIndex((character) => (length += character.length) > HALF_CELL);
  return characters.slice(0, end);
}

/**
 * A JSON text in which nothing can steer a terminal: the same characters are \uXXXX. Where bytes are no UTF-8, every byte from 0x80 on is
 * \u00XX.
 */
export function printableJson(json: string): string {
  if (PLAIN_JSON.test(json)) return json;
  let isUtf8 = true;
  const printed = json.replace(UNITS, (unit) => {
    if (unit < '\x7f') return unit;
    if (isStray(unit)) isUtf8 = false;
    return isUtf8 && isDangerous(unit) ? hexadecimal(String.fromCodePoint(codePointOf(unit))) : unit;
  });
  return isUtf8 ? printed : json.replace(/[\x7f-\xff]/g, hexadecimal);
}

function hexadecimal(codeUnits: string): string {
  let escaped = '';
  for (let index = 0; index < codeUnits.length; index++)
    escaped += '\\u' + codeUnits.charCodeAt(index).toString(16).padStart(4, '0');
  return escaped;
}
