import type { Credentials } from '../kern/credentials.ts';
import { EACCES, EINVAL, EPERM } from '../kern/errno.ts';
import { NOTE_ATTRIB } from '../kern/klist.ts';
import type { ShmProcess } from './attachments.ts';
import { IPC_READ, IPC_RMID, IPC_SET, IPC_STAT, MODE_MASK, SHM_LOCK, SHM_UNLOCK } from './flags.ts';
import { removeSegment } from './lifetime.ts';
import { mayAccess, mayControl } from './permissions.ts';
import type { SegmentStatus } from './segment.ts';
import { shmLock, shmUnlock } from './shmlock.ts';
import type { ShmSubsystem } from './subsystem.ts';

/** What IPC_SET takes of the caller's record. Ids are not checked (S54). */
export interface SegmentChange {
  readonly ownerUid: number;
  readonly ownerGid: number;
  /** The lowest nine bits count. */
  readonly mode: number;
}

/** The record behind the pointer that a caller of shmctl passes. */
export interface ShmctlArgument {
  /** Reads it: a change, or a negative errno (-EFAULT). */
  copyIn(): SegmentChange | number;
  /** Writes it: 0 or a negative errno (-EFAULT). */
  copyOut(status: SegmentStatus): number;
}

/**
 * shmctl(2) with a command by number: 0, or what the command's own function fails with. IPC_SET reads its argument before anything
 * is looked at (S50); an unknown id and an unknown command are -EINVAL (S51).
 */
export function shmctl(
  shm: ShmSubsystem,
  process: ShmProcess,
  id: number,
  command: number,
  argument: ShmctlArgument,
): number {
  const { credentials } = process;
  switch (command) {
    case IPC_STAT: {
      const status = ipcStat(shm, credentials, id);
      return typeof status === 'number' ? status : argument.copyOut(status);
    }
    case IPC_SET: {
      const change = argument.copyIn();
      return typeof change === 'number' ? change : ipcSet(shm, credentials, id, change);
    }
    case IPC_RMID:
      return ipcRemove(shm, credentials, id);
    case SHM_LOCK:
      return shmLock(shm, process, id);
    case SHM_UNLOCK:
      return shmUnlock(shm, process, id);
    default:
      return -EINVAL;
  }
}

/** IPC_STAT: a record, or -EINVAL, -EACCES without read permission (S52). */
export function ipcStat(shm: ShmSubsystem, credentials: Credentials, id: number): SegmentStatus | number {
  const segment = shm.table.find(id);
  if (segment === null) return -EINVAL;
  if (!mayAccess(segment.permissions, credentials, IPC_READ)) return -EACCES;
  return segment.status();
}

/** IPC_SET: 0, or -EINVAL, -EPERM for others than owner, creator and superuser (S54). */
export function ipcSet(
  shm: ShmSubsystem,
  credentials: Credentials,
  id: number,
  change: SegmentChange,
): number {
  const segment = shm.table.find(id);
  if (segment === null) return -EINVAL;
  const { permissions } = segment;
  if (!mayControl(permissions, credentials)) return -EPERM;
  permissions.ownerUid = change.ownerUid;
  permissions.ownerGid = change.ownerGid;
  permissions.mode = change.mode & MODE_MASK;
  segment.changeTime = shm.kernel.host.clock.realtime();
  segment.klist.notify(NOTE_ATTRIB);
  return 0;
}

/** IPC_RMID: 0, or -EINVAL, -EPERM for others than owner, creator and superuser (S55). */
export function ipcRemove(shm: ShmSubsystem, credentials: Credentials, id: number): number {
  const segment = shm.table.find(id);
  if (segment === null) return -EINVAL;
  if (!mayControl(segment.permissions, credentials)) return -EPERM;
  removeSegment(shm, segment);
  return 0;
}
