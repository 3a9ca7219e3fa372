import type { ForeignUser } from '../../../kern/foreign.ts';
import { statxOf, SYS_statx } from '../file-status.ts';
import { define, O_CLOEXEC } from '../libc.ts';

// Calls of the C library that look at files of other processes. Results are as in libc.ts.

const unshare = define('int unshare(int)') as (what: number) => number;
const CLONE_FILES = 0x400;

/** Gives the calling thread a table of descriptors of its own, a copy of the process's. 0, or -1. */
export function ownDescriptors(): number {
  return unshare(CLONE_FILES);
}

export const duplicateTo = define('int dup3(int, int, int)') as (
  from: number,
  to: number,
  flags: number,
) => number;

export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x8000_0000;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
/** struct epoll_event is packed on x86-64 only. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const TOKEN_AT = EVENT_BYTES - 8;
const EVENTS_AT_ONCE = 64;

const epollCreate = define('int epoll_create1(int)') as (flags: number) => number;
const epollControl = define('int epoll_ctl(int, int, int, void*)') as (
  set: number,
  operation: number,
  descriptor: number,
  event: DataView,
) => number;
const epollWait = define('int epoll_wait(int, void*, int, int)') as (
  set: number,
  events: DataView,
  count: number,
  timeoutMs: number,
) => number;

/** An epoll set whose entries tell of changes (edge-triggered). An entry belongs to an open file and the number under which it was added. */
export class EpollSet {
  readonly descriptor = epollCreate(EPOLL_CLOEXEC);
  readonly #event = new DataView(new ArrayBuffer(EVENT_BYTES));
  readonly #events = new DataView(new ArrayBuffer(EVENT_BYTES * EVENTS_AT_ONCE));

