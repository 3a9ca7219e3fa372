import { isProblem, parseChange } from '../../kqueue/text.ts';
import { UsageFailure } from '../failures.ts';

/** Longer lines are refused by the mount. */
const LONGEST_LINE_BYTES = 4096;

/** The lines to write, checked by the parser that the mount uses: a wrong one is a usage error before anything is opened. */
export function changeLines(changes: readonly string[]): Buffer {
  const lines = changes.map((change, index) => {
    // The parser takes one character a byte.
    const line = Buffer.from(change).toString('latin1');
    const where = `change ${index + 1}, '${change}'`;
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
