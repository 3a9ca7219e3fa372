import type { Credentials } from '../kern/credentials.ts';
import { EACCES, EBADF, ELOOP, ENOTDIR, EPERM } from '../kern/errno.ts';
import { type File, FREAD, FWRITE } from '../kern/file.ts';
import { UNKNOWN_IDENTITY } from '../kern/host.ts';
import { EVFILT_WRITE } from '../kern/klist.ts';
import type { Kqueue } from '../kqueue/kqueue.ts';
import type { Operation } from '../kern/operation.ts';
import { ELSEWHERE, type IdentResolver, UNDECIDED } from '../kqueue/resolver.ts';
import { Directory } from '../vfs/directory.ts';
import { type Node, SymbolicLink } from '../vfs/node.ts';
import { noFileOps, OpenFile, type OpenFileTable } from '../vfs/open-file.ts';
import { Access, mayAccess, withGroups } from '../vfs/permission.ts';
import type { Transport } from '../vfs/transport.ts';

/** Symbolic links that one path may lead through, in all: what a link's target leads through counts too (MAXSYMLINKS of Linux). */
const MAX_LINKS = 40;

/** Of so many open files that look alike, the latest, those of the caller's process are looked for: asking for each takes long. */
const LOOK_LIMIT = 256;

/** What a path stands for in a registration: the node, without being one of its open files. */
class WatchedFile extends OpenFile {
  constructor(node: Node, credentials: Credentials) {
    super(node, 0, FREAD | FWRITE, credentials);
    this.ops = { ...noFileOps, kqfilter: (_file, knote) => node.kqfilter(knote) };
  }
}

/** Finds what kqueues watch in the tree: paths below its root, and descriptors of calling processes. */
export class TreeResolver implements IdentResolver {
  readonly #root: Directory;
  readonly #openFiles: OpenFileTable;
  readonly #transport: Transport;
  /** What `decide` has found out, for the `resolve` that follows it at once: a handle, 0 for none. */
  #decided: { readonly pid: number; readonly descriptor: number; readonly handle: number } | null = null;

  constructor(root: Directory, openFiles: OpenFileTable, transport: Transport) {
    this.#root = root;
    this.#openFiles = openFiles;
    this.#transport = transport;
  }

  resolve(
    _kqueue: Kqueue,
    ident: number | string,
    filter: number,
    credentials: Credentials,
    current: File | null,
  ): File | number {
    if (typeof ident === 'number') return this.#descriptor(ident, credentials);
    if (this.#isElsewhere(ident)) return ELSEWHERE;
    const { host } = this.#root.context.kernel;
    const caller = withGroups(credentials, host);
    const node = this.#walk(this.#root, ident, caller, { links: MAX_LINKS });
    if (typeof node === 'number') return node;
    if (!mayAccess(node, caller, filter === EVFILT_WRITE ? Access.Write : Access.Read)) return -EACCES;
    return current instanceof WatchedFile && current.node === node ? current : new WatchedFile(node, caller);
  }

  /** The open file behind a descriptor of the caller's process, ELSEWHERE when it is none of this mount, -EPERM for another user's process. */
  #descriptor(descriptor: number, credentials: Credentials): File | number {
    if (credentials.isDelegated === true) return -EPERM;
    const { host } = this.#root.context.kernel;
    const pid = host.processOf(credentials.pid);
    const found = host.describeDescriptor(pid, descriptor);
    if (found === null) return ELSEWHERE;
    const fits = (file: OpenFile): boolean =>
      file.readable === found.isReadable &&
      file.writable === found.isWritable &&
      (found.identity === UNKNOWN_IDENTITY
        ? found.inode === null || file.node.inode === found.inode
        : file.identity === found.identity);
    const decided = this.#decided;
    this.#decided = null;
    const isDecided = decided?.pid === pid && decided.descriptor === descriptor;
    if (isDecided) {
      const file = this.#openFiles.get(decided.handle);
      if (file !== undefined && fits(file)) return file;
    }
    // Nothing but the handle tells where the machine has inode numbers of its own.
    if (found.identity === UNKNOWN_IDENTITY && found.inode === null) {
      return isDecided || this.#transport.findHandle === null ? -EBADF : UNDECIDED;
    }
    const candidates =
      found.identity === UNKNOWN_IDENTITY
        ? [...this.#openFiles.all()].reverse()
        : this.#openFiles.withIdentity(found.identity);
    // Any number of open files may look alike, so the search ends as soon as it is clear what to do.
    const limit = isDecided || this.#transport.findHandle === null ? LOOK_LIMIT : 2;
    const fitting: OpenFile[] = [];
    for (const file of candidates) {
      if (!fits(file)) continue;
      fitting.push(file);
      if (fitting.length === limit) break;
    }
    if (fitting.length <= 1) return fitting[0] ?? -EBADF;
    if (limit === 2) return UNDECIDED;
    // Where nobody can tell: the process's own, and of those the latest.
    return fitting.find((file) => host.processOf(file.credentials.pid) === pid) ?? fitting[0]!;
  }

  /** Whether an absolute path begins with no name of the mount's root: those that do are in the mount. */
  #isElsewhere(path: string): boolean {
    if (!path.startsWith('/')) return false;
    // The root of the mount is its own parent.
    const name = path.split('/').find((part) => part !== '' && part !== '.' && part !== '..');
    return name !== undefined && !this.#root.entries.has(name);
  }

  *decide(descriptor: number, credentials: Credentials): Operation<void> {
    const pid = this.#root.context.kernel.host.processOf(credentials.pid);
    const handle = yield* this.#transport.findHandle!(pid, descriptor);
    this.#decided = { pid, descriptor, handle };
  }

  isOpen(pid: number, descriptor: number, file: File): boolean {
    const identity = this.#root.context.kernel.host.identityOf(pid, descriptor);
    return identity === UNKNOWN_IDENTITY || identity === (file as OpenFile).identity;
  }

  /** `left` is what the whole walk has left: links to links would otherwise multiply. */
  #walk(from: Directory, path: string, caller: Credentials, left: { links: number }): Node | number {
    let at: Node = path.startsWith('/') ? this.#root : from;
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (!(at instanceof Directory)) return -ENOTDIR;
      if (!mayAccess(at, caller, Access.Search)) return -EACCES;
      const directory: Directory = at;
      const next: Node | number = part === '..' ? at.parent : at.lookup(part);
      if (typeof next === 'number') return next;
      at = next;
      if (at instanceof SymbolicLink) {
        if (left.links-- === 0) return -ELOOP;
        const target = this.#walk(directory, at.target, caller, left);
        if (typeof target === 'number') return target;
        at = target;
      }
    }
    return at;
  }
}
