import { type Account, Resource } from '../../kern/accounting.ts';
import { EBADF, ENOTTY } from '../../kern/errno.ts';
import { File, type FileKnote, type FileOps, FREAD, FWRITE } from '../../kern/file.ts';
import type { ForeignDescription, ForeignState } from '../../kern/foreign.ts';
import { Klist } from '../../kern/klist.ts';
import { rootCredentials } from '../../kern/credentials.ts';
import { foreignKqfilter } from './foreign-filters.ts';

/** Nobody reads or writes through the server: the process that has the file does. */
const watchedOps: FileOps = {
  *read() {
    return -EBADF;
  },
  *write() {
    return -EBADF;
  },
  ioctl: () => -ENOTTY,
  poll: () => 0,
  kqfilter: (file, knote) => foreignKqfilter(file as ForeignFile, knote),
  *close() {
    return 0;
  },
};

/** A file outside of the mount that knotes watch: an open file of a process, or what a path leads to. */
export class ForeignFile extends File {
  /** Its number with the host. */
  readonly number: number;
  /** The process whose descriptor it is; 0 for a path. */
  readonly holderPid: number;
  readonly isNode: boolean;
  /** Who is charged for it. */
  readonly payer: Account;
  /** Whose watcher looks at it. */
  readonly watcherUid: number;
  readonly klist = new Klist();
  /** As it was looked at last. */
  state: ForeignState;
  /** The tick of ForeignFiles at which `state` was true. */
  lookedAt = 0;
  /** Answers that have described it. */
  descriptionCount = 0;
  /** Its descriptor has been closed. */
  isGone = false;
  #users = 0;
  readonly #unused: (file: ForeignFile) => void;

  /** `unused` is called when nobody uses the file any more. */
  constructor(
    description: ForeignDescription,
    account: Account,
    watcherUid: number,
    unused: (file: ForeignFile) => void,
  ) {
    const { isReadable, isWritable } = description;
    super((isReadable ? FREAD : 0) | (isWritable ? FWRITE : 0), watchedOps, rootCredentials);
    this.number = description.file;
    this.holderPid = description.holderPid;
    this.isNode = description.isNode;
    this.state = description.state;
    this.payer = account;
    this.watcherUid = watcherUid;
    this.#unused = unused;
  }

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** A change is about to be applied to it. */
  use(): void {
    this.#users++;
  }

  unuse(): void {
    this.#users--;
    if (this.#users > 0) return;
    this.payer.release(Resource.ForeignFiles);
    this.#unused(this);
  }

  override addKnote(knote: FileKnote): void {
    super.addKnote(knote);
    this.use();
  }

  override removeKnote(knote: FileKnote): void {
    super.removeKnote(knote);
    this.unuse();
  }
}
