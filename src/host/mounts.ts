import { darwinMountTable } from './darwin/mount-table.ts';
import { type MountEntry, mountTable as linuxMountTable } from './linux/mounts/mount-table.ts';

/** What the kernel's table calls our mounts: the type on Linux. */
export const FILE_SYSTEM_TYPE = 'fuse.ipcfs';
/** The source of our mounts. */
export const FILE_SYSTEM_NAME = 'ipcfs';

/** What lists our mounts, for messages. */
export function listCommand(platform = process.platform): string {
  return platform === 'darwin' ? 'mount | grep ipcfs' : 'grep ipcfs /proc/mounts';
}

/** Every mount, in order: of several on one directory the last is the visible one. No mount is touched. */
export function mountTable(platform = process.platform): MountEntry[] {
  return platform === 'darwin' ? darwinMountTable() : linuxMountTable();
}

/** The mount that is visible at exactly `directory` (an absolute path without links), if any. */
export function mountAt(directory: string, table = mountTable()): MountEntry | null {
  return table.findLast((entry) => entry.directory === directory) ?? null;
}

/** The mount that a path lies in: the visible one on the longest directory that it begins with; null if the table has not even a root. */
export function mountAround(path: string, table = mountTable()): MountEntry | null {
  const isAround = ({ directory }: MountEntry): boolean =>
    directory === '/' || path === directory || path.startsWith(`${directory}/`);
  let found: MountEntry | null = null;
  for (const entry of table) {
    if (isAround(entry) && entry.directory.length >= (found?.directory.length ?? 0)) found = entry;
  }
  return found;
}

/** The type of the mounts beside or within ours that have only its segments. */
const SEGMENT_TYPE = `${FILE_SYSTEM_TYPE}.shm`;

/** Whether a mount is ours, or has the segments of one: macFUSE has one type for all, so there the source says it. */
export function isMountOfOurs(entry: MountEntry): boolean {
  return (
    entry.type === FILE_SYSTEM_TYPE || (entry.type.includes('fuse') && entry.source === FILE_SYSTEM_NAME)
  );
}

/** Whether a mount is ours. */
export function isIpcfsMount(entry: MountEntry | null): boolean {
  return entry !== null && isMountOfOurs(entry) && entry.type !== SEGMENT_TYPE;
}
