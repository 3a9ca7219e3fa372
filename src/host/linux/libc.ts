import { createRequire } from 'node:module';
import { LibraryFailure } from '../library-failure.ts';

type Koffi = typeof import('koffi').default;

/** koffi's binaries are packages of their own, and optional to npm: an installation may be without one. */
function loadKoffi(): Koffi | null {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    return null;
  }
}

const koffi = loadKoffi();
const library = koffi?.load(null) ?? null;

/** Why no function here can be called; null when they can. */
export const libraryFailure: LibraryFailure | null =
  library === null
    ? new LibraryFailure(
        `the npm package koffi has no binary for ${process.platform}-${process.arch} here: 'npm install --include=optional' installs it`,
      )
    : null;

/**
 * The C library calls that a mount needs. Results are as in C: -1 with `errno()`. Addresses of structures are passed as typed
 * arrays, laid out here for 64-bit Linux.
 */
type Pointer = ArrayBufferView | null;

/**
 * A function of the C library. One that this system does not have fails when it is called: other systems load this file too. Calls that
 * one module alone makes are defined there.
 */
export function define(prototype: string): unknown {
  try {
    if (library === null) throw libraryFailure!;
    return library.func(prototype);
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

export const read = define('int read(int, void*, size_t)') as (
  descriptor: number,
  buffer: ArrayBufferView,
  count: number,
) => number;
export const write = define('int write(int, void*, size_t)') as (
  descriptor: number,
  buffer: ArrayBufferView,
  count: number,
) => number;
/** `vector` is an array of struct iovec: address and length, 64 bits each, low word first. */
export const writev = define('int writev(int, void*, int)') as (
  descriptor: number,
  vector: Uint32Array,
  count: number,
) => number;
export const open = define('int open(const char*, int)') as (path: string, flags: number) => number;
export const close = define('int close(int)') as (descriptor: number) => number;
export const RLIMIT_DATA = 2;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_AS = 9;
/** `limits` becomes a struct rlimit: soft and hard limit, 64 bits each. */
export const getrlimit = define('int getrlimit(int, void*)') as (
  resource: number,
  limits: BigUint64Array,
) => number;
/** `descriptors` is an array of struct pollfd: descriptor (32 bits), events and revents (16 each). */
export const poll = define('int poll(void*, unsigned long, int)') as (
  descriptors: Int32Array,
  count: number,
  timeoutMs: number,
) => number;
export const eventfd = define('int eventfd(unsigned int, int)') as (initial: number, flags: number) => number;
export const mount = define(
  'int mount(const char*, const char*, const char*, unsigned long, const char*)',
) as (source: string, target: string, type: string, flags: number, data: string) => number;
export const umount2 = define('int umount2(const char*, int)') as (target: string, flags: number) => number;
export const dup2 = define('int dup2(int, int)') as (from: number, to: number) => number;
export const kill = define('int kill(int, int)') as (pid: number, signal: number) => number;
/** The process group of a process; negative when there is no such process. */
export const getpgid = define('int getpgid(int)') as (pid: number) => number;
/** Ends the process at once: nothing is flushed, and threads that are in a system call are not waited for. */
export const exitNow = (
  library === null ? (status: number) => process.exit(status) : define('void _exit(int)')
) as (status: number) => never;
const syscall3 = define('long syscall(long, long, long, long)') as (
  number: number,
  a: number,
  b: number,
  c: number,
) => number;
const syscall5 = define('long syscall(long, long, long, long, long, long)') as (
  number: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
) => number;
export const socketpair = define('int socketpair(int, int, int, void*)') as (
  domain: number,
  type: number,
  protocol: number,
  descriptors: Int32Array,
) => number;
export const recvmsg = define('int recvmsg(int, void*, int)') as (
  descriptor: number,
  message: BigUint64Array,
  flags: number,
) => number;

/** The error number of the last call of this thread. */
export function errno(): number {
  return koffi!.errno();
}

/** The address of the bytes that a view shows. Stable: array buffers do not move. */
export function addressOf(view: Pointer): bigint {
  return koffi!.address(view);
}

const SYS_tkill = 200;
const SYS_tkill_arm64 = 130;

/** Sends a signal to one thread of whatever process it belongs to (tkill). */
export function tkill(threadId: number, signal: number): number {
  return syscall3(process.arch === 'arm64' ? SYS_tkill_arm64 : SYS_tkill, threadId, signal, 0);
}

const SYS_kcmp = 312;
const SYS_kcmp_arm64 = 272;
/** For `kcmp`: whether two descriptors lead to one open file. */
export const KCMP_FILE = 0;

/** kcmp(2): 0 when what the two processes have is the same, 1 to 3 when it is not, -1 when it cannot be compared. */
export function kcmp(pid: number, otherPid: number, type: number, a: number, b: number): number {
  if (library === null) return -1;
  return syscall5(process.arch === 'arm64' ? SYS_kcmp_arm64 : SYS_kcmp, pid, otherPid, type, a, b);
}

export const O_RDWR = 0o2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const POLLIN = 0x1;
export const POLLERR = 0x8;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MNT_DETACH = 2;
export const SIGPIPE = 13;
export const SIGIO = 29;
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

/** A setting of glibc's allocator. 1, or 0 for one that it does not take. */
const mallocTrim = define('int malloc_trim(size_t)') as (padBytes: number) => number;

/** Gives pages back that the C library keeps although nobody has them; nothing where it cannot. */
export function trimFreedMemory(): void {
  try {
    mallocTrim(0);
  } catch {
    // musl has no such call, and keeps little.
  }
}

interface MallocInfo {
  readonly fordblks: bigint | number;
}
const MALLOC_INFO_WORDS = [
  ...['arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks', 'fordblks'],
  'keepcost',
];
koffi?.struct('mallinfo2', Object.fromEntries(MALLOC_INFO_WORDS.map((word) => [word, 'size_t'])));
const mallinfo2 = define('mallinfo2 mallinfo2()') as () => MallocInfo;

/** Bytes that the C library could give to the next who asks, without asking the kernel; 0 where it does not say (glibc 2.33). */
export function freedBytes(): number {
  try {
    return Number(mallinfo2().fordblks);
  } catch {
    return 0;
  }
}

export const mallopt = define('int mallopt(int, int)') as (setting: number, value: number) => number;

const fcntl = define('int fcntl(int, int, long)') as (
  descriptor: number,
  command: number,
  argument: number,
) => number;
const F_SETFL = 4;

/** Makes reads of a descriptor that was opened for reading and writing answer EAGAIN instead of waiting. */
export function setNonBlocking(descriptor: number): void {
  fcntl(descriptor, F_SETFL, O_RDWR | O_NONBLOCK);
}

export const memfdCreate = define('int memfd_create(const char*, unsigned int)') as (
  name: string,
  flags: number,
) => number;
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;

/** Fixes the size of a memfd for good. */
export function seal(descriptor: number): number {
  return fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

const mmap = define('intptr_t mmap(intptr_t, size_t, int, int, int, long)') as (
  address: number,
  length: number,
  protection: number,
  flags: number,
  descriptor: number,
  offset: number,
) => number;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

/** Maps a file from `offset` on: the address, or -1. */
export function mapShared(descriptor: number, sizeBytes: number, offset = 0): number {
  return mmap(0, sizeBytes, PROT_READ_WRITE, MAP_SHARED, descriptor, offset);
}

/** Memory that was mapped, as a buffer: not to be touched any more once it is unmapped. */
export function memoryAt(address: number, sizeBytes: number): ArrayBuffer {
  return koffi!.view(address, sizeBytes);
}

/** Takes a part of the address space that nobody uses: the address, or -1. */
export function reserveAddresses(sizeBytes: number): number {
  return mmap(0, sizeBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0);
}

export const munmap = define('int munmap(intptr_t, size_t)') as (
  address: number,
  sizeBytes: number,
) => number;
export const mlock = define('int mlock(intptr_t, size_t)') as (address: number, sizeBytes: number) => number;
/** `argument`: whatever structure the request takes. */
export const ioctl = define('int ioctl(int, unsigned long, void*)') as (
  descriptor: number,
  request: number,
  argument: ArrayBufferView,
) => number;

export const socket = define('int socket(int, int, int)') as (
  domain: number,
  type: number,
  protocol: number,
) => number;
export const bind = define('int bind(int, void*, unsigned int)') as (
  descriptor: number,
  address: ArrayBufferView,
  sizeBytes: number,
) => number;
export const send = define('long send(int, void*, size_t, int)') as (
  descriptor: number,
  message: ArrayBufferView,
  sizeBytes: number,
  flags: number,
) => number;
export const recv = define('long recv(int, void*, size_t, int)') as (
  descriptor: number,
  buffer: ArrayBufferView,
  sizeBytes: number,
  flags: number,
) => number;
const setsockopt = define('int setsockopt(int, int, int, void*, unsigned int)') as (
  descriptor: number,
  level: number,
  option: number,
  value: ArrayBufferView,
  sizeBytes: number,
) => number;
export const AF_NETLINK = 16;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;

/** Gives a socket this much room for what was not received yet, or as much as it may have. */
export function setReceiveRoom(descriptor: number, sizeBytes: number): void {
  const value = new Int32Array([sizeBytes]);
  if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, value, value.byteLength) === 0) return;
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, value, value.byteLength);
}

