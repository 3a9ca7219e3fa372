import { define } from './libc.ts';

// What Linux itself knows of files: none of these asks the server of a file system. Results are as in libc.ts.

const nameToHandle = define('long syscall(long, int, const char*, void*, void*, int)') as (
  number: number,
  directory: number,
  path: string,
  handle: Uint32Array,
  mountId: Int32Array,
  flags: number,
) => number;
/** statx(2), by its number: not every C library has it. */
export const statxOf = define('long syscall(long, int, const char*, int, unsigned int, void*)') as (
  number: number,
  directory: number,
  path: string,
  flags: number,
  mask: number,
  status: Uint32Array,
) => number;
const SYS_name_to_handle_at = process.arch === 'arm64' ? 264 : 303;
export const SYS_statx = process.arch === 'arm64' ? 291 : 332;
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_BYTES = 256;
/** stx_dev_major; the minor number follows. */
const STATX_DEVICE_WORD = 34;
/** stx_mode has the lower half of the word; stx_ino has two. */
const STATX_MODE_WORD = 7;
const STATX_INODE_WORD = 8;
const STATX_TYPE_AND_INODE = 0x101;

/**
 * What a file system calls a file, without asking the file system's server. `handle` is struct file_handle: the room for the rest
 * in bytes, a type, the rest. `mountId` gets the mount that the path led to. 0, or -1.
 */
export function nameToHandleAt(path: string, handle: Uint32Array, mountId: Int32Array): number {
  return nameToHandle(SYS_name_to_handle_at, AT_FDCWD, path, handle, mountId, AT_SYMLINK_FOLLOW);
}

/** The device of a file as [major, minor], without asking the file system's server; null when there is no such file. */
export function deviceOf(path: string): [major: number, minor: number] | null {
  const status = new Uint32Array(STATX_BYTES / Uint32Array.BYTES_PER_ELEMENT);
  if (statxOf(SYS_statx, AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, status) !== 0) return null;
  return [status[STATX_DEVICE_WORD]!, status[STATX_DEVICE_WORD + 1]!];
}

const fileStatus = new Uint32Array(STATX_BYTES / Uint32Array.BYTES_PER_ELEMENT);

/** Device, inode and type of a file, without asking the file system's server; null when there is no such file. */
export function fileOf(path: string): [major: number, minor: number, inode: number, mode: number] | null {
  const status = fileStatus;
  const result = statxOf(SYS_statx, AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE_AND_INODE, status);
  if (result !== 0) return null;
  const inode = status[STATX_INODE_WORD]! + status[STATX_INODE_WORD + 1]! * 2 ** 32;
  return [
    status[STATX_DEVICE_WORD]!,
    status[STATX_DEVICE_WORD + 1]!,
    inode,
    status[STATX_MODE_WORD]! & 0xffff,
  ];
}
