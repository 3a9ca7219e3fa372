import { closeSync, openSync, readSync } from 'node:fs';
import { withDescriptors } from './descriptors/spare-descriptor.ts';

/** Files of /proc and of control groups have some hundred bytes; this is the status of a process in 6,000 groups. */
export const TEXT_LIMIT_BYTES = 64 * 1024;

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** Puts the next bytes into `target`: how many, 0 at the end. Throws as `readSync` does. */
export type ReadBytes = (target: Uint8Array) => number;

/** Of this thread, which reads one file at a time: nobody reads another one within `visit`. */
const chunk = Buffer.allocUnsafe(CHUNK_BYTES);

/** All there is to read, one character a byte; null when it is more than `limitBytes`. */
export function readAll(read: ReadBytes, limitBytes: number): string | null {
  let text = '';
  for (;;) {
    const count = read(chunk);
    if (count === 0) return text;
    if (text.length + count > limitBytes) return null;
    text += chunk.toString('latin1', 0, count);
  }
}

export interface LineLimits {
  /** Of all lines together. */
  readonly limitBytes: number;
  /** Of a line: the rest is left out. */
  readonly lineBytes: number;
  /** Lines that do not have these bytes, in the part that is not left out, need not be visited. */
  readonly having?: Uint8Array;
}

/**
 * Gives each line to `visit`, one character a byte, until that returns false. False when the limit came before the end: nothing is
 * known then of what comes after it.
 */
export function readLines(
  read: ReadBytes,
  { limitBytes, lineBytes, having }: LineLimits,
  visit: (line: string) => boolean,
): boolean {
  /** The beginning of a line that goes on, up to `lineBytes`. */
  let line = '';
  let totalBytes = 0;
  for (;;) {
    const count = read(chunk);
    if (count === 0) {
      if (line !== '') visit(line);
      return true;
    }
    totalBytes += count;
    const bytes = chunk.subarray(0, count);
    for (let start = 0; start < count;) {
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? count : newline;
      line += bytes.toString('latin1', start, Math.min(end, start + lineBytes - line.length));
      start = end + 1;
      if (newline < 0) break;
      if (!visit(line)) return true;
      line = '';
      if (having !== undefined) start = lineWith(bytes, start, having);
    }
    if (totalBytes >= limitBytes) return false;
  }
}

/** Where the next line with `having` begins; without one, the last line, which may go on. */
function lineWith(bytes: Buffer, start: number, having: Uint8Array): number {
  const found = bytes.indexOf(having, start);
  const before = found < 0 ? bytes.length : found;
  if (before <= start) return start;
  const newline = bytes.lastIndexOf(NEWLINE, before - 1);
  return Math.max(start, newline + 1);
}

/** Opens a file for the time of `work`, also when the server has no descriptor left. Throws when that fails. */
function withFile<T>(path: string, work: (read: ReadBytes) => T): T {
  return withDescriptors(() => {
    const descriptor = openSync(path, 'r');
    try {
      return work((target) => readSync(descriptor, target, 0, target.length, null));
    } finally {
      closeSync(descriptor);
    }
  });
}

/** The text of a file of the host, one character a byte; null when it cannot be read, or is longer than `limitBytes`. */
export function readText(path: string, limitBytes = TEXT_LIMIT_BYTES): string | null {
  try {
    return withFile(path, (read) => readAll(read, limitBytes));
  } catch {
    return null;
  }
}

/** Up to `sizeBytes` from the beginning of a file; null when it cannot be read. */
export function readStart(path: string, sizeBytes: number): string | null {
  try {
    return withFile(path, (read) => {
      const start = Buffer.alloc(sizeBytes);
      return start.toString('latin1', 0, read(start));
    });
  } catch {
    return null;
  }
}

/** `readLines` of a file. Throws when it cannot be read. */
export function readFileLines(path: string, limits: LineLimits, visit: (line: string) => boolean): boolean {
  return withFile(path, (read) => readLines(read, limits, visit));
}
