import { EBADF, EILSEQ, EINVAL, ENOTDIR, EPERM } from '../../kern/errno.ts';
import type { Timespec } from '../../kern/clock.ts';
import { setNodeAttributes } from '../../vfs/calls.ts';
import { Directory } from '../../vfs/directory.ts';
import { type AttributeChange, type Node, S_IFIFO, S_IFMT, S_IFREG, SymbolicLink } from '../../vfs/node.ts';
import { SegmentNode } from '../../tree/segments/segment-node.ts';
import { NumberTable } from './handles.ts';
import type { Reply, Server } from './server.ts';
import { bytesOfName, HIDDEN_NAME, type Place, textOfName, type TreeView } from './tree-view.ts';

/** How long a name that was made for an open waits for that open. */
const MAKER_TIMEOUT_MS = 2000;
const IO_BLOCK_BYTES = 4096;
const STAT_BLOCK_BYTES = 512;
const NAME_MAX_BYTES = 255;
/** chown(2) with -1: unchanged. */
const UNCHANGED_ID = 0xffff_ffff;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

/** What a call is about: a path, or the number of an open file; or of an open directory, for those that are about directories. */
export type Subject = string | number;

/** stat(2), as the bindings take it. */
export interface Stat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly ino: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

/** The names in a directory; of their stats only type and inode count. */
export interface DirectoryListing {
  readonly names: readonly string[];
  readonly stats: readonly Stat[];
}

/** statvfs(2), as the bindings take it. */
export interface Statfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

function statOf(node: Node, type: number): Stat {
  node.refresh();
  const size = node.sizeBytes;
  return {
    mode: (node.mode & ~S_IFMT) | type,
    uid: node.uid,
    gid: node.gid,
    size,
    nlink: node.linkCount,
    ino: node.inode,
    blksize: IO_BLOCK_BYTES,
    blocks: Math.ceil(size / STAT_BLOCK_BYTES),
    atime: node.times.accessed,
    mtime: node.times.modified,
    ctime: node.times.changed,
  };
}

/** The callbacks about names and attributes. Paths begin with a slash, at the root of the mount. */
export class NameOperations {
  protected readonly server: Server;
  protected readonly view: TreeView;
  /** Paths that mkfifo has made and whose first look has to show a FIFO, as the host's kernel wants what it asked for (T1). */
  readonly #newFifos = new Set<string>();
  readonly #openDirectories = new NumberTable<Directory>();

  constructor(server: Server, view: TreeView) {
    this.server = server;
    this.view = view;
  }

  getattr(subject: Subject, reply: Reply<Stat>): void {
    const node = this.#find(subject);
    if (typeof node === 'number') {
      reply(node);
      return;
    }
    // The host's kernel holds the directory's lock since the mknod, so this is the mknod's own look.
    const isNewFifo = typeof subject === 'string' && this.#newFifos.delete(subject);
    reply(0, statOf(node, isNewFifo ? S_IFIFO : node.type));
  }

