import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Directory } from '../../vfs/directory.ts';
import { SegmentNode } from '../../tree/segments/segment-node.ts';

/**
 * The tree's inode numbers of segments by the host's, for a mount whose files have numbers of libfuse's. They are asked of the mount, which
 * this process serves meanwhile. A segment without a name is not found.
 */
export async function segmentInodes(directory: string, shm: Directory): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  for (const [name, node] of shm.entries) {
    if (node instanceof Directory) {
      for (const entry of await segmentInodes(join(directory, name), node)) found.set(...entry);
    }
  }
  for (const name of await readdir(directory, { encoding: 'latin1' })) {
    const node = shm.lookup(name);
    if (!(node instanceof SegmentNode)) continue;
    const stat = await lstat(join(directory, name));
    if (stat.isFile()) found.set(stat.ino, node.inode);
  }
  return found;
}
