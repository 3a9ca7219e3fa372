import type { FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { noteWrite } from '../kqueue/filters/vnode-notes.ts';
import type { Node } from './node.ts';
import type { OpenFile } from './open-file.ts';

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
