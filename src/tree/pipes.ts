import { type Account, Resource } from '../kern/accounting.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EINVAL, EMLINK, ENAMETOOLONG, EPERM } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import type { FileOps } from '../kern/file.ts';
import { EVFILT_VNODE, type Knote } from '../kern/klist.ts';
import {
  noteAttributes,
  noteCreate,
  noteLink,
  noteMakeDirectory,
  noteRemoveDirectory,
  noteUnlink,
  notingWrite,
} from '../vfs/vnode-notes.ts';
import { Fifo } from '../pipe/fifo.ts';
import { fifoOps } from '../pipe/fifo-ops.ts';
import { fifoKqfilter } from '../pipe/fifo-filters.ts';
import { LARGEST_CAPACITY_BYTES, NO_OPTIONS, type PipeOptions, roundCapacity } from '../pipe/pipe-options.ts';
import type { PipeSubsystem } from '../pipe/subsystem.ts';
import { checkRmdir, checkUnlink, Directory } from '../vfs/directory.ts';
import { Engine } from '../vfs/metrics.ts';
import {
  type AttributeChange,
  type Name,
  Node,
  type NodeContext,
  type Ownership,
  S_IFIFO,
  S_IFREG,
  SymbolicLink,
} from '../vfs/node.ts';
import { PATH_MAX_BYTES } from '../vfs/path-length.ts';
import type { OpenFile } from '../vfs/open-file.ts';

const LINK_MAX = 65000;

/**
 * A named pipe. To the host it is a regular file: a node of type FIFO would be served by the host's own pipe code.
 */
export class PipeNode extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.Pipe;
  override readonly isAliased = true;
  readonly fifo: Fifo;
  readonly account: Account;

  /** `account`: the maker's, which has been charged for the pipe. */
  constructor(
    context: NodeContext,
    pipes: PipeSubsystem,
    ownership: Ownership,
    account: Account,
    options: PipeOptions,
  ) {
    super(context, ownership);
    this.account = account;
    this.fifo = new Fifo(pipes, this.times, { account, options });
  }

  get options(): PipeOptions {
    return this.fifo.options;
  }

  /** See Fifo.configure. */
  setOptions(options: PipeOptions): number {
    const error = this.fifo.configure(options);
    if (error === 0) noteAttributes(this);
    return error;
  }

  override get listedType(): number {
    return S_IFIFO;
  }

  override get sizeBytes(): number {
    return this.fifo.end?.queuedBytes ?? 0;
  }

  /** Programs read as much as fstat says, or to the end when it says nothing: more may come than is queued. */
  override get openSizeBytes(): number {
    return 0;
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

  /** A size is the capacity, for the owner and root to set. 0 cuts nothing off (P109): `>` truncates. */
  override setAttributes(change: AttributeChange, caller: Credentials): number {
    const { sizeBytes = 0 } = change;
    if (sizeBytes > 0) {
      if (caller.uid !== 0 && caller.uid !== this.uid) return -EPERM;
      if (sizeBytes > LARGEST_CAPACITY_BYTES) return -EINVAL;
      const error = this.setOptions({ ...this.options, capacityBytes: roundCapacity(sizeBytes) });
      if (error !== 0) return error;
    }
    return super.setAttributes(change);
  }

  override removed(): void {
    this.account.release(Resource.Pipes);
    this.fifo.nameRemoved();
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
  /** What pipes and directories get that are made in here. */
  options: PipeOptions;

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
    this.options = parent?.options ?? NO_OPTIONS;
  }

  override get domain(): object {
    return this.#domain;
  }

  setOptions(options: PipeOptions): number {
    this.options = options;
    noteAttributes(this);
    return 0;
  }

  override makeFile(name: Name, mode: number, credentials: Credentials): PipeNode | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const refusal = account.charge(Resource.Pipes);
    if (refusal !== 0) {
      account.release(Resource.Names);
      return refusal;
    }
    const ownership = this.ownershipFor(mode, credentials);
    const node = new PipeNode(this.context, this.#pipes, ownership, account, this.options);
    this.add(name, node, account);
    noteCreate(this);
    return node;
  }

  override makeDirectory(name: Name, mode: number, credentials: Credentials): PipesDirectory | number {
    const error = this.checkPathLength(name, null);
    if (error !== 0) return error;
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
    if (target.length >= PATH_MAX_BYTES) return -ENAMETOOLONG;
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const refusal = account.charge(Resource.HeldBytes, target.length);
    if (refusal !== 0) {
      account.release(Resource.Names);
      return refusal;
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
    if (error !== 0) return error;
    noteUnlink(this.remove(name), this);
    return 0;
  }

  override rmdir(name: Name): number {
    const error = checkRmdir(this, name);
    if (error !== 0) return error;
    noteRemoveDirectory(this.remove(name), this);
    return 0;
  }
}
