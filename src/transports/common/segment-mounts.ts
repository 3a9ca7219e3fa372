import { createHash } from 'node:crypto';
import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isMountOfOurs, mountTable } from '../../host/mounts.ts';

/** The part of a directory's name that says which mount point it belongs to, so that who finds it dead can tell. */
function prefix(directory: string): string {
  const digest = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  return `ipcfs-shm-${digest}-`;
}

/** A new directory of ours for the segments of the mount on `directory`, where that cannot be mounted within. */
export function makeSegmentDirectory(directory: string): string {
  // The mount table has no links in its paths.
  return mkdtempSync(join(realpathSync(tmpdir()), prefix(directory)));
}

/** The mounts beside the one on `directory` that hold its segments: those of servers that were killed are left there too. */
export function segmentMountsOf(directory: string, table = mountTable()): string[] {
  return table
    .filter((entry) => isMountOfOurs(entry) && basename(entry.directory).startsWith(prefix(directory)))
    .map((entry) => entry.directory);
}

/** Removes a directory that `makeSegmentDirectory` has made, once nothing is mounted on it. */
export function removeSegmentDirectory(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It is somebody else's, or has gone: it holds nobody up.
  }
}
