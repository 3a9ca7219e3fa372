import { readFileSync } from 'node:fs';
import { withDescriptors } from './spare-descriptor.ts';

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

/** Every mount, in order: of several on one directory the last is the visible one. */
export function mountTable(): MountEntry[] {
  return parseMountTable(withDescriptors(() => readFileSync('/proc/self/mountinfo', 'latin1')));
}

/** The lines of /proc/PID/mountinfo, read as bytes: one character each. */
export function parseMountTable(text: string): MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [before, after] = line.split(' - ') as [string, string];
      const fields = before.split(' ');
      const [type, source, options] = after.split(' ') as [string, string, string | undefined];
      return {
        id: Number(fields[0]),
        directory: unescape(fields[4]!),
        type,
        source: unescape(source),
        deviceMinor: Number(fields[2]!.split(':')[1]),
        superOptions: options?.split(',') ?? [],
      };
    });
}

/** The mount that is visible at exactly `directory` (an absolute path without links), if any. */
export function mountAt(directory: string): MountEntry | null {
  return mountTable().findLast((entry) => entry.directory === directory) ?? null;
}
