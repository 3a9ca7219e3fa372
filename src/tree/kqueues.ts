import { Resource } from '../kern/accounting.ts';
import type { Credentials } from '../kern/credentials.ts';
import { ENOENT } from '../kern/errno.ts';
import type { Knote as ListedKnote } from '../kern/klist.ts';
import { ENOMEM } from '../kern/errno.ts';
import { EVFILT_VNODE } from '../kern/klist.ts';
import type { FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { binaryKqueueOps, openKqueue, textKqueueOps } from '../kqueue/file.ts';
import { attachKqueue } from '../kqueue/filters/kqueue.ts';
import { noteCreate, noteUnlink } from '../vfs/vnode-notes.ts';
import type { Knote } from '../kqueue/knote.ts';
import type { Kqueue } from '../kqueue/kqueue.ts';
import type { KqueueSubsystem } from '../kqueue/subsystem.ts';
import { checkUnlink, Directory } from '../vfs/directory.ts';
import { Engine } from '../vfs/metrics.ts';
import { type Name, Node, type NodeContext, type Ownership, S_IFIFO, S_IFREG } from '../vfs/node.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const CONTROL_PERMISSIONS = 0o666;

/** A kqueue as an open file of the tree: VNODE is the node's, everything else the queue's. */
function fileOps(ops: FileOps): FileOps {
  return {
    ...ops,
    kqfilter: (file, knote) =>
      knote.filter === EVFILT_VNODE ? (file as OpenFile).node.kqfilter(knote) : ops.kqfilter(file, knote),
  };
}

const textOps = fileOps(textKqueueOps);
const binaryOps = fileOps(binaryKqueueOps);

/** `kqueue` and `kqueue.bin`: every open is a new queue, which ends with its close. */
export class KqueueControl extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.Kqueue;
  override readonly isAliased = true;
  readonly #subsystem: KqueueSubsystem;
  readonly #ops: FileOps;

  constructor(context: NodeContext, subsystem: KqueueSubsystem, form: 'text' | 'binary') {
    super(context, { mode: CONTROL_PERMISSIONS, uid: 0, gid: 0 });
    this.#subsystem = subsystem;
    this.#ops = form === 'text' ? textOps : binaryOps;
  }

  override get listedType(): number {
    return S_IFIFO;
  }

  override *open(file: OpenFile): Operation<number> {
    const kqueue = this.#subsystem.create(file.credentials);
    if (kqueue === null) return -ENOMEM;
    file.isStream = true;
    openKqueue(file, kqueue, this.#ops);
    return 0;
  }
}

/** kqueues/NAME: a queue that every open of the name shares. Its size is the number of pending events (K3). */
export class KqueueNode extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.Kqueue;
  override readonly isAliased = true;
  readonly kqueue: Kqueue;

  constructor(context: NodeContext, ownership: Ownership, kqueue: Kqueue) {
    super(context, ownership);
    this.kqueue = kqueue;
    kqueue.hold();
  }

  override get listedType(): number {
    return S_IFIFO;
  }

  override refresh(): void {
    this.kqueue.catchUp();
    this.kqueue.dropPendingOrphans();
  }

  override get sizeBytes(): number {
    return this.kqueue.isTerminated ? 0 : this.kqueue.count;
  }

  override *open(file: OpenFile): Operation<number> {
    return this.openAtOnce(file);
  }

  override openAtOnce(file: OpenFile): number {
    // The name may have been removed since the host has found the node.
    if (this.kqueue.isTerminated) return -ENOENT;
    file.isStream = true;
    openKqueue(file, this.kqueue, textOps);
    return 0;
  }

  override kqfilter(knote: ListedKnote): number {
    return knote.filter === EVFILT_VNODE ? super.kqfilter(knote) : attachKqueue(this.kqueue, knote as Knote);
  }

  protected override checkAttributes(): number {
    return 0;
  }

  /** Open files keep the queue. */
  override removed(): void {
    this.kqueue.release();
  }
}

/** kqueues/: touch makes a queue, rm takes its name away. */
export class KqueuesDirectory extends Directory {
  readonly #subsystem: KqueueSubsystem;
  readonly #nodes = new WeakMap<Kqueue, KqueueNode>();

  constructor(context: NodeContext, subsystem: KqueueSubsystem, ownership: Ownership) {
    super(context, ownership);
    this.#subsystem = subsystem;
  }

  override get domain(): object {
    return this;
  }

  /** What was made with this queue, names or not; undefined for one without a name from the start. */
  nodeOf(kqueue: Kqueue): KqueueNode | undefined {
    return this.#nodes.get(kqueue);
  }

  override makeFile(name: Name, mode: number, credentials: Credentials): KqueueNode | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const kqueue = this.#subsystem.create(credentials);
    if (kqueue === null) {
      account.release(Resource.Names);
      return -ENOMEM;
    }
    const node = new KqueueNode(this.context, this.ownershipFor(mode, credentials), kqueue);
    this.#nodes.set(kqueue, node);
    this.add(name, node, account);
    noteCreate(this);
    return node;
  }

  override unlink(name: Name): number {
    const error = checkUnlink(this, name);
    if (error !== 0) return error;
    noteUnlink(this.remove(name), this);
    return 0;
  }
}
