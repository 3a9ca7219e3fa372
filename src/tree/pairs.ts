import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Credentials } from '../kern/credentials.ts';
import { ENOMEM, ENXIO } from '../kern/errno.ts';
import type { FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { Thread } from '../kern/scheduler.ts';
import type { Knote } from '../kern/klist.ts';
import { noteMakeDirectory, noteRemoveDirectory } from '../vfs/vnode-notes.ts';
import { pipeKqfilter } from '../pipe/filters.ts';
import { anonymousPipeOps } from '../pipe/anonymous.ts';
import { closeIdle, pipeClose } from '../pipe/close.ts';
import { type PipeEnd, Presence } from '../pipe/end.ts';
import { PipePair } from '../pipe/pair.ts';
import type { PipeSubsystem } from '../pipe/subsystem.ts';
import { checkRmdir, Directory } from '../vfs/directory.ts';
import { Engine } from '../vfs/metrics.ts';
import {
  type AttributeChange,
  type Name,
  Node,
  type NodeContext,
  type Ownership,
  S_IFIFO,
  S_IFREG,
} from '../vfs/node.ts';
import type { OpenFile } from '../vfs/open-file.ts';

/** Read and write permission, without the search bits that the directory's mode has. */
const FILE_PERMISSIONS = 0o666;

/** One end of a pair. It is open from the pair's making on, and closed for good by the close of its last descriptor. */
export class PairEndNode extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.Pipe;
  override readonly isAliased = true;
  readonly end: PipeEnd;
  /** Open files of this end. */
  openCount = 0;
  /** Set by the last close, which may still wait for operations to leave. */
  #closed = false;

  constructor(context: NodeContext, ownership: Ownership, end: PipeEnd) {
    // Reads and writes stamp the end, and stat shows it (P63).
    super(context, ownership, end.times);
    this.end = end;
  }

  override get listedType(): number {
    return S_IFIFO;
  }

  override get sizeBytes(): number {
    return this.end.queuedBytes;
  }

  /** As for a named pipe. */
  override get openSizeBytes(): number {
    return 0;
  }

  override get path(): string {
    return this.names[0]?.directory.names.length === 0 ? '(removed)' : super.path;
  }

  /** The pair has lost its name: an end that nobody has open can never be opened, and is closed. */
  nameRemoved(): void {
    this.context.inodeRemoved();
    // A close that waits goes on.
    if (this.openCount > 0 || this.#closed) return;
    this.#closed = true;
    const { end } = this;
    if (end.busyCount === 0) {
      closeIdle(end);
      return;
    }
    // The other end, which is open, sleeps in a write to it: that ends, and the close after it.
    const closing = new Thread();
    closing.operation = pipeClose(end);
    end.pair.subsystem.kernel.scheduler.enqueue(closing);
  }

  override *open(file: OpenFile): Operation<number> {
    if (this.#closed || this.end.presence !== Presence.Active) return -ENXIO;
    this.openCount++;
    file.isStream = true;
    file.ops = pairEndOps;
    file.data = this.end;
    return 0;
  }

  override kqfilter(knote: Knote): number {
    const file = knote.file as OpenFile;
    file.data = this.end;
    return pipeKqfilter(file, knote);
  }

  *release(): Operation<number> {
    assert(this.openCount > 0, 'an end is released by files that opened it');
    this.openCount--;
    if (this.openCount > 0) return 0;
    this.#closed = true;
    return yield* pipeClose(this.end);
  }

  protected override checkAttributes(_change: AttributeChange): number {
    return 0;
  }
}

const pairEndOps: FileOps = {
  ...anonymousPipeOps,
  close: (file) => ((file as OpenFile).node as PairEndNode).release(),
};

/** pairs/NAME: the two ends. */
export class PairDirectory extends Directory {
  readonly #ends: readonly [PairEndNode, PairEndNode];
  readonly account: Account;

  /** `account`: the maker's, which has been charged for the pair. */
  constructor(context: NodeContext, ownership: Ownership, pair: PipePair, account: Account) {
    super(context, ownership);
    this.account = account;
    const endOwnership = { ...ownership, mode: ownership.mode & FILE_PERMISSIONS };
    this.#ends = [
      new PairEndNode(context, endOwnership, pair.ends[0]),
      new PairEndNode(context, endOwnership, pair.ends[1]),
    ];
    this.#ends.forEach((end, index) => {
      this.add(String(index), end);
    });
  }

  /** Its ends are no names that somebody would miss: with the last open end the pair is gone. */
  override checkRemovable(): number {
    return 0;
  }

  override removed(): void {
    this.account.release(Resource.Pipes);
    for (const end of this.#ends) end.nameRemoved();
  }
}

/** pairs/: mkdir makes a pair, rmdir takes its name away. */
export class PairsDirectory extends Directory {
  readonly #pipes: PipeSubsystem;

  constructor(context: NodeContext, pipes: PipeSubsystem, ownership: Ownership) {
    super(context, ownership);
    this.#pipes = pipes;
  }

  override get domain(): object {
    return this;
  }

  override makeDirectory(name: Name, mode: number, credentials: Credentials): PairDirectory | number {
    const account = this.takeName(name, credentials);
    if (typeof account === 'number') return account;
    const refusal = account.charge(Resource.Pipes);
    const pair = refusal === 0 ? PipePair.create(this.#pipes, credentials) : null;
    if (pair === null) {
      account.release(Resource.Names);
      if (refusal === 0) account.release(Resource.Pipes);
      return refusal === 0 ? -ENOMEM : refusal;
    }
    const node = new PairDirectory(this.context, this.ownershipFor(mode, credentials), pair, account);
    this.add(name, node, account);
    noteMakeDirectory(this);
    return node;
  }

  override rmdir(name: Name): number {
    const error = checkRmdir(this, name);
    if (error !== 0) return error;
    noteRemoveDirectory(this.remove(name), this);
    return 0;
  }
}
