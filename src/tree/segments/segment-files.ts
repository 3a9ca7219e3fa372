import { assert } from '../../kern/assert.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { shmexit, ShmProcess } from '../../shm/attachments.ts';
import { TicketSpace } from '../../shm/address-space.ts';
import { type Segment } from '../../shm/segment.ts';
import type { ShmSubsystem } from '../../shm/subsystem.ts';
import type { NodeContext } from '../../vfs/node.ts';
import type { Transport } from '../../vfs/transport.ts';
import type { StorageMemory } from '../../shm/storage.ts';
import { SegmentNode } from './segment-node.ts';

const SCRATCH_BYTES = 1024 * 1024;

/** What the files of shm/ share: the engine, a node for each segment, and the processes that have segments open. */
export class SegmentFiles {
  readonly context: NodeContext;
  readonly shm: ShmSubsystem;
  readonly memory: StorageMemory;
  readonly transport: Transport;
  /** Bytes on their way between a caller and a segment; used within one step. */
  readonly scratch = new Uint8Array(SCRATCH_BYTES);
  readonly #nodes = new WeakMap<Segment, SegmentNode>();
  /** By process id: shmseg limits what one process has open. */
  readonly #processes = new Map<number, { readonly process: ShmProcess; openFiles: number }>();

  constructor(context: NodeContext, shm: ShmSubsystem, memory: StorageMemory, transport: Transport) {
    this.context = context;
    this.shm = shm;
    this.memory = memory;
    this.transport = transport;
  }

  nodeFor(segment: Segment): SegmentNode {
    let node = this.#nodes.get(segment);
    if (node === undefined) {
      node = new SegmentNode(this.context, this, segment);
      this.#nodes.set(segment, node);
      // statfs counts files; segments have a limit of their own, and end without the tree being told.
      this.context.inodeRemoved();
    }
    return node;
  }

  /** The process of a caller that opens a segment; each `enter` is followed by one `leave`. */
  enter(credentials: Credentials): ShmProcess {
    const pid = this.context.kernel.host.processOf(credentials.pid);
    let entry = this.#processes.get(pid);
    if (entry === undefined) {
      entry = { process: new ShmProcess({ ...credentials, pid }, new TicketSpace()), openFiles: 0 };
      this.#processes.set(pid, entry);
    }
    entry.openFiles++;
    return entry.process;
  }

  /** Processes that have a segment open, or map one that they had open. */
  get processCount(): number {
    return this.#processes.size;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const segment of this.shm.table.segments()) this.#nodes.get(segment)?.checkInvariants();
    for (const [pid, { process, openFiles }] of this.#processes) {
      assert(process.credentials.pid === pid, 'a process is found by its number');
      assert(openFiles > 0, 'a process without open segments is forgotten');
      assert(process.attachmentCount <= openFiles, 'an open file of a segment attaches it once');
    }
  }

  leave(process: ShmProcess): void {
    const entry = this.#processes.get(process.credentials.pid)!;
    if (--entry.openFiles > 0) return;
    this.#processes.delete(process.credentials.pid);
    shmexit(this.shm, process);
  }
}
