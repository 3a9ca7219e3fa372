import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as libc from './linux/libc.ts';

const STANDARD_ERROR = 2;

/** Keeps what libraries write to standard error, until `end`, which gives it. Our own failures are one line; theirs become part of it. */
export function captureStandardError(): { end(): string } {
  // Then they are heard as they are.
  if (libc.libraryFailure !== null) return { end: () => '' };
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-'));
  const file = openSync(join(directory, 'stderr'), 'w+');
  rmSync(directory, { recursive: true });
  const saved = openSync('/dev/null', 'w');
  libc.dup2(STANDARD_ERROR, saved);
  libc.dup2(file, STANDARD_ERROR);
  return {
    end() {
      libc.dup2(saved, STANDARD_ERROR);
      closeSync(saved);
      const bytes = Buffer.alloc(fstatSync(file).size);
      readSync(file, bytes, 0, bytes.length, 0);
      closeSync(file);
      return bytes.toString('utf8').trim();
    },
  };
}
