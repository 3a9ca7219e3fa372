import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { File, FileKnote } from '../kern/file.ts';
import type { FilterOps, Klist, Knote as ListedKnote } from '../kern/klist.ts';
import { ForeignFile } from './foreign/foreign-file.ts';
import type { Change, Ident, Udata } from './kevent.ts';
import type { Kqueue } from './kqueue.ts';

/** What a filter of the queue's own can do besides. */
export interface QueueFilterOps extends FilterOps {
  /** A change has replaced the knote's fflags, which were these; 0, or a negative errno that takes the change back. */
  modified?(knote: Knote, oldFflags: number): number;
  /** An event of the knote, which stays registered, has been stored. */
  delivered?(knote: Knote): void;
}

/** Bits of `status`. */
export const KnoteStatus = {
  /** The filter has said that the condition holds. */
  Active: 0x01,
  /** On the pending queue. */
  Queued: 0x02,
  /** By EV_DISABLE, or by the delivery of an EV_DISPATCH knote. */
  Disabled: 0x04,
  /** Its process is gone. */
  Detached: 0x08,
  /** No longer registered. */
  Deleted: 0x10,
} as const;

/**
 * One registration (struct knote), found by its queue under (filter, ident), and under the file for idents that name one.
 * There can be a million of them: it is on every list through its own fields.
 */
export class Knote implements ListedKnote, FileKnote {
  readonly kqueue: Kqueue;
  /** Who registered it, and is charged for it. */
  readonly account: Account;
  readonly filter: number;
  readonly ident: Ident;
  readonly label: string | null;
  readonly #file: File | null;
  flags: number;
  fflags = 0;
  data: number | bigint = 0;
  /** What the registration asked for (kn_sfflags, kn_sdata). */
  savedFflags: number;
  savedData: number | bigint;
  udata: Udata = 0;
  #textBytes = 0;
  /** The process whose descriptor the ident is; 0 when it is none. */
  holderPid = 0;
  status = 0;
  filterOps: QueueFilterOps | null = null;
  hook: unknown = null;
  /** Place in the order of the pending queue, given when it was queued. */
  sequence = 0;
  nextPending: Knote | null = null;
  previousPending: Knote | null = null;
  klist: Klist | null = null;
  newer: ListedKnote | null = null;
  older: ListedKnote | null = null;
  nextOfFile: FileKnote | null = null;
  previousOfFile: FileKnote | null = null;

  constructor(kqueue: Kqueue, change: Change, file: File | null, account: Account) {
    this.kqueue = kqueue;
    this.account = account;
    this.filter = change.filter;
    this.ident = change.ident;
    this.label = change.label;
    this.#file = file;
    this.flags = change.flags;
    this.savedFflags = change.fflags;
    this.savedData = change.data;
  }

  /** Charges for a path and the longer of two tokens, the present one and `udata`, so that either can be set: 0 or a negative errno. */
  reserve(udata: Udata): number {
    return this.#charge(Math.max(lengthOf(udata), lengthOf(this.udata)));
  }

  /** Takes a token for which `reserve` has made room, and gives back what it does not need. */
  setUdata(udata: Udata): void {
    this.udata = udata;
    this.#charge(lengthOf(udata));
  }

  #charge(udataBytes: number): number {
    const textBytes = lengthOf(this.ident) + udataBytes;
    if (textBytes === this.#textBytes) return 0;
    const error = this.account.recharge(Resource.HeldBytes, this.#textBytes, textBytes);
    if (error === 0) this.#textBytes = textBytes;
    return error;
  }

  /** Bytes of path and token that are charged for. */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** Gives back what was charged for the registration, which has ended. */
  release(): void {
    this.account.release(Resource.Knotes);
    if (this.#textBytes > 0) this.account.release(Resource.HeldBytes, this.#textBytes);
    this.#textBytes = 0;
  }

  get file(): File {
    assert(this.#file !== null, 'filters of files have knotes with files');
    return this.#file;
  }

  get openFile(): File | null {
    return this.#file;
  }

  get isQueued(): boolean {
    return (this.status & KnoteStatus.Queued) !== 0;
  }

  get isDisabled(): boolean {
    return (this.status & KnoteStatus.Disabled) !== 0;
  }

  get isDeleted(): boolean {
    return (this.status & KnoteStatus.Deleted) !== 0;
  }

  /** Whether the descriptor that the knote was registered under has been closed, although the file is open elsewhere (K55). */
  get isOrphan(): boolean {
    if (this.#file instanceof ForeignFile) return this.#file.isGone;
    if (this.holderPid === 0) return false;
    const { resolver } = this.kqueue.subsystem.environment;
    return !resolver.isOpen(this.holderPid, this.ident as number, this.file);
  }

  /** The filter said that the condition holds (KNOTE_ACTIVATE; K43, K53). */
  activate(): void {
    if ((this.status & KnoteStatus.Deleted) !== 0) return;
    this.status |= KnoteStatus.Active;
    if ((this.status & (KnoteStatus.Queued | KnoteStatus.Disabled)) === 0) this.kqueue.enqueue(this);
  }

  /** Runs the filter, and activates the knote if it says so. */
  evaluate(): void {
    if (this.filterOps!.event(this, 0)) this.activate();
  }

  fileClosed(): void {
    this.kqueue.drop(this);
  }
}

/** Bytes that a word takes beyond the knote: numbers are part of it. */
function lengthOf(word: Ident | Udata): number {
  return typeof word === 'string' ? word.length : 0;
}
