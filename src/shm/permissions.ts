import type { Credentials } from '../kern/credentials.ts';
import { IPC_READ, IPC_WRITE } from './flags.ts';

/** Who owns and who made an object of System V IPC, and what others may do with it (struct ipc_perm). */
export interface IpcPermissions {
  ownerUid: number;
  ownerGid: number;
  readonly creatorUid: number;
  readonly creatorGid: number;
  /** Nine bits. Those for execution are kept and never tested (S90). */
  mode: number;
}

/** Whether the superuser's rights apply (S86). */
export function isSuperuser(credentials: Credentials): boolean {
  return credentials.uid === 0;
}

/** Whether the caller may change or remove the object (ipcperm for IPC_M; S86, S87). */
export function mayControl(permissions: IpcPermissions, credentials: Credentials): boolean {
  return isSuperuser(credentials) || isOwner(permissions, credentials);
}

/**
 * Whether the caller has the access that it wants: IPC_READ, IPC_WRITE, both, or none, which is always granted. Other bits
 * of `wanted` do not count. Exactly one class of the mode is tested, the first that fits (ipcperm; S86, S88 to S90).
 */
export function mayAccess(permissions: IpcPermissions, credentials: Credentials, wanted: number): boolean {
  const bits = wanted & (IPC_READ | IPC_WRITE);
  if (isSuperuser(credentials)) return true;
  return (bits & (permissions.mode << classShift(permissions, credentials))) === bits;
}

/** How far the bits of the caller's class lie below the owner's. */
function classShift(permissions: IpcPermissions, credentials: Credentials): number {
  if (isOwner(permissions, credentials)) return 0;
  return isInGroup(permissions, credentials) ? 3 : 6;
}

function isOwner(permissions: IpcPermissions, { uid }: Credentials): boolean {
  return uid === permissions.ownerUid || uid === permissions.creatorUid;
}

function isInGroup({ ownerGid, creatorGid }: IpcPermissions, { gid, groups }: Credentials): boolean {
  if (gid === ownerGid || gid === creatorGid) return true;
  return groups !== undefined && (groups.includes(ownerGid) || groups.includes(creatorGid));
}
