import { writeSync } from 'node:fs';
import { format } from 'node:util';
import createDebug from 'debug';

/**
 * Writes to standard error at once, without an event loop. Nobody may read it any more (a server in the background has lost its
 * reader), or the disk that it goes to may be full: a server must not end for that.
 */
export function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // There is nobody to tell.
  }
}

/** Lets this thread log in the same way. */
export function logByComplaining(): void {
  createDebug.log = (...words: unknown[]) => {
    complain(format(...words) + '\n');
  };
}
