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

// The calls of the C library that a mount needs; those about memory are in memory/memory-calls.ts. Results are as in C: -1, and then
// `failure()` tells why. Addresses of structures are passed as typed arrays, laid out here for 64-bit Linux.

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

/** Why the last call of this thread has failed: a negative errno. */
export function failure(): number {
  return -koffi!.errno();
}

/** The address of the bytes that a view shows. Stable: array buffers do not move. */
export function addressOf(view: Pointer): bigint {
  return koffi!.address(view);
}

/** Memory that was mapped, as a buffer: not to be touched any more once it is unmapped. */
export function memoryAt(address: number, sizeBytes: number): ArrayBuffer {
  return koffi!.view(address, sizeBytes);
}

/** Declares a structure, member by member with its C type, for prototypes that return it. */
export function declareStructure(name: string, members: Readonly<Record<string, string>>): void {
  koffi?.struct(name, members);
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
export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const SIGPIPE = 13;
export const SIGIO = 29;
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const fcntl = define('int fcntl(int, int, long)') as (
  descriptor: number,
  command: number,
  argument: number,
) => number;
const F_SETFL = 4;

/** Makes reads of a descriptor that was opened for reading and writing answer EAGAIN instead of waiting. */
export function setNonBlocking(descriptor: number): void {
  fcntl(descriptor, F_SETFL, O_RDWR | O_NONBLOCK);
}

const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Ignored unless somebody handles it. */
const SIGURG = 23;

/**
 * Whether a file of this process's user, open for writing, has no other open file: only then a lease can be had. Linux counts a file
 * that is closed out after it has told those who watch. Who opens the file between the two calls waits for the second.
 */
export function isOpenedOnce(descriptor: number): boolean {
  // Who breaks the lease has a signal sent to us, and SIGIO would end the program.
  if (fcntl(descriptor, F_SETSIG, SIGURG) !== 0 || fcntl(descriptor, F_SETLEASE, F_WRLCK) !== 0) return false;
  fcntl(descriptor, F_SETLEASE, F_UNLCK);
  return true;
}

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

const readProcessMemory = define(
  'long process_vm_readv(int, void*, unsigned long, void*, unsigned long, unsigned long)',
) as (
  pid: number,
  local: BigUint64Array,
  localCount: number,
  remote: BigUint64Array,
  remoteCount: number,
  flags: number,
) => number;

/** Copies memory of another process, for those who may trace it: bytes, fewer at the end of what is mapped, or -1. */
export function readMemory(pid: number, address: bigint, target: Buffer): number {
  const size = BigInt(target.length);
  const local = new BigUint64Array([addressOf(target), size]);
  return readProcessMemory(pid, local, 1, new BigUint64Array([address, size]), 1, 0);
}

const seek = define('long syscall(long, int, long, int)') as (
  number: number,
  descriptor: number,
  place: bigint,
  from: number,
) => number;
const getEntries = define('long syscall(long, int, void*, size_t)') as (
  number: number,
  descriptor: number,
  entries: Uint8Array,
  sizeBytes: number,
) => number;
const SYS_lseek = process.arch === 'arm64' ? 62 : 8;
const SYS_getdents64 = process.arch === 'arm64' ? 61 : 217;
const SEEK_SET = 0;

/** Entries of a directory (struct linux_dirent64) from a place on that an entry named, 0 for the first: bytes, 0 after the last, or -1. */
export function readEntries(descriptor: number, place: bigint, entries: Uint8Array): number {
  if (seek(SYS_lseek, descriptor, place, SEEK_SET) < 0) return -1;
  return getEntries(SYS_getdents64, descriptor, entries, entries.length);
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
