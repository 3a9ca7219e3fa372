import type { Account } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { File } from '../kern/file.ts';
import type { SignalOwner } from '../kern/host.ts';
import { EV_ONESHOT, EVFILT_PROC, EVFILT_SIGNAL, Klist } from '../kern/klist.ts';
import type { WaitChannel } from '../kern/operation.ts';
import { PollQueue } from '../kern/poll.ts';
import { ForeignFile } from './foreign/foreign-file.ts';
import { FILTER_COUNT } from './filters/list.ts';
import type { Ident } from './kevent.ts';
import { type Knote, KnoteStatus } from './knote.ts';
import { KnoteTable } from './knote-table.ts';
import type { KqueueSubsystem } from './subsystem.ts';

/** Bytes of one event record on a 64-bit machine: the block size that stat shows (K3). */
export const KEVENT_SIZE_BYTES = 32;

const S_IFIFO = 0o010000;

/** Pending knotes whose descriptors one stat looks at, and knotes that one step of a table does: some microseconds each. */
const PENDING_LOOK_LIMIT = 256;
const ORPHAN_STEP = 16;

/** What stat says of a kqueue; every other field is 0 (kqueue_stat; K3). */
export interface KqueueStat {
  readonly mode: number;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
}

/**
 * A queue of registrations (struct kqueue). Its pending knotes form a list in the order in which they were queued; each has a
 * sequence number, so that a position in the list is a number too: a scan ends before the first knote that was queued after it
 * began, which is what the original does with a marker in the list (K33, K74).
 */
export class Kqueue {
  readonly subsystem: KqueueSubsystem;
  readonly id: number;
  /** The account of who made it. */
  readonly account: Account;
  /** The process that made it. */
  readonly ownerPid: number;
  /** Collectors sleep here. */
  readonly channel: WaitChannel;
  /** Knotes of other kqueues that watch this one (K6, K7). */
  readonly klist = new Klist();
  readonly pollQueue = new PollQueue();
  /** FIOASYNC and FIOSETOWN (K4, K5). */
  isAsync = false;
  owner: SignalOwner | null = null;
  /** Pending knotes (kq_count). */
  count = 0;
  /** Registered knotes. */
  knoteCount = 0;
  /** Of these, PROC and SIGNAL knotes. */
  #processKnoteCount = 0;
  /** Of these, knotes that watch other kqueues. */
  watchedQueueCount = 0;
  /** Knotes that watch files outside of the mount, by the user whose watcher looks at them. */
  readonly foreignUsers = new Map<number, number>();
  /** What the next knote to be queued gets. */
  nextSequence = 0;
  #first: Knote | null = null;
  #last: Knote | null = null;
  /** Registered knotes, one table a filter. */
  readonly #knotes: (KnoteTable | null)[] = new Array<null>(FILTER_COUNT).fill(null);
  /** Open files, names and calls in progress. The queue ends with the last (K9). */
  #references = 0;
  isTerminated = false;
  /** In the subsystem's list of queues whose watchers are to be looked at. */
  isNotifying = false;

  constructor(subsystem: KqueueSubsystem, id: number, account: Account, ownerPid: number) {
    this.subsystem = subsystem;
    this.id = id;
    this.account = account;
    this.ownerPid = ownerPid;
    this.channel = subsystem.kernel.channel(this);
  }

  hold(): void {
    assert(!this.isTerminated, 'a kqueue that has ended is not used');
    this.#references++;
  }

