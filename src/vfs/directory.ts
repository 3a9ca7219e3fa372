import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import { type Credentials, rootCredentials } from '../kern/credentials.ts';
import { EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../kern/errno.ts';
import { type Name, Node, type NodeContext, type Ownership, S_IFDIR, S_ISGID } from './node.ts';
import { PATH_MAX_BYTES, PathLengths } from './path-length.ts';
import { atOnce, type Work } from '../kern/work.ts';

const NAME_MAX_BYTES = 255;
/** Names that one step of a listing takes. */
const LISTING_STEP = 64;

/** Whether a name could be one: 0 or a negative errno. The host's own limit of its length is longer. */
export function checkName(name: Name): number {
  if (name.length > NAME_MAX_BYTES) return -ENAMETOOLONG;
  return name === '' || name === '.' || name === '..' || name.includes('/') ? -EINVAL : 0;
}

/** One line of a directory, as readdir shows it. */
export interface DirectoryEntry {
  readonly name: Name;
  readonly inode: number;
  /** S_IFDIR and so on. */
  readonly type: number;
}

/**
 * A directory. Callers may make and remove names as far as a subclass allows it; the host's kernel has checked modes and sticky
 * bits. Methods that make something return the node, or a negative errno.
 */
export class Directory extends Node {
  override readonly type = S_IFDIR;
  override readonly isVolatile: boolean = false;
  readonly entries = new Map<Name, Node>();
  /** Of each directory in here, the longest path to it or below it, from here; null before the first. */
  #pathLengths: PathLengths | null = null;

  constructor(context: NodeContext, ownership: Ownership) {
    super(context, ownership);
    this.linkCount = 2;
  }

  override get path(): string {
    return this.names.length === 0 ? '' : super.path;
  }

  get parent(): Directory {
    return this.names[0]?.directory ?? this;
  }

  lookup(name: Name): Node | number {
    return this.entries.get(name) ?? (checkName(name) || -ENOENT);
  }

  /** The names of this directory and what they lead to, as they are now. */
  namedNodes(): Iterable<readonly [Name, Node]> {
    return this.entries;
  }

  /** What readdir shows, with `.` and `..`, as it is now. */
  list(): DirectoryEntry[] {
    return atOnce(this.listing());
  }

  /** The same in steps. A name that is there from the first to the last is listed once, one that comes or goes meanwhile perhaps. */
  *listing(): Work<DirectoryEntry[]> {
    const list: DirectoryEntry[] = [
      { name: '.', inode: this.inode, type: S_IFDIR },
      { name: '..', inode: this.parent.inode, type: S_IFDIR },
    ];
    for (const [name, node] of this.namedNodes()) {
      list.push({ name, inode: node.inode, type: node.listedType });
      if (list.length % LISTING_STEP === 0) yield;
    }
    return list;
  }

  /** mknod(2), for type S_IFIFO or S_IFREG. */
  makeFile(_name: Name, _mode: number, _credentials: Credentials): Node | number {
    return -EPERM;
  }

  /** The creating half of open(2): the node that the open is for. `undoCreation` takes it back when that open fails. */
  createFile(name: Name, mode: number, credentials: Credentials): Node | number {
    return this.makeFile(name, mode, credentials);
  }

  undoCreation(name: Name): void {
    this.unlink(name, rootCredentials);
  }

  makeDirectory(_name: Name, _mode: number, _credentials: Credentials): Directory | number {
    return -EPERM;
  }

  makeSymbolicLink(_name: Name, _target: string, _credentials: Credentials): Node | number {
    return -EPERM;
  }

  /** link(2): another name for `node`. 0 or a negative errno. */
  link(_name: Name, _node: Node, _credentials: Credentials): number {
    return -EPERM;
  }

  /** unlink(2) on behalf of `caller`, whose rights the host has checked, as far as it sees the name. 0 or a negative errno. */
  unlink(_name: Name, _caller: Credentials): number {
    return -EPERM;
  }

  rmdir(_name: Name): number {
    return -EPERM;
  }

  /**
   * The tree within which names can be moved and linked: two directories of one tree have the same. Null when names of this
   * directory cannot be moved.
   */
  get domain(): object | null {
    return null;
  }

  /** Whether rmdir, or a rename over it, may remove this directory: 0 or a negative errno. */
  checkRemovable(): number {
    return this.entries.size > 0 ? -ENOTEMPTY : 0;
  }

  /** The longest path to a directory below this one, from here, with a slash after each name; 0 when there is none. */
  get longestPathBytes(): number {
    return this.#pathLengths?.longest ?? 0;
  }

  /**
   * Whether a directory may have this name here: 0, or -ENAMETOOLONG when its path, or that of a directory below `node`, would be too
   * long. `node`: null for a new one. Names of files are not checked: NAME_MAX bounds what they add.
   */
  checkPathLength(name: Name, node: Directory | null): number {
    let bytes = name.length + 1 + (node?.longestPathBytes ?? 0);
    for (let at = this.names[0]; at !== undefined; at = at.directory.names[0]) bytes += at.name.length + 1;
    return bytes > PATH_MAX_BYTES ? -ENAMETOOLONG : 0;
  }

  /** The longest path through a directory in `from` changes; 0 for none: it comes, or goes. */
  static #changePathLength(from: Directory, before: number, after: number): void {
    let at = from;
    for (;;) {
      const lengths = (at.#pathLengths ??= new PathLengths());
      const longest = lengths.longest;
      if (before > 0) lengths.remove(before);
      if (after > 0) lengths.add(after);
      const [entry] = at.names;
      if (lengths.longest === longest || entry === undefined) return;
      before = entry.name.length + 1 + longest;
      after = entry.name.length + 1 + lengths.longest;
      at = entry.directory;
    }
  }

  /**
   * Checks a new name, and charges it to who makes it: the account, which is to be passed to `add`, or a negative errno.
   */
  protected takeName(name: Name, { uid }: Credentials): Account | number {
    const error = checkName(name);
    if (error !== 0) return error;
    // A removed directory that is still some process's working directory takes no names.
    if (this.linkCount === 0) return -ENOENT;
    if (this.entries.has(name)) return -EEXIST;
    const account = this.context.kernel.accounts.of(uid);
    const refusal = account.charge(Resource.Names);
    return refusal === 0 ? account : refusal;
  }

  /** Owner and mode of a new node, with the group of a set-group-id directory. */
  protected ownershipFor(mode: number, credentials: Credentials): Ownership {
    const inherits = (this.permissions & S_ISGID) !== 0;
    return { mode, uid: credentials.uid, gid: inherits ? this.gid : credentials.gid };
  }

  /** Adds a name; the caller has checked that it is free. `account`: what it is charged to. */
  add(name: Name, node: Node, account: Account | null = null): void {
    this.entries.set(name, node);
    node.names.push({ directory: this, name, account });
    if (node instanceof Directory) {
      this.linkCount++;
      Directory.#changePathLength(this, 0, name.length + 1 + node.longestPathBytes);
    }
    this.touch();
  }

  /** Takes a name away, and tells the node when it was the last. The node. */
  remove(name: Name): Node {
    const node = this.entries.get(name)!;
    this.detach(name)?.release(Resource.Names);
    node.linkCount -= node instanceof Directory ? 2 : 1;
    node.times.changed = this.context.now();
    if (node.names.length > 0) return node;
    this.context.inodeRemoved();
    node.removed();
    return node;
  }

  /** Takes a name away to give the node another: its link count stays, and the other is charged to the same account. That account. */
  detach(name: Name): Account | null {
    const node = this.entries.get(name)!;
    this.entries.delete(name);
    const index = node.names.findIndex((entry) => entry.directory === this && entry.name === name);
    const { account } = node.names.splice(index, 1)[0]!;
    if (node instanceof Directory) {
      this.linkCount--;
      Directory.#changePathLength(this, name.length + 1 + node.longestPathBytes, 0);
    }
    this.touch();
    return account;
  }

  /** Of the directory itself: `checkTree` walks those below it. */
  override checkInvariants(): void {
    let subdirectories = 0;
    for (const [name, node] of this.entries) {
      const names = node.names.filter((entry) => entry.directory === this && entry.name === name);
      assert(names.length === 1, 'a node knows each of its names once');
      if (!(node instanceof Directory)) continue;
      subdirectories++;
      assert(node.names.length === 1 && node.parent === this, 'a directory has one name, in its parent');
    }
    assert(
      this.linkCount === 2 + subdirectories,
      'a directory is linked by its name, itself and those in it',
    );
  }

  /** Names have changed: the times say so. */
  protected touch(): void {
    const now = this.context.now();
    this.times.modified = now;
    this.times.changed = now;
  }
}

/** Every node that a path leads to, each once; those with other names too. Nothing but entries is followed. */
export function* walkTree(root: Directory): Iterable<Node> {
  const seen = new Set<Node>([root]);
  for (const node of seen) {
    yield node;
    if (node instanceof Directory) for (const entry of node.entries.values()) seen.add(entry);
  }
}

/** Whether a file at `name` can be unlinked: 0 or a negative errno. */
export function checkUnlink(directory: Directory, name: Name): number {
  const node = directory.entries.get(name);
  if (node === undefined) return -ENOENT;
  return node instanceof Directory ? -EISDIR : 0;
}

/** Whether a directory at `name` can be removed: 0 or a negative errno. */
export function checkRmdir(directory: Directory, name: Name): number {
  const node = directory.entries.get(name);
  if (node === undefined) return -ENOENT;
  return node instanceof Directory ? node.checkRemovable() : -ENOTDIR;
}
