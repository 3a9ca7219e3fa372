import type { Credentials } from '../kern/credentials.ts';
import { FREAD, FWRITE } from '../kern/file.ts';
import type { Host } from '../kern/host.ts';
import type { Node } from './node.ts';

/** Bits of a mode's class. */
export const Access = { Search: 1, Write: 2, Read: 4 } as const;

/** The bits that an open with these flags (FREAD, FWRITE) needs. */
export function accessOf(flags: number): number {
  return ((flags & FREAD) !== 0 ? Access.Read : 0) | ((flags & FWRITE) !== 0 ? Access.Write : 0);
}

/** The credentials with supplementary groups: requests do not carry them, as the host's kernel checks modes nearly everywhere. */
export function withGroups(credentials: Credentials, host: Host): Credentials {
  if (credentials.groups !== undefined) return credentials;
  return { ...credentials, groups: host.supplementaryGroups(credentials.pid) };
}

/** Whether the mode grants these permission bits; one class of it counts, the first that fits. */
export function mayAccess(node: Node, credentials: Credentials, wanted: number): boolean {
  if (credentials.uid === 0) return true;
  node.refresh();
  const isInGroup = credentials.gid === node.gid || credentials.groups?.includes(node.gid) === true;
  const shift = credentials.uid === node.uid ? 6 : isInGroup ? 3 : 0;
  return ((node.permissions >> shift) & wanted) === wanted;
}
