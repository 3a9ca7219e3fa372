import * as libc from '../libc.ts';

const fsopen = libc.define('long syscall(long, const char*, unsigned int)') as (
  number: number,
  type: string,
  flags: number,
) => number;
const fsconfig = libc.define('long syscall(long, long, long, long, long, long)') as (
  number: number,
  context: number,
  command: number,
  key: number,
  value: number,
  auxiliary: number,
) => number;
const fsmount = libc.define('long syscall(long, long, long, long)') as (
  number: number,
  context: number,
  flags: number,
  attributes: number,
) => number;
const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const SYS_fsmount = 432;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const MOUNT_ATTR_NOSUID_NODEV_NOEXEC = 0xe;

/** A file system of this type, mounted nowhere: its descriptor, or -1. */
export function openDetachedMount(type: string): number {
  const context = fsopen(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  const isMade = fsconfig(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0) === 0;
  const descriptor = isMade
    ? fsmount(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID_NODEV_NOEXEC)
    : -1;
  libc.close(context);
  return descriptor;
}
