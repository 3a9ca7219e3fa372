import { Opcode, READ_LOCKOWNER } from '../../src/transports/raw/protocol/constants.ts';
import { type Answer, Body, type Caller, type FuseClient, handleOf, nodeidOf } from './fuse-client.ts';

export const ROOT = 1;
export const LINUX_O_RDONLY = 0;
export const LINUX_O_WRONLY = 1;
export const LINUX_O_RDWR = 2;
export const LINUX_O_NONBLOCK = 0o4000;

const FOPEN_IN_PADDING = 0;

/** LOOKUP: the body is the name. */
export function lookup(client: FuseClient, parent: number, name: string, caller?: Caller): Answer {
  return client.request(Opcode.LOOKUP, parent, new Body().name(name), caller);
}

/** The nodeid of a path from the root, each part looked up once. */
export function walk(client: FuseClient, path: string): number {
  return path.split('/').reduce((parent, name) => nodeidOf(lookup(client, parent, name)), ROOT);
}

/** struct fuse_mknod_in and the name. */
export function mknodBody(name: string, mode: number): Body {
  return new Body()
    .u32(mode) // mode
    .u32(0) // rdev
    .u32(0o022) // umask
    .u32(0) // padding
    .name(name);
}

/** struct fuse_open_in. */
export function openBody(flags: number): Body {
  return new Body()
    .u32(flags) // flags
    .u32(FOPEN_IN_PADDING); // open_flags
}

/** struct fuse_create_in and the name. */
export function createBody(name: string, flags: number, mode = 0o644): Body {
  return new Body()
    .u32(flags) // flags
    .u32(0o100000 | mode) // mode
    .u32(0o022) // umask
    .u32(0) // open_flags
    .name(name);
}

/** struct fuse_read_in. */
export function readBody(
  handle: number,
  count: number,
  flags = LINUX_O_RDONLY,
  offset = 0,
  readFlags = READ_LOCKOWNER,
): Body {
  return new Body()
    .u64(handle) // fh
    .u64(offset) // offset
    .u32(count) // size
    .u32(readFlags) // read_flags
    .u64(0) // lock_owner
    .u32(flags) // flags
    .u32(0); // padding
}

/** struct fuse_write_in and the data. */
export function writeBody(handle: number, data: Uint8Array, flags = LINUX_O_WRONLY, offset = 0): Body {
  return new Body()
    .u64(handle) // fh
    .u64(offset) // offset
    .u32(data.length) // size
    .u32(0) // write_flags
    .u64(0) // lock_owner
    .u32(flags) // flags
    .u32(0) // padding
    .bytes(data);
}

/** struct fuse_release_in. */
export function releaseBody(handle: number): Body {
  return new Body()
    .u64(handle) // fh
    .u32(0) // flags
    .u32(0) // release_flags
    .u64(0); // lock_owner
}

/** struct fuse_flush_in. */
export function flushBody(handle: number, owner: number): Body {
  return new Body()
    .u64(handle) // fh
    .u32(0) // unused
    .u32(0) // padding
    .u64(owner); // lock_owner
}

/** A range to lock, with both ends, by default the whole file; `owner` counts for fcntl. */
export interface LockRange {
  readonly type: number;
  readonly owner?: bigint;
  readonly start?: bigint;
  readonly end?: bigint;
  readonly pid?: number;
  readonly flags?: number;
}

/** struct fuse_lk_in. */
export function lockBody(handle: number, lock: LockRange): Body {
  return new Body()
    .u64(handle) // fh
    .u64(lock.owner ?? 1n) // owner
    .u64(lock.start ?? 0n) // lk.start
    .u64(lock.end ?? 2n ** 63n - 1n) // lk.end
    .u32(lock.type) // lk.type
    .u32(lock.pid ?? 700) // lk.pid
    .u32(lock.flags ?? 0) // lk_flags
    .u32(0); // padding
}

/** struct fuse_interrupt_in. */
export function interruptBody(unique: number): Body {
  return new Body().u64(unique); // unique
}

/** Makes a pipe in pipes/ by MKNOD and gives its nodeid as a later LOOKUP shows it. */
export function makePipe(client: FuseClient, name: string): number {
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody(name, 0o010644));
  return nodeidOf(lookup(client, pipes, name));
}

/** OPEN that succeeds at once; the handle. */
export function openHandle(client: FuseClient, nodeid: number, flags: number): number {
  return handleOf(client.request(Opcode.OPEN, nodeid, openBody(flags)));
}

/** A pipe with a reader and a writer. */
export function openPipe(client: FuseClient, name: string): { reader: number; writer: number } {
  const nodeid = makePipe(client, name);
  const reader = openHandle(client, nodeid, LINUX_O_RDONLY | LINUX_O_NONBLOCK);
  return { reader, writer: openHandle(client, nodeid, LINUX_O_WRONLY) };
}