  /** 0, or -1 with the errno EEXIST when this open file is in the set under this number. */
  add(descriptor: number, events: number, token: number): number {
    this.#event.setUint32(0, (events | EPOLLET) >>> 0, true);
    this.#event.setBigUint64(TOKEN_AT, BigInt(token), true);
    return epollControl(this.descriptor, EPOLL_CTL_ADD, descriptor, this.#event);
  }

  remove(descriptor: number): void {
    epollControl(this.descriptor, EPOLL_CTL_DEL, descriptor, this.#event);
  }

  /** Tokens of entries that have something to tell, without waiting; some of them may come with the next call only. */
  take(): number[] {
    const count = epollWait(this.descriptor, this.#events, EVENTS_AT_ONCE, 0);
    const tokens: number[] = [];
    for (let index = 0; index < count; index++)
      tokens.push(Number(this.#events.getBigUint64(index * EVENT_BYTES + TOKEN_AT, true)));
    return tokens;
  }
}

const socketOption = define('int getsockopt(int, int, int, void*, void*)') as (
  descriptor: number,
  level: number,
  name: number,
  value: ArrayBufferView,
  sizeBytes: Uint32Array,
) => number;
const peerName = define('int getpeername(int, void*, void*)') as (
  descriptor: number,
  address: Uint8Array,
  sizeBytes: Uint32Array,
) => number;

const SOL_SOCKET = 1;
export const SO_TYPE = 3;
export const SO_SNDBUF = 7;
export const SO_ACCEPTCONN = 30;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;

const value = new Int32Array(1);
const sizeBytes = new Uint32Array(1);

/** An option of a socket that is an integer; -1 when it has none. */
export function integerOption(descriptor: number, name: number): number {
  sizeBytes[0] = value.byteLength;
  return socketOption(descriptor, SOL_SOCKET, name, value, sizeBytes) === 0 ? value[0]! : -1;
}

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_INFO_BYTES = 104;
const tcpInfo = new DataView(new ArrayBuffer(TCP_INFO_BYTES));
/** Places in struct tcp_info. */
const TCP_UNACKED_AT = 24;
const TCP_RTT_AT = 68;

/** What TCP says of a connection: null when it does not. */
export function tcpState(
  descriptor: number,
): { readonly state: number; readonly backlog: number; readonly wasConnected: boolean } | null {
  sizeBytes[0] = TCP_INFO_BYTES;
  if (socketOption(descriptor, IPPROTO_TCP, TCP_INFO, tcpInfo, sizeBytes) !== 0) return null;
  return {
    state: tcpInfo.getUint8(0),
    backlog: tcpInfo.getUint32(TCP_UNACKED_AT, true),
    // The first answer of the peer is what a round trip is measured by.
    wasConnected: tcpInfo.getUint32(TCP_RTT_AT, true) > 0,
  };
}

const address = new Uint8Array(128);

export function hasPeer(descriptor: number): boolean {
  sizeBytes[0] = address.length;
  return peerName(descriptor, address, sizeBytes) === 0;
}

const AT_FDCWD = -100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_BASIC_STATS_AND_MNT_ID = 0x17ff;
const status = new Uint32Array(64);
const longStatus = new BigUint64Array(status.buffer);

/** What Linux knows of a file without asking the file system's server. */
export interface FileStatus {
  /** S_IF bits of the mode; 0 for what has none. */
  readonly type: number;
  /** major:minor, as a mount table has it. */
  readonly device: string;
  readonly mountId: number;
  readonly inode: bigint;
  readonly links: number;
  readonly sizeBytes: number;
  /** Of a device's file. */
  readonly deviceMajor: number;
}

export const S_IFMT = 0o170000;
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFSOCK = 0o140000;

function statusAt(directory: number, path: string, flags: number): FileStatus | null {
  const all = flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (statxOf(SYS_statx, directory, path, all, STATX_BASIC_STATS_AND_MNT_ID, status) !== 0) return null;
  return {
    type: status[7]! & S_IFMT,
    links: status[4]!,
    inode: longStatus[4]!,
    sizeBytes: Number(longStatus[5]!),
    deviceMajor: status[32]!,
    device: `${status[34]!}:${status[35]!}`,
    mountId: Number(longStatus[18]!),
  };
}

/** Of a path, the last link of which is followed. */
export function statusOf(path: string): FileStatus | null {
  return statusAt(AT_FDCWD, path, 0);
}

/** Of a descriptor of this thread. */
export function statusOfDescriptor(descriptor: number): FileStatus | null {
  return statusAt(descriptor, '', AT_EMPTY_PATH);
}

const openAt = define('int openat(int, const void*, int)') as (
  directory: number,
  path: Uint8Array,
  flags: number,
) => number;
const O_NOFOLLOW = 0o400000;
export const O_PATH = 0o10000000;

/** An O_PATH descriptor of one name in a directory: the file, or a link itself. Names have one character a byte. */
export function openName(directory: number, name: string): number {
  return openAt(directory, Buffer.from(`${name}\0`, 'latin1'), O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/** An O_PATH descriptor of what a path leads to. */
export function openPath(path: string): number {
  return openAt(AT_FDCWD, Buffer.from(`${path}\0`, 'latin1'), O_PATH | O_CLOEXEC);
}

const readLinkAt = define('long readlinkat(int, const char*, void*, size_t)') as (
  directory: number,
  path: string,
  target: Uint8Array,
  sizeBytes: number,
) => number;
const linkTarget = Buffer.alloc(4096);

/** What the link says that an O_PATH descriptor stands for, one character a byte; null when it is none. */
export function readLink(descriptor: number): string | null {
  const length = readLinkAt(descriptor, '', linkTarget, linkTarget.length);
  return length < 0 ? null : linkTarget.toString('latin1', 0, length);
}

const accessAt = define('long syscall(long, int, const char*, int, int)') as (
  number: number,
  directory: number,
  path: string,
  mode: number,
  flags: number,
) => number;
const SYS_faccessat2 = 439;
const AT_EACCESS = 0x200;
export const R_OK = 4;
export const W_OK = 2;

/** Whether this thread, with the identity that it has taken, may read or write what a descriptor stands for. */
export function mayAccess(descriptor: number, mode: number): boolean {
  return accessAt(SYS_faccessat2, descriptor, '', mode, AT_EMPTY_PATH | AT_EACCESS) === 0;
}

const identityCall = define('long syscall(long, long)') as (number: number, id: number) => number;
const groupsCall = define('long syscall(long, long, void*)') as (
  number: number,
  count: number,
  groups: Uint32Array,
) => number;
const isArm = process.arch === 'arm64';
const SYS_setfsuid = isArm ? 151 : 122;
const SYS_setfsgid = isArm ? 152 : 123;
const SYS_setgroups = isArm ? 159 : 116;
const SYS_getgroups = isArm ? 158 : 115;
const MOST_GROUPS = 65_536;

/**
 * Does something with the rights that a user has to files. The calls of the kernel are about this thread, where those of the C library are about
 * all. Null when the thread may not take them.
 */
export function asUser<T>({ uid, gid, groups }: ForeignUser, work: () => T): T | null {
  const own = new Uint32Array(MOST_GROUPS);
  const ownCount = groupsCall(SYS_getgroups, MOST_GROUPS, own);
  const ownUid = identityCall(SYS_setfsuid, -1);
  const ownGid = identityCall(SYS_setfsgid, -1);
  if (ownUid === uid && ownUid !== 0) return work();
  try {
    if (groupsCall(SYS_setgroups, groups.length, Uint32Array.from(groups)) !== 0) return null;
    identityCall(SYS_setfsgid, gid);
    identityCall(SYS_setfsuid, uid);
    const hasTaken = identityCall(SYS_setfsuid, -1) === uid && identityCall(SYS_setfsgid, -1) === gid;
    return hasTaken ? work() : null;
  } finally {
    identityCall(SYS_setfsuid, ownUid);
    identityCall(SYS_setfsgid, ownGid);
    groupsCall(SYS_setgroups, ownCount, own);
  }
}