  /** The node, or a negative errno. */
  #find(subject: Subject): Node | number {
    if (typeof subject === 'string') return this.view.find(subject);
    return this.server.handles.get(subject)?.node ?? -EBADF;
  }

  /** Gives the number by which readdir and releasedir know the directory. */
  opendir(path: string, reply: Reply<number>): void {
    const node = this.view.find(path);
    if (node instanceof Directory) reply(0, this.#openDirectories.add(node));
    else reply(typeof node === 'number' ? node : -ENOTDIR);
  }

  releasedir(number: number, reply: Reply): void {
    this.#openDirectories.remove(number);
    reply(0);
  }

  readdir(subject: Subject, reply: Reply<DirectoryListing>): void {
    const node =
      typeof subject === 'string' ? this.view.find(subject) : (this.#openDirectories.get(subject) ?? -EBADF);
    if (!(node instanceof Directory)) {
      reply(typeof node === 'number' ? node : -ENOTDIR);
      return;
    }
    const list = this.view.list(node);
    const blank = statOf(node, 0);
    reply(0, {
      names: list.map(({ name }) => textOfName(name)),
      stats: list.map(({ inode, type }) => ({ ...blank, ino: inode, mode: type })),
    });
  }

  readlink(path: string, reply: Reply<string>): void {
    const node = this.view.find(path);
    if (node instanceof SymbolicLink) reply(0, textOfName(node.target));
    else reply(typeof node === 'number' ? node : -EINVAL);
  }

  statfs(reply: Reply<Statfs>): void {
    const { blockSizeBytes, blocks, freeBlocks, files, freeFiles } = this.server.fileSystem.statistics();
    reply(0, {
      bsize: blockSizeBytes,
      frsize: blockSizeBytes,
      blocks,
      bfree: freeBlocks,
      bavail: freeBlocks,
      files,
      ffree: freeFiles,
      favail: freeFiles,
      namemax: NAME_MAX_BYTES,
    });
  }

  mknod(path: string, mode: number, reply: Reply): void {
    const place = this.view.place(path);
    const type = mode & S_IFMT;
    if (typeof place === 'number') reply(place);
    else if (type === S_IFIFO) {
      const made = place.directory.makeFile(place.name, mode, this.server.caller());
      if (typeof made !== 'number') this.#newFifos.add(path);
      reply(typeof made === 'number' ? made : 0);
    } else if (type === S_IFREG) {
      const made = place.directory.createFile(place.name, mode, this.server.caller());
      if (made instanceof SegmentNode) {
        this.view.named(made, place.name);
        this.#expectMaker(made);
      }
      reply(typeof made === 'number' ? made : 0);
    } else reply(-EPERM);
  }

  /** A segment is made by the open that comes next; one whose maker does not come must not keep its key. */
  #expectMaker(node: SegmentNode): void {
    this.server.fileSystem.kernel.callouts.schedule(MAKER_TIMEOUT_MS, () => {
      if (node.awaitsMaker) node.abandon();
    });
    this.server.calls.settle();
  }

  mkdir(path: string, mode: number, reply: Reply): void {
    const place = this.view.place(path);
    if (typeof place === 'number') {
      reply(place);
      return;
    }
    const made = place.directory.makeDirectory(place.name, mode, this.server.caller());
    reply(typeof made === 'number' ? made : 0);
  }

  /** `target` is what the link says. */
  symlink(target: string, path: string, reply: Reply): void {
    const place = this.view.place(path);
    const bytes = bytesOfName(target);
    if (typeof place === 'number' || bytes === null) {
      reply(typeof place === 'number' ? place : -EILSEQ);
      return;
    }
    const made = place.directory.makeSymbolicLink(place.name, bytes, this.server.caller());
    reply(typeof made === 'number' ? made : 0);
  }

  link(path: string, newPath: string, reply: Reply): void {
    const node = this.view.find(path);
    const place = this.view.place(newPath);
    if (typeof node === 'number') reply(node);
    else if (typeof place === 'number') reply(place);
    else reply(this.server.fileSystem.link(node, place.directory, place.name, this.server.caller()));
  }

  unlink(path: string, reply: Reply): void {
    if (this.view.unhide(path)) {
      reply(0);
      return;
    }
    const place = this.view.place(path);
    reply(typeof place === 'number' ? place : place.directory.unlink(place.name, this.server.caller()));
  }

  rmdir(path: string, reply: Reply): void {
    const place = this.view.place(path);
    reply(typeof place === 'number' ? place : place.directory.rmdir(place.name));
  }

  rename(path: string, newPath: string, flags: number, reply: Reply): void {
    const from = this.view.place(path);
    const to = this.view.place(newPath);
    if (typeof from === 'number') {
      reply(from);
    } else if (typeof to === 'number') {
      reply(to);
    } else if (flags === 0 && HIDDEN_NAME.test(to.name) && this.#isOpen(path)) {
      reply(this.#hide(path, newPath, from));
    } else if (flags === RENAME_EXCHANGE) {
      reply(this.server.fileSystem.exchange(from.directory, from.name, to.directory, to.name));
    } else if ((flags & ~RENAME_NOREPLACE) !== 0) {
      reply(-EINVAL);
    } else {
      const noReplace = (flags & RENAME_NOREPLACE) !== 0;
      reply(this.server.fileSystem.rename(from.directory, from.name, to.directory, to.name, { noReplace }));
    }
  }

  #isOpen(path: string): boolean {
    const node = this.view.find(path);
    return typeof node !== 'number' && this.server.handles.has(node);
  }

  /** libfuse removes an open file by giving it another name. In the tree it is gone: only libfuse finds it. */
  #hide(path: string, newPath: string, { directory, name }: Place): number {
    const node = this.view.find(path) as Node;
    const error = directory.unlink(name, this.server.caller());
    if (error === 0) this.view.hide(newPath, node);
    return error;
  }

  chmod(subject: Subject, mode: number, reply: Reply): void {
    this.#change(subject, { mode: mode & 0o7777 }, reply);
  }

  chown(subject: Subject, uid: number, gid: number, reply: Reply): void {
    this.#change(
      subject,
      {
        ...(uid >>> 0 === UNCHANGED_ID ? {} : { uid }),
        ...(gid >>> 0 === UNCHANGED_ID ? {} : { gid }),
      },
      reply,
    );
  }

  /** Absent times stay. */
  utimens(
    subject: Subject,
    accessed: Timespec | undefined,
    modified: Timespec | undefined,
    reply: Reply,
  ): void {
    this.#change(
      subject,
      { ...(accessed === undefined ? {} : { accessed }), ...(modified === undefined ? {} : { modified }) },
      reply,
    );
  }

  truncate(subject: Subject, sizeBytes: number, reply: Reply): void {
    this.#change(subject, { sizeBytes }, reply);
  }

  /** Gives the value. */
  getxattr(path: string, name: string, reply: Reply<Buffer>): void {
    const node = this.view.find(path);
    const value = typeof node === 'number' ? node : this.server.fileSystem.attributes.get(node, name);
    if (typeof value === 'number') reply(value);
    else reply(0, Buffer.from(value, 'latin1'));
  }

  listxattr(path: string, reply: Reply<readonly string[]>): void {
    const node = this.view.find(path);
    if (typeof node === 'number') reply(node);
    else reply(0, this.server.fileSystem.attributes.list(node));
  }

  setxattr(path: string, name: string, value: Buffer, flags: number, reply: Reply): void {
    const node = this.view.find(path);
    const { attributes } = this.server.fileSystem;
    const text = value.toString('latin1');
    reply(typeof node === 'number' ? node : attributes.set(node, name, text, flags, this.server.caller()));
  }

  removexattr(path: string, name: string, reply: Reply): void {
    const node = this.view.find(path);
    const { attributes } = this.server.fileSystem;
    reply(typeof node === 'number' ? node : attributes.remove(node, name, this.server.caller()));
  }

  #change(subject: Subject, change: AttributeChange, reply: Reply): void {
    const node = this.#find(subject);
    reply(typeof node === 'number' ? node : setNodeAttributes(node, change, this.server.caller()));
  }
}
