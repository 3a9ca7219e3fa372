import { isProblem, parseChange } from '../kqueue/text.ts';
import { UsageFailure } from './failure.ts';

/** Longer lines are refused by the mount. */
const LONGEST_LINE_BYTES = 4096;
/** Node's timers take no more. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

/** Seconds, fractions allowed, in milliseconds. */
export function parseTimeout(text: string): number {
  const milliseconds = /^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text) ? Number(text) * MS_PER_SECOND : NaN;
  if (milliseconds <= LONGEST_TIMEOUT_MS) return milliseconds;
  const longest = Math.floor(LONGEST_TIMEOUT_MS / MS_PER_SECOND);
  throw new UsageFailure(`--timeout takes seconds from 0 to ${longest}, fractions allowed, not '${text}'`);
}

export function parseCount(text: string): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && Number.isSafeInteger(count)) return count;
  throw new UsageFailure(`--count takes a number of events, 1 or more, not '${text}'`);
}

/** The lines to write, checked by the parser that the mount uses: a wrong one is a usage error before anything is opened. */
export function changeLines(changes: readonly string[]): Buffer {
  const lines = changes.map((change, index) => {
    // The parser takes one character a byte.
    const line = Buffer.from(change).toString('latin1');
    const where = `change ${index + 1}, '${printable(line)}'`;
    if (line.length > LONGEST_LINE_BYTES) {
      throw new UsageFailure(`change ${index + 1} is longer than ${LONGEST_LINE_BYTES} bytes`);
    }
    const result = parseChange(line);
    if (result === null) {
      throw new UsageFailure(`${where}, says nothing: write for example 'add read pipes/a'`);
    }
    if (isProblem(result))
      throw new UsageFailure(`${where}, column ${result.column}: ${result.message}: see 'ipcfs help kqueue'`);
    return `${line}\n`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}

/** Bytes for a message of one line: UTF-8 as it is, without what would move the cursor. */
function printable(line: string): string {
  return Buffer.from(line, 'latin1')
    .toString()
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
