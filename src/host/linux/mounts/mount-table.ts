import { type LineLimits, readFileLines } from '../bounded-read.ts';

/** One mounted file system, as this process sees it. */
export interface MountEntry {
  readonly id: number;
  readonly directory: string;
  readonly type: string;
  readonly source: string;
  /** Minor number of the device: the name of its FUSE connection. */
  readonly deviceMinor: number;
  /** Options of the file system itself: `allow_other`, `user_id=0`. */
  readonly superOptions: readonly string[];
}

/** Blanks and backslashes stand as \ooo in the table. */
function unescape(text: string): string {
  return Buffer.from(
    text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
    'latin1',
  ).toString('utf8');
}

/**
 * Of a table of mounts: 1000 mounts of a user, which is what libfuse allows him, below directories with the longest names, are 16 MiB.
 */
export const MOUNT_TABLE_LIMITS: LineLimits = { limitBytes: 64 * 1024 * 1024, lineBytes: 64 * 1024 };

/** The mounts of `path` (/proc/PID/mountinfo) that `isWanted`, in order; null when the table is longer than its limit. Throws as `openSync` does. */
export function mountsIn(path: string, isWanted: (entry: MountEntry) => boolean): MountEntry[] | null {
  const wanted: MountEntry[] = [];
  const isWhole = readFileLines(path, MOUNT_TABLE_LIMITS, (line) => {
    const entry = parseMount(line);
    if (entry !== null && isWanted(entry)) wanted.push(entry);
    return true;
  });
  return isWhole ? wanted : null;
}

/** Every mount, in order: of several on one directory the last is the visible one. */
export function mountTable(isWanted: (entry: MountEntry) => boolean = () => true): MountEntry[] {
  return mountsIn('/proc/self/mountinfo', isWanted) ?? [];
}

/** A line of /proc/PID/mountinfo, one character a byte; null when it is cut off. */
export function parseMount(line: string): MountEntry | null {
  const [before, after] = line.split(' - ') as [string, string?];
  const fields = before.split(' ');
  const [type, source, options] = (after ?? '').split(' ') as [string, string?, string?];
  if (source === undefined || fields.length < 6) return null;
  return {
    id: Number(fields[0]),
    directory: unescape(fields[4]!),
    type,
    source: unescape(source),
    deviceMinor: Number(fields[2]!.split(':')[1]),
    superOptions: options?.split(',') ?? [],
  };
}

/** The mount that is visible at exactly `directory` (an absolute path without links), if any. */
export function mountAt(directory: string): MountEntry | null {
  return mountTable((entry) => entry.directory === directory).at(-1) ?? null;
}
