import { type Account, Resource } from '../kern/accounting.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EMLINK } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import type { FileOps } from '../kern/file.ts';
import { EVFILT_VNODE, type Knote } from '../kern/klist.ts';
import {
  noteCreate,
  noteLink,
  noteMakeDirectory,
  noteRemoveDirectory,
  noteUnlink,
} from '../kqueue/filters/vnode-notes.ts';
import { Fifo, fifoOps } from '../pipe/fifo.ts';
import { fifoKqfilter } from '../pipe/fifo-filters.ts';
import type { PipeSubsystem } from '../pipe/subsystem.ts';
import { checkRmdir, checkUnlink, Directory } from './directory.ts';
import { Engine } from './metrics.ts';
import {
  type AttributeChange,
  type Name,
  Node,
  type NodeContext,
  type Ownership,
  S_IFREG,
  SymbolicLink,
} from './node.ts';
import { notingWrite } from './noted-writes.ts';
import type { OpenFile } from './open-file.ts';

const LINK_MAX = 65000;

/**
 * A named pipe. To the host it is a regular file: a node of type FIFO would be served by the host's own pipe code. Truncation
 * is accepted and does nothing, as on a FIFO (P109).
 */
export class PipeNode extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.Pipe;
  override readonly isAliased = true;
  readonly fifo: Fifo;
  readonly #account: Account;

  /** `account`: the maker's, which has been charged for the pipe. */
  constructor(context: NodeContext, pipes: PipeSubsystem, ownership: Ownership, account: Account) {
    super(context, ownership);
    this.#account = account;
    this.fifo = new Fifo(pipes, this.times);
  }

  override get sizeBytes(): number {
    return this.fifo.end?.queuedBytes ?? 0;
  }

  override *open(file: OpenFile): Operation<number> {
    file.isStream = true;
    const result = yield* this.fifo.open(file);
    if (result === 0) file.ops = pipeFileOps;
    return result;
  }

  override openAtOnce(file: OpenFile, isMaker: boolean): number {
    file.isStream = true;
    const result = this.fifo.openAtOnce(file, isMaker);
    if (result === 0) file.ops = pipeFileOps;
    return result;
  }

  override kqfilter(knote: Knote): number {
    return knote.filter === EVFILT_VNODE ? super.kqfilter(knote) : fifoKqfilter(this.fifo, knote);
  }

  override removed(): void {
    this.#account.release(Resource.Pipes);
  }

  protected override checkAttributes(_change: AttributeChange): number {
    return 0;
  }
}

/** An open pipe is a file of the tree too: VNODE is the node's (P96). */
const pipeFileOps: FileOps = {
  ...fifoOps,
  write: notingWrite(fifoOps),
  kqfilter: (file, knote) =>
    knote.filter === EVFILT_VNODE ? (file as OpenFile).node.kqfilter(knote) : fifoOps.kqfilter(file, knote),
};

/** pipes/ and the directories below it. */
export class PipesDirectory extends Directory {
  readonly #pipes: PipeSubsystem;
  readonly #domain: object;

  /** `parent`: the directory it is made in; null for pipes/ itself. */
  constructor(
    context: NodeContext,
    pipes: PipeSubsystem,
    ownership: Ownership,
    parent: PipesDirectory | null = null,
  ) {
    super(context, ownership);
    this.#pipes = pipes;
    this.#domain = parent?.domain ?? this;
  }

  override get domain(): object {
    return this.#domain;
  }

  override makeFile(name: Name, mode: number, credentials: Credentials): PipeNode | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const refusal = account.charge(Resource.Pipes);
    if (refusal !== 0) {
      account.release(Resource.Names);
      return -refusal;
    }
    const node = new PipeNode(this.context, this.#pipes, this.ownershipFor(mode, credentials), account);
    this.add(name, node, account);
    noteCreate(this);
    return node;
  }

  override makeDirectory(name: Name, mode: number, credentials: Credentials): PipesDirectory | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const inherited = this.permissions & 0o2000;
    const ownership = this.ownershipFor(mode | inherited, credentials);
    const node = new PipesDirectory(this.context, this.#pipes, ownership, this);
    this.add(name, node, account);
    noteMakeDirectory(this);
    return node;
  }

  override makeSymbolicLink(name: Name, target: string, credentials: Credentials): SymbolicLink | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const refusal = account.charge(Resource.HeldBytes, target.length);
    if (refusal !== 0) {
      account.release(Resource.Names);
      return -refusal;
    }
    const node = new SymbolicLink(this.context, this.ownershipFor(0o777, credentials), target, account);
    this.add(name, node, account);
    noteCreate(this);
    return node;
  }

  override link(name: Name, node: Node, credentials: Credentials): number {
    if (node.linkCount >= LINK_MAX) return -EMLINK;
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    node.linkCount++;
    node.times.changed = this.context.now();
    this.add(name, node, account);
    noteLink(node, this);
    return 0;
  }

  override unlink(name: Name): number {
    const error = checkUnlink(this, name);
    if (error !== 0) return -error;
    noteUnlink(this.remove(name), this);
    return 0;
  }

  override rmdir(name: Name): number {
    const error = checkRmdir(this, name);
    if (error !== 0) return -error;
    noteRemoveDirectory(this.remove(name), this);
    return 0;
  }
}
