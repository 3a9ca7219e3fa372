import type { FileOps } from '../kern/file.ts';
import {
  type Klist,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_WRITE,
} from '../kern/klist.ts';
import type { Operation } from '../kern/operation.ts';
import type { Node } from './node.ts';
import type { OpenFile } from './open-file.ts';

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

function* noted(node: Node, write: Operation<number>): Operation<number> {
  const sizeBefore = node.sizeBytes;
  const result = yield* write;
  if (result > 0) noteWrite(node, node.sizeBytes > sizeBefore);
  return result;
}

/** A write that tells the node's VNODE knotes (K114); one that nobody watches costs nothing more. */
export function notingWrite(ops: Pick<FileOps, 'write'>): FileOps['write'] {
  return (file, uio, credentials) => {
    const { node } = file as OpenFile;
    const operation = ops.write(file, uio, credentials);
    return node.isWatched ? noted(node, operation) : operation;
  };
}
