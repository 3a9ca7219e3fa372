import { accessSync, closeSync, constants, openSync, type Stats, statSync } from 'node:fs';
import { mountAround } from '../../host/mounts.ts';
import { readText } from '../../host/linux/bounded-read.ts';
import { ENOENT } from '../../kern/errno.ts';
import { deviceFailure, FUSE_DEVICE } from '../../transports/common/fuse-device.ts';
import type { Finding } from './finding.ts';

/** st_rdev of the FUSE device: major 10, minor 229. */
const FUSE_DEVICE_NUMBER = (10 << 8) | 229;
const MKNOD = `'rm -r ${FUSE_DEVICE}; mknod -m 666 ${FUSE_DEVICE} c 10 229' as root`;

/** Whether /dev/fuse is the device, and opens. */
export function deviceFinding(): Finding {
  const problem = problemOf();
  return {
    what: FUSE_DEVICE,
    isFine: problem === null,
    isNeeded: true,
    detail: problem ?? 'exists, and you may open it',
  };
}

function problemOf(): string | null {
  let stats: Stats;
  try {
    stats = statSync(FUSE_DEVICE);
  } catch {
    return deviceFailure(-ENOENT).message;
  }
  if (!stats.isCharacterDevice()) {
    const kind = stats.isDirectory() ? 'a directory' : stats.isFile() ? 'a file' : 'something else';
    return `${FUSE_DEVICE} is ${kind}, and no device: ${MKNOD}`;
  }
  if (stats.rdev !== FUSE_DEVICE_NUMBER) return `${FUSE_DEVICE} is another device: ${MKNOD}`;
  try {
    closeSync(openSync(FUSE_DEVICE, 'r+'));
    return null;
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    return code === 'EACCES' || code === 'EPERM' ? refusal() : deviceFailure(errno!).message;
  }
}

/** Why the device may not be opened: its mode, the mount it lies on, or the rules of a container. */
function refusal(): string {
  try {
    accessSync(FUSE_DEVICE, constants.R_OK | constants.W_OK);
  } catch {
    return `you may not open it: 'chmod 666 ${FUSE_DEVICE}' as root lets every user mount`;
  }
  const directory = mountAround(FUSE_DEVICE)?.directory ?? '/';
  if (isNoDevice(directory)) {
    return `it lies on ${directory}, which is mounted with nodev: 'mount -o remount,dev ${directory}' as root`;
  }
  return `the rules of this container refuse it: start the container with --device ${FUSE_DEVICE}`;
}

/** Whether the mount on `directory` has the option nodev. */
function isNoDevice(directory: string): boolean {
  const lines = (readText('/proc/self/mountinfo') ?? '').split('\n').map((line) => line.split(' '));
  const fields = lines.findLast((words) => words[4] === directory);
  return fields?.[5]?.split(',').includes('nodev') === true;
}
