import { type LockRequest, WHOLE_FILE } from '../../../kern/advisory-locks.ts';
import { EBADF, EINVAL, EOVERFLOW } from '../../../kern/errno.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import { LK_FLOCK, LOCK_TO_END_HIGH, LOCK_TO_END_LOW, LockType } from '../protocol/constants.ts';
import { FileLock, FlushIn, LkIn, LkOut } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Answered, InFlight } from '../session/in-flight.ts';
import type { ServerParts } from '../session/server-parts.ts';

type Parts = Pick<ServerParts, 'handles'>;

/**
 * The range and the owner of a struct fuse_lk_in, or a negative errno. The owner of flock(2) is the open file: the kernel has one handle for
 * each. That of fcntl(2) is the kernel's number for the process, or for the open file with F_OFD_SETLK.
 */
function lockRequest(file: OpenFile, request: Request): LockRequest | number {
  const isExclusive = request.u32(LkIn.lk + FileLock.type) === LockType.Exclusive;
  const who = { file, isExclusive, pid: request.u32(LkIn.lk + FileLock.pid), uid: request.credentials.uid };
  if ((request.u32(LkIn.lkFlags) & LK_FLOCK) !== 0) return { ...WHOLE_FILE, ...who, owner: file };
  const owner = request.exactU64(LkIn.owner);
  const start = request.u64(LkIn.lk + FileLock.start);
  const isToEnd =
    request.u32(LkIn.lk + FileLock.end) === LOCK_TO_END_LOW &&
    request.u32(LkIn.lk + FileLock.end + 4) === LOCK_TO_END_HIGH;
  const end = isToEnd ? Infinity : request.u64(LkIn.lk + FileLock.end);
  if (start > end) return -EINVAL;
  // Beyond, not every offset is a number of its own.
  if (start > Number.MAX_SAFE_INTEGER || (!isToEnd && end > Number.MAX_SAFE_INTEGER)) return -EOVERFLOW;
  return { start, end, ...who, owner };
}

/** F_GETLK: the first lock in the way, or none. */
export function getlk({ handles, reply }: Pick<ServerParts, 'handles' | 'reply'>, request: Request): number {
  const file = handles.get(request.u64(LkIn.fh));
  if (file === undefined) return -EBADF;
  const table = file.node.rangeLocks;
  if (table === null || (request.u32(LkIn.lkFlags) & LK_FLOCK) !== 0) return -EINVAL;
  const wanted = lockRequest(file, request);
  if (typeof wanted === 'number') return wanted;
  const found = table.conflictOf(wanted);
  reply.clear(0, LkOut.bytes);
  if (found === null) {
    reply.setU32(LkOut.lk + FileLock.type, LockType.Unlocked);
    return LkOut.bytes;
  }
  const { holder, range } = found;
  reply.setU64(LkOut.lk + FileLock.start, range.start);
  if (range.end === Infinity) {
    reply.setU32(LkOut.lk + FileLock.end, LOCK_TO_END_LOW);
    reply.setU32(LkOut.lk + FileLock.end + 4, LOCK_TO_END_HIGH);
  } else {
    reply.setU64(LkOut.lk + FileLock.end, range.end);
  }
  reply.setU32(LkOut.lk + FileLock.type, range.isExclusive ? LockType.Exclusive : LockType.Shared);
  reply.setU32(LkOut.lk + FileLock.pid, holder.pid);
  return LkOut.bytes;
}

export function setlk(parts: Parts, request: Request, call: InFlight): Answered {
  return changeLock(parts, request, call, false);
}

export function setlkw(parts: Parts, request: Request, call: InFlight): Answered {
  return changeLock(parts, request, call, true);
}

function changeLock({ handles }: Parts, request: Request, call: InFlight, waits: boolean): Answered {
  const file = handles.get(request.u64(LkIn.fh));
  if (file === undefined) return call.answer(-EBADF);
  const isFlock = (request.u32(LkIn.lkFlags) & LK_FLOCK) !== 0;
  // No ranges of pipes and kqueues (P137): the locks that a close ends would cost a message at each close.
  const table = isFlock ? file.node.wholeLocks : file.node.rangeLocks;
  if (table === null) return call.answer(-EINVAL);
  const wanted = lockRequest(file, request);
  if (typeof wanted === 'number') return call.answer(wanted);
  switch (request.u32(LkIn.lk + FileLock.type)) {
    case LockType.Unlocked:
      return call.answer(table.unlock(wanted.owner, wanted.start, wanted.end));
    case LockType.Shared:
    case LockType.Exclusive:
      call.node = file.node;
      call.file = file;
      call.flags = request.u32(LkIn.lkFlags);
      return call.run(table.lock(wanted, waits));
    default:
      return call.answer(-EINVAL);
  }
}

/** close(2) of a descriptor, also where others of the open file are left: the process's locks of fcntl(2) on the file end. */
export function flush({ handles }: Parts, request: Request): number {
  const file = handles.get(request.u64(FlushIn.fh));
  if (file === undefined) return -EBADF;
  file.node.closedBy(request.exactU64(FlushIn.lockOwner));
  if (file.areClosesReported) file.ops.descriptorClosed?.(file, request.credentials);
  return 0;
}
