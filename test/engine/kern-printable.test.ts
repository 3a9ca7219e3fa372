import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  cellOf,
  LONGEST_CELL,
  printableJson,
  printableLine,
  printableText,
  printableWord,
} from '../../src/kern/printable.ts';

const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const decode = (bytes: string): string =>
  new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));

/** What may reach nobody's terminal, listed by hand: C0, DEL, C1, bidirectional controls, separators of lines and paragraphs. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const FORBIDDEN = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/;

/** Bytes of every kind, often with what is dangerous in them. */
const anyBytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.string({ unit: 'binary', maxLength: 6 }).map((text) => bytesOf(text)),
      fc
        .constantFrom(
          '\x1b[2J',
          '\x9b',
          '\u009b',
          '\u202e',
          '\u2028',
          '\u2029',
          '\u061c',
          '\u2066',
          '\u200e',
          '\x7f',
        )
        .map(bytesOf),
      fc.constantFrom(
        '\\',
        '\\134',
        '\\...',
        ' ',
        '\xff',
        '\xe2\x80',
        '\xc2',
        '\\u202e',
        bytesOf('é'),
        bytesOf('日本'),
      ),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

/** Undoes \ooo. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));

const printers = [printableWord, printableText, printableLine];

test('whatever a name holds, it is printed as UTF-8 without anything that steers, turns or hides text', () => {
  fc.assert(
    fc.property(anyBytes, (name) => {
      for (const print of [...printers, (text: string) => cellOf(text)])
        expect(decode(print(name))).not.toMatch(FORBIDDEN);
      expect(printableWord(name)).not.toContain(' ');
    }),
    { numRuns: 2000 },
  );
});

test('different names are printed differently: the bytes can be told from what is printed', () => {
  fc.assert(
    fc.property(anyBytes, (name) => {
      expect(unescape(printableWord(name))).toBe(name);
      expect(unescape(printableText(name))).toBe(name);
    }),
    { numRuns: 2000 },
  );
});

test('what is printable stays readable, in every alphabet', () => {
  for (const name of [
    'plain-name.0',
    'größe',
    '日本語',
    'naïve',
    'Ωμέγα',
    '😀',
    'a\'b"c$`',
    'שלום',
    'عربي',
  ]) {
    for (const print of printers) expect(decode(print(bytesOf(name)))).toBe(name);
    expect(printableJson(bytesOf(JSON.stringify(name)))).toBe(bytesOf(JSON.stringify(name)));
  }
});

test.each([
  ['blank and backslash', 'a b\\c', 'a\\040b\\134c', 'a b\\134c', 'a b\\c'],
  ['C0 and DEL', '\x1b[2J\n\x7f', '\\033[2J\\012\\177', '\\033[2J\\012\\177', '\\033[2J\\012\\177'],
  ['C1 as a byte', '\x9b', '\\233', '\\233', '\\233'],
  ['C1 as UTF-8', '\xc2\x9b', '\\302\\233', '\\302\\233', '\\302\\233'],
  [
    'a right-to-left override',
    bytesOf('a\u202eb'),
    'a\\342\\200\\256b',
    'a\\342\\200\\256b',
    'a\\342\\200\\256b',
  ],
  ['a no-break space', bytesOf('a\u00a0b'), 'a\\302\\240b', 'a\\302\\240b', 'a\\302\\240b'],
  ['a byte that is no UTF-8', '\xff\xc3\xbc', '\\377\xc3\xbc', '\\377\xc3\xbc', '\\377\xc3\xbc'],
  ['a surrogate', '\xed\xa0\x80', '\\355\\240\\200', '\\355\\240\\200', '\\355\\240\\200'],
  [
    'a character in too many bytes',
    '\xc0\x9b\xe0\x82\x9b',
    '\\300\\233\\340\\202\\233',
    '\\300\\233\\340\\202\\233',
    '\\300\\233\\340\\202\\233',
  ],
])('%s', (_, name, word, text, line) => {
  expect(printers.map((print) => print(name))).toEqual([word, text, line]);
});

test('a cell has at most 256 characters: a longer one keeps both ends, and a mark that no name gives', () => {
  fc.assert(
    fc.property(anyBytes, fc.integer({ min: 1, max: 60 }), (part, times) => {
      const name = part.repeat(times);
      const cell = cellOf(name);
      expect(cell.length).toBeLessThanOrEqual(LONGEST_CELL);
      const [head, tail, ...more] = cell.split('\\...');
      expect(more).toEqual([]);
      if (tail === undefined) expect(unescape(cell)).toBe(name);
      else {
        expect(printableWord(name).length).toBeGreaterThan(LONGEST_CELL);
        expect(name.startsWith(unescape(head!))).toBe(true);
        expect(name.endsWith(unescape(tail))).toBe(true);
        expect(cell.length).toBeGreaterThan(LONGEST_CELL - 2 * '\\377'.repeat(4).length);
      }
    }),
    { numRuns: 2000 },
  );
  expect(cellOf('x'.repeat(256))).toBe('x'.repeat(256));
  expect(cellOf('a'.repeat(200) + 'b'.repeat(200))).toBe(`${'a'.repeat(126)}\\...${'b'.repeat(126)}`);
});

test('JSON that is printed is the same JSON, in UTF-8 and without anything that steers, turns or hides text', () => {
  fc.assert(
    fc.property(anyBytes, (name) => {
      const json = decode(printableJson(JSON.stringify(name)));
      expect(json).not.toMatch(FORBIDDEN);
      let text = name;
      try {
        text = decode(name);
      } catch {
        // Shown byte by byte.
      }
      expect(JSON.parse(json)).toBe(text);
    }),
    { numRuns: 2000 },
  );
  expect(printableJson(bytesOf('{\n  "a": "\u202e\u{e0001}"\n}'))).toBe(
    '{\n  "a": "\\u202e\\udb40\\udc01"\n}',
  );
});
