import * as bytes from '../kern/printable.ts';

// The server's functions for text that a person sees, for strings of Unicode: commands escape as the tables of info/ do.

function forUnicode(print: (text: string) => string): (text: string) => string {
  return (text) =>
    Buffer.from(print(Buffer.from(text, 'utf8').toString('latin1')), 'latin1').toString('utf8');
}

/** A name as one word of bounded length, as in a cell of a table. */
export const printable = forUnicode((text) => bytes.cellOf(text));

/** The same for words in a row: spaces stay. */
export const printableWords = forUnicode((text) => bytes.cellOf(text, bytes.printableText));

/** A line that has been put together from words, of any length. */
export const printableLine = forUnicode(bytes.printableLine);

const printableJson = forUnicode(bytes.printableJson);

/** JSON for --json. Names are whole; what could steer a terminal is \uXXXX. */
export function toJson(value: unknown, indent = 0): string {
  return printableJson(JSON.stringify(value, null, indent));
}
