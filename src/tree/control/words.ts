import { printableText } from '../../kern/printable.ts';
import { parseInteger } from '../../kern/sysctl.ts';
import { BadRequest } from './request-file.ts';

const QUOTED_LENGTH = 64;

/** A word of a request for a message, cut when it is long. */
export function quoted(word: string): string {
  const cut = word.length > QUOTED_LENGTH ? `${word.slice(0, QUOTED_LENGTH)}...` : word;
  return `"${printableText(cut)}"`;
}

export function parseNumber(word: string | undefined, what: string): number {
  const value = word === undefined ? null : parseInteger(word);
  if (value === null)
    throw new BadRequest(word === undefined ? `${what} is missing` : `${quoted(word)} is not ${what}`);
  return value;
}

export function refuseMore(words: readonly string[]): void {
  if (words.length > 0) throw new BadRequest(`unknown word ${quoted(words[0]!)}`);
}
