import { EFAULT, EINVAL, EIO, ENOMEM, EPERM } from '../kern/errno.ts';
import { type Attachment, privateMap, type ShmProcess } from './attachments.ts';
import { isSuperuser } from './permissions.ts';
import type { Segment } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

/**
 * SHM_LOCK (shm_memlock; S58 to S61): wires the segment and every mapping that the caller has of it, or nothing. Without one it
 * succeeds and does nothing, and so it does for a wired segment. 0, or -EINVAL (id), -EPERM (not the superuser), -EIO (the
 * segment's memory), or what wiring a mapping failed with, where EFAULT becomes ENOMEM.
 */
export function shmLock(shm: ShmSubsystem, process: ShmProcess, id: number): number {
  const found = findOwn(shm, process, id);
  if (typeof found === 'number') return found;
  const { segment, own } = found;
  if (own.length === 0 || segment.isWired) return 0;
  if (segment.backing!.lock() !== 0) return -EIO;
  for (const [index, { address, sizeBytes }] of own.entries()) {
    const error = process.space.wire(address, sizeBytes);
    if (error === 0) continue;
    for (const wired of own.slice(0, index)) process.space.unwire(wired.address, wired.sizeBytes);
    segment.backing!.unlock();
    return error === -EFAULT ? -ENOMEM : error;
  }
  segment.isWired = true;
  return 0;
}

/**
 * SHM_UNLOCK (S58, S59, S61, S62): unwires the segment and every mapping that the caller has of it. 0, or -EINVAL (id), -EPERM (not
 * the superuser), -EIO when a mapping cannot be unwired; then the segment still passes for wired, and the call can be repeated.
 */
export function shmUnlock(shm: ShmSubsystem, process: ShmProcess, id: number): number {
  const found = findOwn(shm, process, id);
  if (typeof found === 'number') return found;
  const { segment, own } = found;
  if (own.length === 0 || !segment.isWired) return 0;
  segment.backing!.unlock();
  for (const { address, sizeBytes } of own) {
    if (process.space.unwire(address, sizeBytes) !== 0) return -EIO;
  }
  segment.isWired = false;
  return 0;
}

/** The segment, and the caller's attachments of it; -EINVAL, -EPERM. */
function findOwn(
  shm: ShmSubsystem,
  process: ShmProcess,
  id: number,
): { segment: Segment; own: Attachment[] } | number {
  const segment = shm.table.find(id);
  if (segment === null) return -EINVAL;
  if (!isSuperuser(process.credentials)) return -EPERM;
  const attachments = [...privateMap(shm, process).attachments.values()];
  return { segment, own: attachments.filter((attachment) => attachment.segment === segment) };
}
