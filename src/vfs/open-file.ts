import { type Accounts, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EBADF, ENFILE, ENOTTY } from '../kern/errno.ts';
import { File, type FileOps, knotesOfClosedFile } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { POLLIN, POLLOUT, POLLRDNORM, Poller } from '../kern/poll.ts';
import type { Node } from './node.ts';

/** Operations of a file that has none: each says so, and events are those of its node. Others are made by spreading this one. */
export const noFileOps: FileOps = {
  *read() {
    return -EBADF;
  },
  *write() {
    return -EBADF;
  },
  ioctl: () => -ENOTTY,
  // What a regular file says.
  poll: (_file, events) => events & (POLLIN | POLLRDNORM | POLLOUT),
  kqfilter: (file, knote) => (file as OpenFile).node.kqfilter(knote),
  *close() {
    return 0;
  },
};

/** An open file of the tree, and the handle that requests name it by. */
export class OpenFile extends File {
  readonly node: Node;
  readonly handle: number;
  /** No position: reads and writes at the same time, lseek refused. Otherwise reads have an offset. */
  isStream = false;
  /** A descriptor of memory that this file lets processes map; -1 for a file that cannot be mapped. */
  memoryDescriptor = -1;
  /** The process that has opened it, when it can be mapped. */
  memoryOwnerPid = -1;
  /**
   * Set before the close by a transport that hears of it while mappings made through this file may be left: calls `finish` when
   * they are gone. Null where the close comes after them.
   */
  afterMappings: ((finish: () => void) => void) | null = null;
  /** Pollers of this file through the transport; created at its first poll. */
  poller: Poller | null = null;
  /** The number under which the host knows what this file was opened through; 0 until it is known. See OpenFileTable.identify. */
  identity = 0;
  newerOfIdentity: OpenFile | null = null;
  olderOfIdentity: OpenFile | null = null;

  constructor(node: Node, handle: number, flags: number, credentials: Credentials) {
    super(flags, noFileOps, credentials);
    this.node = node;
    this.handle = handle;
  }
}

/** The open files of a mount, by handle. */
export class OpenFileTable {
  readonly #files = new Map<number, OpenFile>();
  /** The newest open file of each identity. */
  readonly #newest = new Map<number, OpenFile>();
  #lastHandle = 0;
  /** Opens beyond this many fail with ENFILE. */
  readonly limit: number;
  readonly #accounts: Accounts;

  constructor(limit: number, accounts: Accounts) {
    this.limit = limit;
    this.#accounts = accounts;
  }

  get size(): number {
    return this.#files.size;
  }

  /**
   * A new open file, or -ENFILE, or -EMFILE when its user may have no more, or -ENOMEM. It is in the table from now on; `drop` it when
   * its open fails.
   */
  add(node: Node, flags: number, credentials: Credentials): OpenFile | number {
    if (this.#files.size >= this.limit) return -ENFILE;
    const account = this.#accounts.of(credentials.uid);
    const refusal = account.charge(Resource.OpenFiles);
    if (refusal !== 0) return refusal;
    const file = new OpenFile(node, ++this.#lastHandle, flags, credentials);
    file.account = account;
    this.#files.set(file.handle, file);
    return file;
  }

  get(handle: number): OpenFile | undefined {
    return this.#files.get(handle);
  }

  drop(file: OpenFile): void {
    if (!this.#files.delete(file.handle)) return;
    file.hold(0);
    file.account!.release(Resource.OpenFiles);
    file.node.releaseLocks(file);
    if (file.identity === 0) return;
    const { newerOfIdentity: newer, olderOfIdentity: older } = file;
    if (older !== null) older.newerOfIdentity = newer;
    if (newer !== null) newer.olderOfIdentity = older;
    else if (older !== null) this.#newest.set(file.identity, older);
    else this.#newest.delete(file.identity);
  }

  /**
   * Says what the host knows the file by. Each lookup of a pipe or a kqueue gives another identity, so that only opens through
   * /proc/PID/fd share one; every open of another node has the node's.
   */
  identify(file: OpenFile, identity: number): void {
    file.identity = identity;
    const older = this.#newest.get(identity) ?? null;
    file.olderOfIdentity = older;
    if (older !== null) older.newerOfIdentity = file;
    this.#newest.set(identity, file);
  }

  /** Whether a file is open, or about to be, under an identity. */
  hasIdentity(identity: number): boolean {
    return this.#newest.has(identity);
  }

  /** The open files of an identity, newest first. */
  *withIdentity(identity: number): Iterable<OpenFile> {
    for (let file = this.#newest.get(identity) ?? null; file !== null; file = file.olderOfIdentity)
      yield file;
  }

  all(): Iterable<OpenFile> {
    return this.#files.values();
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    assert(this.#files.size <= this.limit, 'no more files are open than the limit allows');
    let identified = 0;
    for (const [handle, file] of this.#files) {
      assert(file.handle === handle && handle <= this.#lastHandle, 'a file is found by its handle');
      assert(file.account !== null, 'every open file is charged to a user');
      if (file.identity !== 0) identified++;
    }
    for (const [identity, newest] of this.#newest) {
      let newer: OpenFile | null = null;
      for (let file: OpenFile | null = newest; file !== null; newer = file, file = file.olderOfIdentity) {
        assert(file.identity === identity, 'files of one identity are on one list');
        assert(file.newerOfIdentity === newer, 'the files of an identity are linked both ways');
        assert(this.#files.get(file.handle) === file, 'a closed file has left the list of its identity');
        identified--;
      }
    }
    assert(identified === 0, 'every file with an identity is found by it');
  }

  /** close(2) of the last descriptor: the handle is gone at once, what the close waits for comes after. */
  *close(file: OpenFile): Operation<number> {
    this.drop(file);
    file.poller?.cancel();
    knotesOfClosedFile(file);
    return yield* file.ops.close(file);
  }
}
