import { assert } from '../../src/kern/assert.ts';
import type { Timespec } from '../../src/kern/clock.ts';
import type { Credentials } from '../../src/kern/credentials.ts';
import { EBADF, ENOENT, ESRCH } from '../../src/kern/errno.ts';
import { File, knotesOfClosedFile } from '../../src/kern/file.ts';
import { Klist } from '../../src/kern/klist.ts';
import { ProcessEventKind, type ProcessEvents, type ProcessWatcher } from '../../src/kern/process-events.ts';
import type { Operation } from '../../src/kern/operation.ts';
import type { Chooser } from '../../src/kern/scheduler.ts';
import { kevent } from '../../src/kqueue/call.ts';
import { createKqueue, openKqueue, textKqueueOps } from '../../src/kqueue/file.ts';
import type { Vnode } from '../../src/vfs/vnode-filters.ts';
import { handleOf } from '../../src/kqueue/handle.ts';
import { type Change, EV_ADD, Given, type Ident, type Kevent, type Udata } from '../../src/kqueue/kevent.ts';
import type { Kqueue } from '../../src/kqueue/kqueue.ts';
import type { IdentResolver } from '../../src/kqueue/resolver.ts';
import { KqueueSubsystem } from '../../src/kqueue/subsystem.ts';
import { Call, openFlags, user, World } from './engine.ts';
import { checkHandles, type Ledger } from './ledger.ts';

/** Values of a change that are not its key. */
interface ChangeValues {
  fflags?: number;
  data?: number | bigint;
  udata?: Udata;
}

/** A change as a binary record gives it. */
export function change(
  filter: number,
  ident: Ident,
  flags: number = EV_ADD,
  values: ChangeValues = {},
): Change {
  return {
    filter,
    ident,
    flags,
    fflags: values.fflags ?? 0,
    data: values.data ?? 0,
    udata: values.udata ?? 0,
    label: null,
    given: (flags & EV_ADD) !== 0 ? Given.Everything : Given.Nothing,
  };
}

/** Processes that a test starts and ends. 500 is the one that makes the calls. */
export class FakeProcesses implements ProcessEvents {
  readonly alive = new Set([500]);
  /** Ended, but not waited for: the wait status. */
  readonly zombies = new Map<number, number>();
  /** Who watches which process, and for what. */
  readonly watches = new Map<number, { watcher: ProcessWatcher; kinds: number }>();
  /** Processes that cannot be watched: a negative errno. */
  readonly refused = new Map<number, number>();

  watch(pid: number, kinds: number, watcher: ProcessWatcher, _credentials: Credentials): number {
    const refusal = this.refused.get(pid);
    if (refusal !== undefined) return refusal;
    const status = this.zombies.get(pid);
    if (status !== undefined && (kinds & ProcessEventKind.Exit) !== 0) {
      watcher.exited(status);
      return 0;
    }
    if (!this.alive.has(pid)) return -ESRCH;
    const other = this.watches.get(pid)?.watcher ?? watcher;
    assert(other === watcher, 'a process has one watcher');
    this.watches.set(pid, { watcher, kinds });
    return 0;
  }

  /** How often it was asked, and what it has to tell then. */
  catchUps = 0;
  untold: (() => void)[] = [];

  catchUp(): void {
    this.catchUps++;
    for (const tell of this.untold.splice(0)) tell();
  }

  unwatch(pid: number, watcher: ProcessWatcher): void {
    assert(this.watches.get(pid)?.watcher === watcher, 'a watch is ended by its watcher');
    this.watches.delete(pid);
  }

  kindsOf(pid: number): number {
    return this.watches.get(pid)?.kinds ?? 0;
  }

  fork(pid: number, child: number): void {
    this.alive.add(child);
    if ((this.kindsOf(pid) & ProcessEventKind.Fork) !== 0) this.watches.get(pid)!.watcher.forked(child);
  }

