import type { Klist } from '../../kern/klist.ts';
import {
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_WRITE,
} from '../kevent.ts';

/** A node that can be watched. */
export interface Noted {
  readonly klist: Klist;
}

// Who posts what (K114): the tree calls these when the change has been made.

export function noteWrite(node: Noted, grew: boolean): void {
  node.klist.notify(grew ? NOTE_WRITE | NOTE_EXTEND : NOTE_WRITE);
}

export function noteTruncate(node: Noted, grew: boolean): void {
  noteWrite(node, grew);
}

/** chmod, chown, times, flags. */
export function noteAttributes(node: Noted): void {
  node.klist.notify(NOTE_ATTRIB);
}

/** creat, mknod, symlink. */
export function noteCreate(directory: Noted): void {
  directory.klist.notify(NOTE_WRITE);
}

export function noteUnlink(node: Noted, directory: Noted): void {
  node.klist.notify(NOTE_DELETE);
  directory.klist.notify(NOTE_WRITE);
}

export function noteLink(node: Noted, directory: Noted): void {
  node.klist.notify(NOTE_LINK);
  directory.klist.notify(NOTE_WRITE);
}

/** `replaced` had the new name before, if anything had. */
export function noteRename(node: Noted, from: Noted, to: Noted, replaced: Noted | null): void {
  replaced?.klist.notify(NOTE_DELETE);
  node.klist.notify(NOTE_RENAME);
  from.klist.notify(NOTE_WRITE);
  if (to !== from) to.klist.notify(NOTE_WRITE);
}

export function noteMakeDirectory(parent: Noted): void {
  parent.klist.notify(NOTE_WRITE | NOTE_LINK);
}

export function noteRemoveDirectory(directory: Noted, parent: Noted): void {
  directory.klist.notify(NOTE_DELETE);
  parent.klist.notify(NOTE_WRITE | NOTE_LINK);
}

/** The node is taken from everybody who has it open: a forced unmount (K115). */
export function noteRevoke(node: Noted): void {
  node.klist.notify(NOTE_REVOKE);
}
