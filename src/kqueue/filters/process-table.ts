import { assert } from '../../kern/assert.ts';
import { type Credentials, rootCredentials } from '../../kern/credentials.ts';
import { EOPNOTSUPP } from '../../kern/errno.ts';
import { Klist } from '../../kern/klist.ts';
import { ProcessEventKind, type ProcessEvents, type ProcessWatcher } from '../../kern/process-events.ts';
import { NOTE_EXEC, NOTE_EXIT, NOTE_FORK } from '../kevent.ts';
import type { Knote } from '../knote.ts';

/** Hint for SIGNAL knotes, with the number in the bits below. */
export const NOTE_SIGNAL = 0x0800_0000;
export const SIGNAL_NUMBER_MASK = 0x0000_ffff;

const allKinds = Object.values(ProcessEventKind);

/** A process that knotes watch: the host's events become hints. */
export class WatchedProcess implements ProcessWatcher {
  readonly #table: ProcessTable;
  readonly pid: number;
  readonly klist = new Klist();
  readonly signalKlist = new Klist();
  /** Knotes that ask for each kind of event. */
  readonly #askers = new Map<number, number>();
  /** The child that the current fork hint is about, and the status that the exit hint is about. */
  forkedChild = 0;
  exitStatus = 0;
  isGone = false;

  constructor(table: ProcessTable, pid: number) {
    this.#table = table;
    this.pid = pid;
  }

  get isUnused(): boolean {
    return this.klist.size === 0 && this.signalKlist.size === 0;
  }

  /** Kinds of events that somebody asks for. */
  get kinds(): number {
    let kinds = 0;
    for (const [kind, count] of this.#askers) if (count > 0) kinds |= kind;
    return kinds;
  }

  count(kinds: number, change: 1 | -1): void {
    for (const kind of allKinds) {
      if ((kinds & kind) !== 0) this.#askers.set(kind, (this.#askers.get(kind) ?? 0) + change);
    }
  }

  /** Repeats the invariants; ProcessTable.checkInvariants calls it. */
  checkInvariants(): void {
    this.klist.checkInvariants();
    this.signalKlist.checkInvariants();
    for (const [kind, count] of this.#askers) {
      const isSignal = kind === ProcessEventKind.Signal;
      assert(count >= 0, 'who asks for events of a process is counted once');
      assert(!isSignal || count === this.signalKlist.size, 'every SIGNAL knote asks for signals');
      assert(isSignal || count <= this.klist.size, 'only knotes of a process ask for its events');
    }
  }

  forked(child: number): void {
    this.forkedChild = child;
    this.klist.notify(NOTE_FORK);
  }

  executed(): void {
    this.klist.notify(NOTE_EXEC);
  }

  exited(status: number): void {
    if (this.isGone) return;
    this.isGone = true;
    this.exitStatus = status;
    this.#table.gone(this);
    this.klist.notify(NOTE_EXIT);
    this.signalKlist.forEach((knote) => {
      this.signalKlist.remove(knote);
    });
  }

  signalled(signal: number): void {
    this.signalKlist.notify(NOTE_SIGNAL | (signal & SIGNAL_NUMBER_MASK));
  }
}

/** The processes that knotes watch. The host is asked for exactly what they want, and for nothing when there are none. */
export class ProcessTable {
  readonly #events: ProcessEvents | null;
  readonly #processes = new Map<number, WatchedProcess>();
  /** Registers a like knote for the child of a tracked process; 0 or a negative errno. */
  readonly track: (parent: Knote, child: number) => number;

  constructor(events: ProcessEvents | null, track: (parent: Knote, child: number) => number) {
    this.#events = events;
    this.track = track;
  }

  get size(): number {
    return this.#processes.size;
  }

  /**
   * Puts the knote on the list of a process, and has the host tell of these kinds of events. 0 or a negative errno. An exit may be
   * told from within.
   */
  attach(knote: Knote, pid: number, kinds: number, credentials: Credentials): number {
    if (this.#events === null) return -EOPNOTSUPP;
    let process = this.#processes.get(pid);
    if (process === undefined) {
      process = new WatchedProcess(this, pid);
      this.#processes.set(pid, process);
    }
    const list = (kinds & ProcessEventKind.Signal) !== 0 ? process.signalKlist : process.klist;
    knote.hook = process;
    list.add(knote);
    process.count(kinds, 1);
    const error = this.#events.watch(pid, process.kinds, process, credentials);
    if (error === 0) return 0;
    list.remove(knote);
    process.count(kinds, -1);
    if (process.isUnused) this.#processes.delete(pid);
    return error;
  }

  /** Has the host tell of everything that happened until now; nothing is asked while nobody watches. */
  catchUp(): void {
    if (this.#processes.size > 0) this.#events!.catchUp();
  }

  /** Takes the knote off, and has the host tell only of what others still ask for. */
  detach(knote: Knote, kinds: number): void {
    const process = knote.hook as WatchedProcess;
    knote.klist?.remove(knote);
    if (process.isGone) return;
    const before = process.kinds;
    process.count(kinds, -1);
    if (process.isUnused) {
      this.#processes.delete(process.pid);
      this.#events!.unwatch(process.pid, process);
    } else if (process.kinds !== before) {
      this.#events!.watch(process.pid, process.kinds, process, rootCredentials);
    }
  }

  /** A knote asks for other kinds than before; 0, or a negative errno with everything as it was. */
  change(process: WatchedProcess, oldKinds: number, newKinds: number): number {
    const before = process.kinds;
    process.count(newKinds, 1);
    process.count(oldKinds, -1);
    if (process.kinds === before || process.isGone) return 0;
    const error = this.#events!.watch(process.pid, process.kinds, process, rootCredentials);
    if (error !== 0) {
      process.count(oldKinds, 1);
      process.count(newKinds, -1);
    }
    return error;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const [pid, process] of this.#processes) {
      assert(process.pid === pid && !process.isGone, 'a process that has ended is not watched');
      assert(!process.isUnused, 'a process that no knote names is not watched');
      process.checkInvariants();
    }
  }

  /** For WatchedProcess: its number may be given to another process from now on. */
  gone(process: WatchedProcess): void {
    this.#processes.delete(process.pid);
  }
}