  exec(pid: number): void {
    if ((this.kindsOf(pid) & ProcessEventKind.Exec) !== 0) this.watches.get(pid)!.watcher.executed();
  }

  exit(pid: number, status: number): void {
    this.alive.delete(pid);
    const watch = this.watches.get(pid);
    this.watches.delete(pid);
    watch?.watcher.exited(status);
  }

  signal(pid: number, signal: number): void {
    if ((this.kindsOf(pid) & ProcessEventKind.Signal) !== 0) this.watches.get(pid)!.watcher.signalled(signal);
  }
}

/** A plain file of a tree, as its filters see it. */
export class FakeNode implements Vnode {
  readonly klist = new Klist();
  sizeBytes = 0;
  readonly offsets = new Map<File, number>();

  offsetOf(file: File): number {
    return this.offsets.get(file) ?? 0;
  }
}

/** A kevent call in progress, and the records it has got. */
export class KeventCall extends Call {
  readonly events: Kevent[];

  constructor(kernel: World['kernel'], operation: Operation<number>, events: Kevent[]) {
    super(kernel, operation);
    this.events = events;
  }

  get idents(): Ident[] {
    return this.events.map((event) => event.ident);
  }
}

interface KeventOptions {
  changes?: Change[];
  /** Claimed lengths, when they are not those of the lists. */
  changeCount?: number;
  eventCount?: number;
  /** Milliseconds; null waits for ever, 'fault' is unreadable memory. Polls unless it is given. */
  timeout?: number | Timespec | null | 'fault';
  /** Changes from this position on cannot be read. */
  unreadableFrom?: number;
  /** Records cannot be stored while this says so. */
  isUnwritable?: (stored: number) => boolean;
  credentials?: Credentials;
}

/** A World with kqueues: process 500 with a descriptor table, paths, and processes to watch. */
export class KqueueWorld extends World implements IdentResolver {
  readonly kqueues: KqueueSubsystem;
  readonly processes = new FakeProcesses();
  /** Open files by process and number. */
  readonly #descriptors = new Map<number, Map<number, File>>();
  readonly paths = new Map<string, File>();
  /** Processes of threads that are not the first of theirs. */
  readonly threads = new Map<number, number>();
  /** How often the host was asked for the process of a thread. */
  processQuestions = 0;
  #lastDescriptor = 2;
  /** Open files of kqueues. */
  readonly #files = new Set<File>();

  constructor(options: { choose?: Chooser; processEvents?: ProcessEvents | null } = {}) {
    super(options);
    this.kqueues = new KqueueSubsystem(this.kernel, {
      resolver: this,
      processEvents: options.processEvents === undefined ? this.processes : options.processEvents,
      processOf: (thread) => {
        this.processQuestions++;
        return this.threads.get(thread) ?? thread;
      },
    });
  }

