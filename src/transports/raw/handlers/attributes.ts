import type { Timespec } from '../../../kern/clock.ts';
import { ENOENT } from '../../../kern/errno.ts';
import type { AttributeChange } from '../../../vfs/node.ts';
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_GID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from '../protocol/constants.ts';
import { SetattrIn } from '../protocol/layouts.ts';
import type { Request } from '../protocol/request.ts';
import type { Session } from '../session.ts';

export function getattr(session: Session, request: Request): number {
  const entry = session.nodes.get(request.nodeid);
  return entry === undefined ? -ENOENT : session.reply.attrOut(entry.node, entry.type);
}

/** chmod, chown, utimensat, truncate (struct fuse_setattr_in). */
export function setattr(session: Session, request: Request): number {
  const entry = session.nodes.get(request.nodeid);
  if (entry === undefined) return -ENOENT;
  const valid = request.u32(SetattrIn.valid);
  const now = session.fileSystem.context.now();
  const timeAt = (secondsOffset: number, nanosecondsOffset: number): Timespec => ({
    seconds: request.s64(secondsOffset),
    nanoseconds: request.u32(nanosecondsOffset),
  });
  const change: { -readonly [K in keyof AttributeChange]: AttributeChange[K] } = {};
  if ((valid & FATTR_MODE) !== 0) change.mode = request.u32(SetattrIn.mode);
  if ((valid & FATTR_UID) !== 0) change.uid = request.u32(SetattrIn.uid);
  if ((valid & FATTR_GID) !== 0) change.gid = request.u32(SetattrIn.gid);
  if ((valid & FATTR_SIZE) !== 0) change.sizeBytes = request.u64(SetattrIn.size);
  if ((valid & FATTR_ATIME) !== 0) {
    change.accessed = (valid & FATTR_ATIME_NOW) !== 0 ? now : timeAt(SetattrIn.atime, SetattrIn.atimensec);
  }
  if ((valid & FATTR_MTIME) !== 0) {
    change.modified = (valid & FATTR_MTIME_NOW) !== 0 ? now : timeAt(SetattrIn.mtime, SetattrIn.mtimensec);
  }
  const error = entry.node.setAttributes(change);
  return error < 0 ? error : session.reply.attrOut(entry.node, entry.type);
}
