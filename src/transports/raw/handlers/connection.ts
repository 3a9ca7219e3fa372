import { EAGAIN, EPROTO } from '../../../kern/errno.ts';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_OLDEST_MINOR_VERSION,
  INIT2_HAS_RESEND,
  INIT2_PASSTHROUGH,
  InitFlag,
  MAX_PAGES,
  MAX_WRITE_BYTES,
} from '../protocol/constants.ts';
import {
  BatchForgetIn,
  ForgetIn,
  ForgetOne,
  InitIn,
  InitOut,
  InterruptIn,
  Kstatfs,
} from '../protocol/layouts.ts';
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
  const major = request.u32(InitIn.major);
  const minor = request.u32(InitIn.minor);
  reply.clear(0, InitOut.bytes);
  reply.setU32(InitOut.major, FUSE_KERNEL_VERSION);
  reply.setU32(InitOut.minor, FUSE_KERNEL_MINOR_VERSION);
  // A newer kernel says its own major number first and then comes again with ours.
  if (major > FUSE_KERNEL_VERSION) return InitOut.bytes;
  if (major < FUSE_KERNEL_VERSION || minor < FUSE_OLDEST_MINOR_VERSION) {
    session.refusedMinor = minor;
    return -EPROTO;
  }
  const flags = WANTED_FLAGS & request.u32(InitIn.flags);
  const hasFlags2 = request.bodyBytes >= InitIn.flags2 + 4;
  const flags2 = (flags & InitFlag.INIT_EXT) !== 0 && hasFlags2 ? request.u32(InitIn.flags2) : 0;
  let agreed2 = flags2 & INIT2_HAS_RESEND;
  session.writes.canHoldBack = agreed2 !== 0;
  if (session.backings.negotiate((flags2 & INIT2_PASSTHROUGH) !== 0)) {
    agreed2 |= INIT2_PASSTHROUGH;
    reply.setU32(InitOut.maxStackDepth, 1);
  }
  reply.setU32(InitOut.flags2, agreed2);
  session.negotiated = { minor: Math.min(minor, FUSE_KERNEL_MINOR_VERSION), flags };
  reply.setU32(InitOut.maxReadahead, request.u32(InitIn.maxReadahead));
  reply.setU32(InitOut.flags, flags);
  reply.setU16(InitOut.maxBackground, MAX_BACKGROUND);
  reply.setU16(InitOut.congestionThreshold, MAX_BACKGROUND);
  reply.setU32(InitOut.maxWrite, MAX_WRITE_BYTES);
  reply.setU32(InitOut.timeGran, 1);
  reply.setU16(InitOut.maxPages, MAX_PAGES);
  return InitOut.bytes;
}

export function destroy(): number {
  return 0;
}

/** Ends the sleep of another request. One that is not known may still come: the kernel asks again (T6). */
export function interrupt(session: Session, request: Request): number {
  return session.interrupt(request.unmarkedUnique(InterruptIn.unique)) ? ANSWERED : -EAGAIN;
}

export function forget(session: Session, request: Request): number {
  session.nodes.forget(request.nodeid, request.u64(ForgetIn.nlookup));
  return ANSWERED;
}

export function batchForget(session: Session, request: Request): number {
  const count = Math.min(
    request.u32(BatchForgetIn.count),
    Math.floor((request.bodyBytes - BatchForgetIn.bytes) / ForgetOne.bytes),
  );
  for (let index = 0; index < count; index++) {
    const at = BatchForgetIn.bytes + ForgetOne.bytes * index;
    session.nodes.forget(request.u64(at + ForgetOne.nodeid), request.u64(at + ForgetOne.nlookup));
  }
  return ANSWERED;
}

export function statfs(session: Session): number {
  const { reply } = session;
  const { blockSizeBytes, blocks, freeBlocks, files, freeFiles } = session.fileSystem.statistics();
  reply.clear(0, Kstatfs.bytes);
  reply.setU64(Kstatfs.blocks, blocks);
  reply.setU64(Kstatfs.bfree, freeBlocks);
  reply.setU64(Kstatfs.bavail, freeBlocks);
  reply.setU64(Kstatfs.files, files);
  reply.setU64(Kstatfs.ffree, freeFiles);
  reply.setU32(Kstatfs.bsize, blockSizeBytes);
  reply.setU32(Kstatfs.namelen, NAME_MAX_BYTES);
  reply.setU32(Kstatfs.frsize, blockSizeBytes);
  return Kstatfs.bytes;
}
