import { EAGAIN, EPROTO } from '../../../kern/errno.ts';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_OLDEST_MINOR_VERSION,
  INIT2_PASSTHROUGH,
  INIT_OUT_BYTES,
  InitFlag,
  MAX_PAGES,
  MAX_WRITE_BYTES,
  STATFS_OUT_BYTES,
} from '../protocol/constants.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';
import { ANSWERED } from './results.ts';

const WANTED_FLAGS =
  InitFlag.ASYNC_READ |
  InitFlag.POSIX_LOCKS |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.INIT_EXT;

/**
 * Requests that nobody waits for, closes above all, may queue up to here before the kernel holds them back. It must be large:
 * what a process does after a close has to find the close done (T11).
 */
const MAX_BACKGROUND = 65535;
const NAME_MAX_BYTES = 255;

/** Agrees on a version and on features. A kernel too old for the layouts here is refused. */
export function init(session: Session, request: Request): number {
  const { reply } = session;
  const major = request.u32(0);
  const minor = request.u32(4);
  reply.clear(0, INIT_OUT_BYTES);
  reply.setU32(0, FUSE_KERNEL_VERSION);
  reply.setU32(4, FUSE_KERNEL_MINOR_VERSION);
  // A newer kernel says its own major number first and then comes again with ours.
  if (major > FUSE_KERNEL_VERSION) return INIT_OUT_BYTES;
  if (major < FUSE_KERNEL_VERSION || minor < FUSE_OLDEST_MINOR_VERSION) return -EPROTO;
  const flags = WANTED_FLAGS & request.u32(12);
  const flags2 = (flags & InitFlag.INIT_EXT) !== 0 && request.bodyBytes >= 20 ? request.u32(16) : 0;
  if (session.backings.negotiate((flags2 & INIT2_PASSTHROUGH) !== 0)) {
    reply.setU32(32, INIT2_PASSTHROUGH);
    reply.setU32(36, 1);
  }
  session.negotiated = { minor: Math.min(minor, FUSE_KERNEL_MINOR_VERSION), flags };
  reply.setU32(8, request.u32(8));
  reply.setU32(12, flags);
  reply.setU16(16, MAX_BACKGROUND);
  reply.setU16(18, MAX_BACKGROUND);
  reply.setU32(20, MAX_WRITE_BYTES);
  reply.setU32(24, 1);
  reply.setU16(28, MAX_PAGES);
  return INIT_OUT_BYTES;
}

export function destroy(): number {
  return 0;
}

/** Ends the sleep of another request. One that is not known may still come: the kernel asks again (T6). */
export function interrupt(session: Session, request: Request): number {
  return session.interrupt(request.u64(0)) ? ANSWERED : -EAGAIN;
}

export function forget(session: Session, request: Request): number {
  session.nodes.forget(request.nodeid, request.u64(0));
  return ANSWERED;
}

export function batchForget(session: Session, request: Request): number {
  const count = Math.min(request.u32(0), (request.bodyBytes - 8) >> 4);
  for (let index = 0; index < count; index++) {
    session.nodes.forget(request.u64(8 + 16 * index), request.u64(16 + 16 * index));
  }
  return ANSWERED;
}

export function statfs(session: Session): number {
  const { reply } = session;
  const { blockSizeBytes, blocks, freeBlocks, files, freeFiles } = session.fileSystem.statistics();
  reply.clear(0, STATFS_OUT_BYTES);
  reply.setU64(0, blocks);
  reply.setU64(8, freeBlocks);
  reply.setU64(16, freeBlocks);
  reply.setU64(24, files);
  reply.setU64(32, freeFiles);
  reply.setU32(40, blockSizeBytes);
  reply.setU32(44, NAME_MAX_BYTES);
  reply.setU32(48, blockSizeBytes);
  return STATFS_OUT_BYTES;
}
