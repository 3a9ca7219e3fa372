import type { Node } from '../../vfs/node.ts';
import { SegmentNode } from '../../tree/segments/segment-node.ts';

/**
 * Whether the host's kernel may drop what its page cache has of a file, as an open with O_TRUNC makes it do, whatever the answer
 * says. In a cached segment that others map, their next access would be a SIGBUS.
 */
export function mayDropPages(node: Node): boolean {
  return !(node instanceof SegmentNode) || node.segment.attachCount === 0;
}
