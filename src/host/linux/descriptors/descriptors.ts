import { EACCES, ENOSYS, EOPNOTSUPP, EPERM } from '../../../kern/errno.ts';
import { NO_IDENTITY, UNKNOWN_IDENTITY } from '../../../kern/host.ts';
import { readStart, readText } from '../bounded-read.ts';
import { deviceOf, nameToHandleAt } from '../file-status.ts';
import { closeForeign } from './close-foreign.ts';
import * as libc from '../libc.ts';

/** Where the files of a mount lie, as other processes show them. */
export interface MountPlace {
  /** The mount that was made, as /proc/self/mountinfo numbers it; others have numbers of their own (bind, namespaces). */
  readonly id: number;
  /** The minor number of its device, which all of them share. */
  readonly deviceMinor: number;
}

/** FUSE's file handle: nodeid, high half first, and generation (FILEID_INO64_GEN). */
const FUSE_HANDLE_BYTES = 12;
const FUSE_HANDLE_TYPE = 0x81;
const HALF = 2 ** 32;

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_PATH = 0o10000000;

const handle = new Uint32Array(2 + FUSE_HANDLE_BYTES / Uint32Array.BYTES_PER_ELEMENT);
const mountId = new Int32Array(1);

function isOnDevice(path: string, { deviceMinor }: MountPlace): boolean {
  const device = deviceOf(path);
  return device?.[0] === 0 && device[1] === deviceMinor;
}

/**
 * The nodeid of the file of `mount` behind a process's descriptor; NO_IDENTITY or UNKNOWN_IDENTITY without one. It is the name that
 * the file system has for exporting files, which Linux makes from what it knows: no request is sent, so the serving thread may ask.
 */
export function descriptorIdentity(pid: number, descriptor: number, mount: MountPlace): number {
  const path = `/proc/${pid}/fd/${descriptor}`;
  handle[0] = FUSE_HANDLE_BYTES;
  if (nameToHandleAt(path, handle, mountId) === 0) {
    if (mountId[0] !== mount.id && !isOnDevice(path, mount)) return NO_IDENTITY;
    return handle[1] === FUSE_HANDLE_TYPE ? handle[2]! * HALF + handle[3]! : UNKNOWN_IDENTITY;
  }
  switch (libc.failure()) {
    case -EPERM:
    case -EACCES:
    case -ENOSYS:
      return UNKNOWN_IDENTITY;
    case -EOPNOTSUPP:
      return isOnDevice(path, mount) ? UNKNOWN_IDENTITY : NO_IDENTITY;
    // Nothing there, or a file system whose handles are longer.
    default:
      return NO_IDENTITY;
  }
}

/** What /proc/PID/fdinfo says of a descriptor. */
export interface DescriptorInfo {
  readonly mountId: number;
  readonly inode: number;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  /** It was opened with O_PATH: it names a file, and neither reads nor writes it. */
  readonly isPathOnly: boolean;
  /** For a socket of the local domain: descriptors that have been sent and not received. */
  readonly inFlight: number;
}

/** The lines that are read come first; who has locked a thousand ranges of a file, or watches as many, has as many lines more. */
const INFO_BYTES = 512;

/** Null when there is no such descriptor, or we may not look. Asks the kernel only, not the server of a mount. */
export function anyDescriptorInfo(pid: number, descriptor: number): DescriptorInfo | null {
  const text = readStart(`/proc/${pid}/fdinfo/${descriptor}`, INFO_BYTES);
  if (text === null) return null;
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1];
  const flags = parseInt(field('flags') ?? '', 8);
  const isPathOnly = (flags & O_PATH) !== 0;
  const access = flags & O_ACCMODE;
  return {
    mountId: Number(field('mnt_id')),
    inode: Number(field('ino')),
    isReadable: !isPathOnly && access !== O_WRONLY,
    isWritable: !isPathOnly && access !== 0,
    isPathOnly,
    inFlight: Number(field('scm_fds') ?? 0),
  };
}

/** The same of a descriptor that is there for reading or writing; null for one of O_PATH too. */
export function descriptorInfo(pid: number, descriptor: number): DescriptorInfo | null {
  const info = anyDescriptorInfo(pid, descriptor);
  return info?.isPathOnly === true ? null : info;
}

/** The mount that a descriptor of this process leads to, one of O_PATH too; NaN when the kernel does not say. */
export function descriptorMountId(descriptor: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readText(`/proc/self/fdinfo/${descriptor}`) ?? '')?.[1]);
}

/** _IOR('K', 1, uint64_t): what every open file of a mount answers with its handle. */
const GET_HANDLE = 0x80084b01;

/**
 * The handle of the open file of `mount` behind a process's descriptor; 0 when there is none, or we may not trace the process. It is
 * asked for by an ioctl, which the mount's server answers: not for the serving thread. The copy of the descriptor that this takes is
 * closed at once; when it has become the last one, that is the close that the server hears of.
 */
export function handleBehind(pid: number, descriptor: number, mount: MountPlace): number {
  const pidfd = libc.pidfdOpen(pid);
  if (pidfd < 0) return 0;
  const copy = libc.pidfdGetDescriptor(pidfd, descriptor);
  libc.close(pidfd);
  if (copy < 0) return 0;
  const result = new BigUint64Array(1);
  // The descriptor may have been replaced since it was looked at, by one of a mount whose server never answers.
  const identity = descriptorIdentity(process.pid, copy, mount);
  const isOurs =
    identity === UNKNOWN_IDENTITY
      ? descriptorInfo(process.pid, copy)?.mountId === mount.id
      : identity !== NO_IDENTITY;
  const isAnswered = isOurs && libc.ioctl(copy, GET_HANDLE, result) === 0;
  if (isOurs) libc.close(copy);
  else closeForeign(copy);
  return isAnswered ? Number(result[0]) : 0;
}
