import { type Node } from '../../vfs/node.ts';
import { FUSE_ROOT_ID } from './protocol/constants.ts';

/** What the kernel knows under one nodeid. */
export interface NodeEntry {
  readonly node: Node;
  /** The type shown under this nodeid: for a while, a new pipe is a FIFO to the process that made it (T1). */
  readonly type: number;
  /** Answers that carried this nodeid, less those the kernel has forgotten. */
  lookups: number;
}

/**
 * The nodeids that the kernel holds. Most nodes have one; each lookup of an aliased node gives another, so that every open of it
 * has a kernel inode, and so a lock, of its own (T2). A nodeid is never given twice.
 */
export class NodeTable {
  readonly #entries = new Map<number, NodeEntry>();
  readonly #stableIds = new Map<Node, number>();
  #lastNodeid = FUSE_ROOT_ID;

  constructor(root: Node) {
    // The kernel never forgets the root.
    this.#entries.set(FUSE_ROOT_ID, { node: root, type: root.type, lookups: Infinity });
    this.#stableIds.set(root, FUSE_ROOT_ID);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(nodeid: number): NodeEntry | undefined {
    return this.#entries.get(nodeid);
  }

  /** The nodeid for an answer about `node`; counts one lookup. */
  show(node: Node, type: number = node.type): number {
    if (!node.isAliased) {
      const known = this.#stableIds.get(node);
      if (known !== undefined) {
        this.#entries.get(known)!.lookups++;
        return known;
      }
    }
    const nodeid = ++this.#lastNodeid;
    this.#entries.set(nodeid, { node, type, lookups: 1 });
    if (!node.isAliased) this.#stableIds.set(node, nodeid);
    return nodeid;
  }

  /** The kernel gives back `count` lookups. Who gives back more than there are has nothing of the nodeid left either. */
  forget(nodeid: number, count: number): void {
    const entry = this.#entries.get(nodeid);
    if (entry === undefined) return;
    entry.lookups -= count;
    if (entry.lookups > 0) return;
    this.#entries.delete(nodeid);
    if (!entry.node.isAliased) this.#stableIds.delete(entry.node);
  }
}
