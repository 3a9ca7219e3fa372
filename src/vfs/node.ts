import type { Credentials } from '../kern/credentials.ts';
import { type Account, Resource } from '../kern/accounting.ts';
import { type LockOwner, LockRegistry, LockTable } from '../kern/advisory-locks.ts';
import { assert } from '../kern/assert.ts';
import type { Timestamps } from '../kern/clock.ts';
import { timestampsAt, type Timespec } from '../kern/clock.ts';
import { EACCES, EINVAL, EOPNOTSUPP } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { EVFILT_VNODE, Klist, type Knote } from '../kern/klist.ts';
import { attachVnode } from './vnode-filters.ts';
import { noteAttributes } from './vnode-notes.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { Operation } from '../kern/operation.ts';
import type { CallFaults } from './calls.ts';
import type { Directory } from './directory.ts';
import { Engine } from './metrics.ts';
import type { OpenFile } from './open-file.ts';
import type { Slicer } from '../kern/work.ts';

/** File types, as in st_mode. */
export const S_IFMT = 0o170000;
export const S_IFIFO = 0o010000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_ISUID = 0o004000;
export const S_ISGID = 0o002000;
export const S_ISVTX = 0o001000;
export const S_IXGRP = 0o000010;
export const PERMISSION_BITS = 0o7777;

/** A name, one character a byte: whatever bytes a caller uses come back unchanged. */
export type Name = string;

/** A name of a node, and the account of the user who has made the name; null for those that are there from the start. */
export interface NameEntry {
  readonly directory: Directory;
  readonly name: Name;
  readonly account: Account | null;
}

/** Who owns a new node, and its permission bits. */
export interface Ownership {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What SETATTR may change; absent fields stay. */
export interface AttributeChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  readonly accessed?: Timespec;
  readonly modified?: Timespec;
}

/** Makes inode numbers and knows the time: what every node of one tree shares. */
export class NodeContext {
  readonly kernel: Kernel;
  /** The locks of all nodes. */
  readonly locks: LockRegistry;
  #lastInode = 0;
  /** Nodes that have a name. */
  liveInodes = 0;
  /** What calls go through while there are faults on demand; null while there are none. */
  faults: CallFaults | null = null;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.locks = new LockRegistry(kernel);
  }

  /** Does what takes long. */
  get slicer(): Slicer {
    return this.kernel.slicer;
  }

  /** A number for a new node; none is given twice. */
  nextInode(): number {
    this.liveInodes++;
    return ++this.#lastInode;
  }

  /** A node has lost its last name. */
  inodeRemoved(): void {
    this.liveInodes--;
  }

  now(): Timespec {
    return this.kernel.host.clock.realtime();
  }
}

/** Something with a name in the tree (a vnode and its inode). */
export abstract class Node {
  readonly context: NodeContext;
  readonly inode: number;
  /** S_IFDIR and so on: what stat shows. */
  abstract readonly type: number;
  /** Whose bytes reads and writes of it move. */
  readonly engine: Engine = Engine.Tree;
  /** Permission bits, with set-id and sticky bits. */
  permissions: number;
  uid: number;
  gid: number;
  readonly times: Timestamps;
  #klist: Klist | null = null;
  #wholeLocks: LockTable | null = null;
  #rangeLocks: LockTable | null = null;
  linkCount = 1;
  /** The names that lead here, in order of their making; empty when all are removed. */
  readonly names: NameEntry[] = [];
  /**
   * Whether each lookup must show the host another identity, so that each open file has locks of its own there.
   * A blocked write on one must not hold up a write, stat or chmod through another.
   */
  readonly isAliased: boolean = false;
  /** Whether attributes change without a request of the host's kernel, so that it must not remember them. */
  readonly isVolatile: boolean = true;
  /** Whether fcntl(2) locks ranges of its bytes. flock(2) locks every node. */
  readonly takesRangeLocks: boolean = false;

  /** `times`: those of an object that stamps its own; otherwise the node has some from now on. */
  constructor(context: NodeContext, ownership: Ownership, times = timestampsAt(context.now())) {
    this.context = context;
    this.inode = context.nextInode();
    this.permissions = ownership.mode & PERMISSION_BITS;
    this.uid = ownership.uid;
    this.gid = ownership.gid;
    this.times = times;
  }

  get mode(): number {
    return this.type | this.permissions;
  }

  /** The type that readdir shows. Tools that walk a tree do not open a FIFO to read it. */
  get listedType(): number {
    return this.type;
  }