// System calls from 424 on have the same number everywhere.
const SYS_pidfd_open = 434;
const SYS_pidfd_getfd = 438;

/** A descriptor that becomes readable when the process has ended. */
export function pidfdOpen(pid: number): number {
  return syscall3(SYS_pidfd_open, pid, 0, 0);
}

/** A copy of another process's descriptor, closed on exec; for those who may trace it. */
export function pidfdGetDescriptor(pidfd: number, descriptor: number): number {
  return syscall3(SYS_pidfd_getfd, pidfd, descriptor, 0);
}

const nameToHandle = define('long syscall(long, int, const char*, void*, void*, int)') as (
  number: number,
  directory: number,
  path: string,
  handle: Uint32Array,
  mountId: Int32Array,
  flags: number,
) => number;
const statxOf = define('long syscall(long, int, const char*, int, unsigned int, void*)') as (
  number: number,
  directory: number,
  path: string,
  flags: number,
  mask: number,
  status: Uint32Array,
) => number;
const SYS_name_to_handle_at = process.arch === 'arm64' ? 264 : 303;
const SYS_statx = process.arch === 'arm64' ? 291 : 332;
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_BYTES = 256;
/** stx_dev_major; the minor number follows. */
const STATX_DEVICE_WORD = 34;

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

export const inotifyInit = define('int inotify_init1(int)') as (flags: number) => number;
export const inotifyAddWatch = define('int inotify_add_watch(int, const char*, unsigned int)') as (
  descriptor: number,
  path: string,
  mask: number,
) => number;
export const inotifyRemoveWatch = define('int inotify_rm_watch(int, int)') as (
  descriptor: number,
  watch: number,
) => number;