  release(): void {
    assert(this.#references > 0, 'a reference is given back once');
    this.#references--;
    if (this.#references === 0) this.#terminate();
  }

  get stat(): KqueueStat {
    return { mode: S_IFIFO, sizeBytes: this.count, blockSizeBytes: KEVENT_SIZE_BYTES };
  }

  /** The knote of an ident, and of a file if the ident names one; `file` null takes whichever there is (K39). */
  find(filter: number, ident: Ident, file: File | null): Knote | null {
    return this.#knotes[~filter]?.find(ident, file) ?? null;
  }

  /** Every knote, by filter and in order of registration. Knotes may come and go meanwhile. */
  *knotes(): Iterable<Knote> {
    for (const table of this.#knotes) if (table !== null) yield* table;
  }

  /** Makes a knote findable (knote_attach). */
  insert(knote: Knote): void {
    (this.#knotes[~knote.filter] ??= new KnoteTable()).insert(knote);
    knote.openFile?.addKnote(knote);
    this.knoteCount++;
    if (watchesProcess(knote)) this.#processKnoteCount++;
    this.#countForeign(knote, 1);
  }

  /** Ends a registration: off its object, off the pending queue, forgotten (knote_detach_and_drop; K48). */
  drop(knote: Knote): void {
    if (knote.isDeleted) return;
    knote.filterOps?.detach(knote);
    this.remove(knote);
  }

  /** The part of `drop` for a knote that no filter has taken (knote_drop; K42). */
  remove(knote: Knote): void {
    knote.status |= KnoteStatus.Deleted;
    this.#knotes[~knote.filter]!.remove(knote);
    knote.openFile?.removeKnote(knote);
    if (knote.isQueued) this.dequeue(knote);
    this.knoteCount--;
    if (watchesProcess(knote)) this.#processKnoteCount--;
    this.#countForeign(knote, -1);
    knote.release();
  }

  #countForeign({ openFile }: Knote, change: 1 | -1): void {
    if (!(openFile instanceof ForeignFile)) return;
    const count = (this.foreignUsers.get(openFile.watcherUid) ?? 0) + change;
    if (count === 0) this.foreignUsers.delete(openFile.watcherUid);
    else this.foreignUsers.set(openFile.watcherUid, count);
  }

  /**
   * Puts a knote at the end of the pending queue, and tells those who wait: the SIGIO owner when the queue was empty, one
   * collector or all, pollers, and kqueues that watch this one (knote_enqueue, kqueue_wakeup; K5, K7, K67, K72).
   */
  enqueue(knote: Knote): void {
    this.append(knote);
    if (this.count === 1 && this.isAsync && this.owner !== null) {
      this.subsystem.kernel.host.postSigio(this.owner);
    }
    // Each event has a wake-up of its own, so none is lost however many wait (KB10).
    if (this.subsystem.wakeupOne !== 0) this.channel.wakeupOne();
    else this.channel.wakeup();
    this.pollQueue.wakeup();
    this.subsystem.notifyWatchers(this);
  }

  /** The list part of `enqueue`: what a scan does with a knote that stays pending (K32). */
  append(knote: Knote): void {
    assert(!knote.isQueued, 'a knote is queued once');
    knote.sequence = this.nextSequence++;
    knote.status |= KnoteStatus.Queued;
    knote.previousPending = this.#last;
    knote.nextPending = null;
    if (this.#last === null) this.#first = knote;
    else this.#last.nextPending = knote;
    this.#last = knote;
    this.count++;
  }

  /** Puts back a knote that a scan took but could not deliver, where it was: before everything that is queued. */
  prepend(knote: Knote): void {
    knote.status |= KnoteStatus.Queued;
    knote.nextPending = this.#first;
    knote.previousPending = null;
    if (this.#first === null) this.#last = knote;
    else this.#first.previousPending = knote;
    this.#first = knote;
    this.count++;
  }

  dequeue(knote: Knote): void {
    if (knote.previousPending === null) this.#first = knote.nextPending;
    else knote.previousPending.nextPending = knote.nextPending;
    if (knote.nextPending === null) this.#last = knote.previousPending;
    else knote.nextPending.previousPending = knote.previousPending;
    knote.nextPending = null;
    knote.previousPending = null;
    knote.status &= ~KnoteStatus.Queued;
    this.count--;
  }

  /**
   * Queues what the host's processes did before this moment, so that a caller finds what it has caused itself: to be called before
   * anybody looks at the queue. It costs system calls, and only queues that may hear of processes, directly or through another queue,
   * pay for them.
   */
  catchUp(): void {
    if (this.#processKnoteCount > 0 || this.watchedQueueCount > 0) this.subsystem.processes.catchUp();
  }

  get firstPending(): Knote | null {
    return this.#first;
  }

  /**
   * The first pending knote that would be delivered now. Those before it that are disabled or no longer true leave the queue, as a
   * scan has them leave (K59 to K61), and those whose descriptors are closed go (K55).
   */
  firstDeliverable(): Knote | null {
    for (let knote = this.#first; knote !== null; knote = this.#first) {
      if (knote.isDisabled) {
        this.dequeue(knote);
      } else if ((knote.flags & EV_ONESHOT) !== 0 || knote.filterOps!.event(knote, 0)) {
        if (!knote.isOrphan) return knote;
        this.drop(knote);
      } else {
        this.dequeue(knote);
        knote.status &= ~KnoteStatus.Active;
      }
    }
    return null;
  }

  /**
   * Removes pending knotes whose descriptors are closed, before their number is shown. Only the first ones are looked at, as a stat
   * must not take long.
   */
  dropPendingOrphans(): void {
    let left = PENDING_LOOK_LIMIT;
    for (let knote = this.#first; knote !== null && left > 0; left--) {
      const next: Knote | null = knote.nextPending;
      if (knote.isOrphan) this.drop(knote);
      knote = next;
    }
  }

  /** Removes all knotes whose descriptors are closed, before they are listed. In steps, between which others may come and go. */
  *droppingOrphans(): Generator<undefined, void, undefined> {
    let looked = 0;
    for (const knote of this.knotes()) {
      if (knote.isOrphan) this.drop(knote);
      if (++looked % ORPHAN_STEP === 0) yield;
    }
  }

  /** Removes every knote without an event (kqueue_terminate; K8). */
  #terminate(): void {
    this.isTerminated = true;
    for (const knote of [...this.knotes()]) this.drop(knote);
    this.owner = null;
    this.klist.forEach((watcher) => {
      (watcher as Knote).fileClosed();
    });
    this.subsystem.forget(this);
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    let pending = 0;
    let before: Knote | null = null;
    for (let knote = this.#first; knote !== null; before = knote, knote = knote.nextPending) {
      assert(knote.isQueued && !knote.isDeleted, 'what is pending is registered and says that it is queued');
      assert(knote.previousPending === before, 'the pending queue is linked both ways');
      assert(before === null || before.sequence < knote.sequence, 'the pending queue is in order of arrival');
      pending++;
    }
    assert(this.#last === before, 'the pending queue ends with its last knote');
    assert(pending === this.count, 'the count is the length of the pending queue');
    this.channel.checkInvariants();
    this.klist.checkInvariants();
    assert(this.isTerminated === (this.#references === 0), 'a queue ends with its last reference');
    let registered = 0;
    let processKnotes = 0;
    for (const knote of this.knotes()) {
      if (watchesProcess(knote)) processKnotes++;
      assert(
        knote.kqueue === this && this.find(knote.filter, knote.ident, knote.openFile) === knote,
        'a knote is found by what it is registered under',
      );
      knote.klist?.checkInvariants();
      assert(!knote.isDeleted, 'a deleted knote is not found');
      const ready = (knote.status & (KnoteStatus.Active | KnoteStatus.Disabled)) === KnoteStatus.Active;
      assert(!ready || knote.isQueued, 'an active knote that is not disabled is pending');
      registered++;
    }
    assert(registered === this.knoteCount, 'the number of knotes is right');
    assert(processKnotes === this.#processKnoteCount, 'the number of knotes of processes is right');
  }
}

function watchesProcess({ filter }: Knote): boolean {
  return filter === EVFILT_PROC || filter === EVFILT_SIGNAL;
}