  get sizeBytes(): number {
    return 0;
  }

  /** st_size as fstat shows it of an open file. */
  get openSizeBytes(): number {
    return this.sizeBytes;
  }

  /** Knotes that watch the node. */
  get klist(): Klist {
    return (this.#klist ??= new Klist());
  }

  get isWatched(): boolean {
    return this.#klist !== null && this.#klist.size > 0;
  }

  /** Locks of flock(2). */
  get wholeLocks(): LockTable {
    return (this.#wholeLocks ??= new LockTable(this.context.locks, this, 'flock'));
  }

  /** Locks of fcntl(2); null for a node that takes none. */
  get rangeLocks(): LockTable | null {
    if (!this.takesRangeLocks) return null;
    return (this.#rangeLocks ??= new LockTable(this.context.locks, this, 'fcntl'));
  }

  /** The owner has closed a descriptor of the node: its locks of fcntl(2) end. */
  closedBy(owner: LockOwner): void {
    this.#rangeLocks?.unlock(owner);
  }

  /** The last descriptor of an open file has been closed: the locks that are the file's own end. */
  releaseLocks(file: File): void {
    this.#wholeLocks?.release(file);
    this.#rangeLocks?.release(file);
  }

  /** Where the next read of a plain file begins, as far as it is known here (K116). */
  offsetOf(_file: File): number {
    return 0;
  }

  /**
   * Registers a knote that names this node by its path: nobody has opened it for that. 0 or a negative errno. VNODE works for every
   * node (K113).
   */
  kqfilter(knote: Knote): number {
    return knote.filter === EVFILT_VNODE ? attachVnode(this, knote) : -EOPNOTSUPP;
  }

  /** Waits until `refresh` finds what has happened: null when it does. */
  settle(): Operation<void> | null {
    return null;
  }

  /** Brings the fields up to date before they are shown, for a node that stands for something else. */
  refresh(): void {
    // Most nodes are what they show.
  }

  /** The path from the mount's root without a leading slash; `(removed)` for a node whose names are gone. */
  get path(): string {
    // In a loop: users may nest directories more deeply than calls can be nested.
    const parts: Name[] = [];
    let at = this.names[0];
    if (at === undefined) return '(removed)';
    for (; at !== undefined; at = at.directory.names[0]) parts.push(at.name);
    return parts.reverse().join('/');
  }

  /** open(2): gives `file` its operations. 0 or a negative errno. */
  *open(_file: OpenFile): Operation<number> {
    return -EACCES;
  }

  /** An open with O_CREAT, which must not sleep; `isMaker` when it made the name. 0 or a negative errno. */
  openAtOnce(_file: OpenFile, _isMaker: boolean): number {
    return -EACCES;
  }

  /** Whether `setAttributes` would refuse. 0 or a negative errno; the host has checked ownership. */
  protected checkAttributes(change: AttributeChange): number {
    return change.sizeBytes === undefined ? 0 : -EINVAL;
  }

  /** chmod, chown, utimensat, truncate: all or nothing. 0 or a negative errno. `caller`: whose call it is. */
  setAttributes(change: AttributeChange, _caller?: Credentials): number {
    const error = this.checkAttributes(change);
    if (error !== 0) return error;
    if (change.mode !== undefined) this.permissions = change.mode & PERMISSION_BITS;
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    if (change.accessed !== undefined) this.times.accessed = change.accessed;
    if (change.modified !== undefined) this.times.modified = change.modified;
    this.times.changed = this.context.now();
    noteAttributes(this);
    return 0;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const { directory, name } of this.names) {
      assert(directory.entries.get(name) === this, 'a name of a node leads to the node');
    }
    assert(this.linkCount === this.names.length, 'a node counts its names');
    this.#klist?.checkInvariants();
  }

  /** Called when the last name is gone; files that are open stay usable. */
  removed(): void {
    // Most nodes hold nothing that their open files do not.
  }
}

/** A symbolic link. */
export class SymbolicLink extends Node {
  override readonly type = S_IFLNK;
  override readonly isVolatile = false;
  readonly target: string;
  readonly account: Account | null;

  /** `account`: what the target's bytes are charged to. */
  constructor(context: NodeContext, ownership: Ownership, target: string, account: Account | null = null) {
    super(context, { ...ownership, mode: 0o777 });
    this.target = target;
    this.account = account;
  }

  override removed(): void {
    this.account?.release(Resource.HeldBytes, this.target.length);
  }

  override get sizeBytes(): number {
    return this.target.length;
  }
}
