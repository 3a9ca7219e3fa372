import type { Credentials } from '../kern/credentials.ts';
import { EACCES, EBADF, ELOOP, ENOTDIR, EPERM } from '../kern/errno.ts';
import { type File, FREAD, FWRITE } from '../kern/file.ts';
import { UNKNOWN_IDENTITY } from '../kern/host.ts';
import { EVFILT_WRITE } from '../kern/klist.ts';
import type { Kqueue } from '../kqueue/kqueue.ts';
import type { Operation } from '../kern/operation.ts';
import { type IdentResolver, UNDECIDED } from '../kqueue/resolver.ts';
import { Directory } from './directory.ts';
import { type Node, SymbolicLink } from './node.ts';
import { noFileOps, OpenFile, type OpenFileTable } from './open-file.ts';

const SEARCH = 1;
const WRITE = 2;
const READ = 4;
const MAX_LINKS = 8;

/** Asks the open file behind a process's descriptor for its handle; 0 where that cannot be done. */
export type HandleFinder = (pid: number, descriptor: number) => Operation<number>;

/** What a path stands for in a registration: the node, without being one of its open files. */
class WatchedFile extends OpenFile {
  constructor(node: Node, credentials: Credentials) {
    super(node, 0, FREAD | FWRITE, credentials);
    this.ops = { ...noFileOps, kqfilter: (_file, knote) => node.kqfilter(knote) };
  }
}

/** Whether the mode grants these permission bits; one class of it counts, the first that fits. */
function mayAccess(node: Node, credentials: Credentials, wanted: number): boolean {
  if (credentials.uid === 0) return true;
  node.refresh();
  const isInGroup = credentials.gid === node.gid || credentials.groups?.includes(node.gid) === true;
  const shift = credentials.uid === node.uid ? 6 : isInGroup ? 3 : 0;
  return ((node.permissions >> shift) & wanted) === wanted;
}

/** Finds what kqueues watch in the tree: paths below its root, and descriptors of calling processes. */
export class TreeResolver implements IdentResolver {
  readonly #root: Directory;
  readonly #openFiles: OpenFileTable;
  readonly #findHandle: () => HandleFinder | null;
  /** What `decide` has found out, for the `resolve` that follows it at once: a handle, 0 for none. */
  #decided: { readonly pid: number; readonly descriptor: number; readonly handle: number } | null = null;

  constructor(root: Directory, openFiles: OpenFileTable, findHandle: () => HandleFinder | null) {
    this.#root = root;
    this.#openFiles = openFiles;
    this.#findHandle = findHandle;
  }

  resolve(
    _kqueue: Kqueue,
    ident: number | string,
    filter: number,
    credentials: Credentials,
    current: File | null,
  ): File | number {
    if (typeof ident === 'number') return this.#descriptor(ident, credentials);
    const { host } = this.#root.context.kernel;
    // Requests do not carry supplementary groups, and this path is not walked by the host's kernel.
    const groups = credentials.groups ?? host.supplementaryGroups(credentials.pid);
    const caller = { ...credentials, groups };
    const node = this.#walk(this.#root, ident, caller, 0);
    if (typeof node === 'number') return node;
    if (!mayAccess(node, caller, filter === EVFILT_WRITE ? WRITE : READ)) return -EACCES;
    return current instanceof WatchedFile && current.node === node ? current : new WatchedFile(node, caller);
  }

  /** The open file behind a descriptor of the caller's process, -EBADF when it is none of this mount, -EPERM for another user's process. */
  #descriptor(descriptor: number, credentials: Credentials): File | number {
    if (credentials.isDelegated === true) return -EPERM;
    const { host } = this.#root.context.kernel;
    const pid = host.processOf(credentials.pid);
    const found = host.describeDescriptor(pid, descriptor);
    if (found === null) return -EBADF;
    const candidates =
      found.identity === UNKNOWN_IDENTITY
        ? [...this.#openFiles.all()].reverse().filter((file) => file.node.inode === found.inode)
        : this.#openFiles.withIdentity(found.identity);
    const fitting = [...candidates].filter(
      (file) => file.readable === found.isReadable && file.writable === found.isWritable,
    );
    if (fitting.length <= 1) return fitting[0] ?? -EBADF;
    const decided = this.#decided;
    this.#decided = null;
    const isDecided = decided?.pid === pid && decided.descriptor === descriptor;
    if (!isDecided && this.#findHandle() !== null) return UNDECIDED;
    // Where nobody can tell: the process's own, and of those the latest.
    return (
      fitting.find((file) => file.handle === decided?.handle) ??
      fitting.find((file) => host.processOf(file.credentials.pid) === pid) ??
      fitting[0]!
    );
  }

  *decide(descriptor: number, credentials: Credentials): Operation<void> {
    const pid = this.#root.context.kernel.host.processOf(credentials.pid);
    const handle = yield* this.#findHandle()!(pid, descriptor);
    this.#decided = { pid, descriptor, handle };
  }

  isOpen(pid: number, descriptor: number, file: File): boolean {
    const identity = this.#root.context.kernel.host.identityOf(pid, descriptor);
    return identity === UNKNOWN_IDENTITY || identity === (file as OpenFile).identity;
  }

  #walk(from: Directory, path: string, caller: Credentials, links: number): Node | number {
    let at: Node = path.startsWith('/') ? this.#root : from;
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (!(at instanceof Directory)) return -ENOTDIR;
      if (!mayAccess(at, caller, SEARCH)) return -EACCES;
      const directory: Directory = at;
      const next: Node | number = part === '..' ? at.parent : at.lookup(part);
      if (typeof next === 'number') return next;
      at = next;
      if (at instanceof SymbolicLink) {
        if (links >= MAX_LINKS) return -ELOOP;
        const target = this.#walk(directory, at.target, caller, links + 1);
        if (typeof target === 'number') return target;
        at = target;
      }
    }
    return at;
  }
}