  override checkInvariants(): void {
    super.checkInvariants();
    this.kqueues.checkInvariants();
    // Whether a call on a file sleeps is not known here.
    checkHandles(this.#files, () => this.kernel.scheduler.sleepingCount > 0);
  }

  protected override addTo(ledger: Ledger): void {
    super.addTo(ledger);
    ledger.addKqueues(this.kqueues);
    ledger.addFiles(this.#files, { areCounted: false });
  }

  resolve(
    _kqueue: Kqueue | null,
    ident: number | string,
    _filter: number,
    credentials: Credentials,
  ): File | number {
    if (typeof ident === 'string') return this.paths.get(ident) ?? -ENOENT;
    return this.#descriptors.get(credentials.pid)?.get(ident) ?? -EBADF;
  }

  *decide(): Operation<void> {
    // Tests that need it replace it.
  }

  isOpen(pid: number, descriptor: number, file: File): boolean {
    return this.resolve(null, descriptor, 0, { ...user, pid }) === file;
  }

  /** Gives an open file a number in process 500 (or another). */
  descriptor(file: File, pid = user.pid, number = ++this.#lastDescriptor): number {
    const table = this.#descriptors.get(pid) ?? new Map<number, File>();
    this.#descriptors.set(pid, table.set(number, file));
    return number;
  }

  /** close(2): the file is closed with its last number. */
  closeDescriptor(number: number, pid = user.pid): void {
    const table = this.#descriptors.get(pid)!;
    const file = table.get(number)!;
    table.delete(number);
    if (![...this.#descriptors.values()].some((other) => [...other.values()].includes(file))) {
      this.closeFile(file);
    }
  }

  closeFile(file: File): void {
    knotesOfClosedFile(file);
    assert(this.close(file).result === 0, 'a close succeeds');
  }

  /** kqueue(2) that succeeds. */
  kqueue(credentials = user): File {
    const file = createKqueue(this.kqueues, { allocate: () => 3 }, credentials);
    assert(typeof file !== 'number', 'kqueue succeeds');
    this.#files.add(file);
    return file;
  }

  /** An open text file of a new kqueue, or of one that is given. */
  textFile(mode = 'rwn', kqueue: Kqueue | null = null, credentials = user): File {
    const file = new File(openFlags(mode), textKqueueOps, credentials);
    openKqueue(file, kqueue ?? this.kqueues.create(credentials)!, textKqueueOps);
    this.#files.add(file);
    return file;
  }

  startKevent(file: File | null, options: KeventOptions = {}): KeventCall {
    return this.startCall(this.keventCall(file, options));
  }

  /** A kevent call that has not begun: `spawn` its operation, or start it. */
  keventCall(file: File | null, options: KeventOptions = {}): KeventCall {
    const { changes = [], eventCount = 64, timeout = 0 } = options;
    const events: Kevent[] = [];
    let read = 0;
    const operation = kevent(
      file,
      {
        changes: {
          read: (count) => {
            read += count;
            return read > (options.unreadableFrom ?? Infinity) ? null : changes.slice(read - count, read);
          },
        },
        changeCount: options.changeCount ?? changes.length,
        eventCount,
        storeEvents: (batch) => {
          if (options.isUnwritable?.(events.length) === true) return false;
          events.push(...batch.map((event) => ({ ...event })));
          return true;
        },
        timeout:
          timeout === null
            ? null
            : () => {
                if (timeout === 'fault') return null;
                return typeof timeout === 'number' ? timespec(timeout) : timeout;
              },
      },
      options.credentials ?? user,
    );
    return new KeventCall(this.kernel, operation, events);
  }

  /** Applies changes in a call that has no room for events: 0 or a negative errno. */
  apply(file: File, ...changes: Change[]): number {
    return this.startKevent(file, { changes, eventCount: 0 }).result!;
  }

  /** Applies changes that must succeed. */
  must(file: File, ...changes: Change[]): void {
    const result = this.apply(file, ...changes);
    assert(result === 0, `the changes are accepted, not ${result}`);
  }

  /** What is pending now. */
  collect(file: File, eventCount = 64): Kevent[] {
    const call = this.startKevent(file, { eventCount });
    assert(call.result === call.events.length, `collecting does not end with ${call.result}`);
    return call.events;
  }

  idents(file: File, eventCount = 64): Ident[] {
    return this.collect(file, eventCount).map((event) => event.ident);
  }

  /** Lets time pass, and everything run that is due. */
  advance(ms: number): void {
    this.host.clock.advance(ms);
    this.kernel.callouts.runExpired();
    this.kernel.scheduler.run();
  }

  startCall<C extends Call>(call: C): C {
    this.kernel.scheduler.start(call.thread);
    this.kernel.scheduler.run();
    return call;
  }
}

export function kqueueOf(file: File): Kqueue {
  return handleOf(file)!.kqueue;
}

function timespec(ms: number): Timespec {
  return { seconds: Math.floor(ms / 1000), nanoseconds: Math.round((ms % 1000) * 1_000_000) };
}
