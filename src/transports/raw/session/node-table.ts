import { assert } from '../../../kern/assert.ts';
import { type Node } from '../../../vfs/node.ts';
import { FUSE_ROOT_ID } from '../protocol/constants.ts';

/** What the kernel knows under one nodeid. */
export interface NodeEntry {
  readonly node: Node;
  /** The type shown under this nodeid: for a while, a new pipe is a FIFO to the process that made it (T1). */
  readonly type: number;
  /** Answers that carried this nodeid, less those the kernel has forgotten. */
  lookups: number;
  /** The kernel believes the size to be that of an open stream: see StreamSizes. */
  isEndless: boolean;
  /** The size that the kernel was told of the text that is open under this nodeid, 0 for none: see TextSizes. */
  textSizeBytes: number;
}

function entryOf(node: Node, type: number, lookups: number): NodeEntry {
  return { node, type, lookups, isEndless: false, textSizeBytes: 0 };
}

/** No thread's number. */
const NOBODY = -1;

/**
 * The nodeids that the kernel holds. Most nodes have one; each lookup of an aliased node gives another, so that every open of it
 * has a kernel inode, and so a lock, of its own (T2). A nodeid is never given twice.
 */
export class NodeTable {
  readonly #entries = new Map<number, NodeEntry>();
  readonly #stableIds = new Map<Node, number>();
  #lastNodeid = FUSE_ROOT_ID;
  /** The lookup of an aliased node after which its thread has asked for nothing else yet. */
  #askingPid = NOBODY;
  #askedNodeid = 0;

  constructor(root: Node) {
    // The kernel never forgets the root.
    this.#entries.set(FUSE_ROOT_ID, entryOf(root, root.type, Infinity));
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
    this.#entries.set(nodeid, entryOf(node, type, 1));
    if (!node.isAliased) this.#stableIds.set(node, nodeid);
    return nodeid;
  }

  /**
   * As `show`, for a lookup by the thread `pid`. A second lookup in a row shows the same nodeid: rename(2) of a name to itself, or to
   * another name of the file, makes two, and finds by the nodeid that there is nothing to do.
   */
  showTo(pid: number, node: Node): number {
    const last = this.#askingPid === pid ? this.#entries.get(this.#askedNodeid) : undefined;
    if (last?.node === node) {
      last.lookups++;
      return this.#askedNodeid;
    }
    this.movesOn(pid);
    const nodeid = this.show(node);
    if (node.isAliased) {
      this.#askingPid = pid;
      this.#askedNodeid = nodeid;
    }
    return nodeid;
  }

  /** The thread asks for something else than a lookup: what it may open now is its own. */
  movesOn(pid: number): void {
    if (this.#askingPid === pid) this.#askingPid = NOBODY;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const [nodeid, { node, lookups }] of this.#entries) {
      assert(nodeid <= this.#lastNodeid, 'a nodeid is given once');
      assert(lookups > 0, 'a nodeid that the kernel has forgotten is forgotten here');
      assert(
        node.isAliased || this.#stableIds.get(node) === nodeid,
        'a node that is not aliased has one nodeid',
      );
    }
    for (const [node, nodeid] of this.#stableIds) {
      assert(this.#entries.get(nodeid)?.node === node, 'the nodeid of a node leads to the node');
    }
    assert(this.#entries.get(FUSE_ROOT_ID)?.lookups === Infinity, 'the root is never forgotten');
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
