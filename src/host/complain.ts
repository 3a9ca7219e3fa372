import { writeSync } from 'node:fs';

/**
 * Writes to standard error at once, without an event loop. Nobody may read it any more: a server in the background has lost its
 * reader, and must not end for that.
 */
export function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // There is nobody to tell.
  }
}
