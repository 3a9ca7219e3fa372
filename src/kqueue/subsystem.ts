import { Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Credentials } from '../kern/credentials.ts';
import type { ForeignHost } from '../kern/foreign.ts';
import type { Kernel } from '../kern/kernel.ts';
import { EVFILT_TIMER } from '../kern/klist.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import { HIGHEST_INT, LOWEST_INT } from '../kern/sysctl.ts';
import { ProcessTable } from './filters/process-table.ts';
import { ForeignFiles } from './foreign/foreign-files.ts';
import type { Kevent } from './kevent.ts';
import { Kqueue } from './kqueue.ts';
import { trackChild } from './register.ts';
import type { IdentResolver } from './resolver.ts';

const DEFAULT_CALLOUT_MAX = 4096;
const DEFAULT_CHECK_LOOP = 1_000_000;

/** What kqueues need from the tree and from the host. */
export interface KqueueEnvironment {
  readonly resolver: IdentResolver;
  /** Null where the host cannot tell of processes: PROC and SIGNAL are EOPNOTSUPP. */
  readonly processEvents: ProcessEvents | null;
  /** Null where the host cannot look at files outside of the mount: their descriptors are EBADF. */
  readonly foreignHost?: ForeignHost | null;
  /** The process of a thread, or the number itself when it is not known. */
  processOf(threadId: number): number;
}

/** Everything that the kqueues of one mount share: tunables, the number of armed timers, watched processes. */
export class KqueueSubsystem {
  readonly kernel: Kernel;
  readonly environment: KqueueEnvironment;
  readonly processes: ProcessTable;
  /** Null where the host cannot look at files outside of the mount. */
  readonly foreign: ForeignFiles | null;
  /** Queues that have not ended. */
  readonly kqueues = new Set<Kqueue>();
  /** Armed timers (kq_ncallouts), and how many there may be (K87). */
  calloutCount = 0;
  calloutMax = DEFAULT_CALLOUT_MAX;
  /** Rounds of one call after which the administrator is told; 0 is never (K36). */
  checkLoop = DEFAULT_CHECK_LOOP;
  /** Whether an event wakes one collector, or all (K72). */
  wakeupOne = 1;
  /** Events that collectors have been given. */
  deliveredEventCount = 0;
  /** Called with each event that a collector is given, while somebody traces. */
  onDelivered: ((event: Kevent) => void) | null = null;
  #lastId = 0;
  readonly #toNotify: Kqueue[] = [];
  #isNotifying = false;

  constructor(kernel: Kernel, environment: KqueueEnvironment) {
    this.kernel = kernel;
    this.environment = environment;
    const { foreignHost = null } = environment;
    this.foreign = foreignHost === null ? null : new ForeignFiles(kernel, foreignHost);
    this.processes = new ProcessTable(environment.processEvents, trackChild);
    this.#registerTunables();
  }

  /** A new kqueue without references: `hold` it. Null when its user may have no more. */
  create(credentials: Credentials): Kqueue | null {
    const account = this.kernel.accounts.of(credentials.uid);
    if (account.charge(Resource.Kqueues) !== 0) return null;
    const ownerPid = this.environment.processOf(credentials.pid);
    const kqueue = new Kqueue(this, ++this.#lastId, account, ownerPid);
    this.kqueues.add(kqueue);
    return kqueue;
  }

  /** For Kqueue, when it ends. */
  forget(kqueue: Kqueue): void {
    kqueue.account.release(Resource.Kqueues);
    this.kqueues.delete(kqueue);
  }

  /**
   * Has the kqueues that watch `kqueue` look again. They may be watched in turn: what one notification causes comes after it, so
   * that a long chain of queues needs no deep stack.
   */
  notifyWatchers(kqueue: Kqueue): void {
    if (kqueue.klist.size === 0 || kqueue.isNotifying) return;
    kqueue.isNotifying = true;
    this.#toNotify.push(kqueue);
    if (this.#isNotifying) return;
    this.#isNotifying = true;
    for (const next of this.#toNotify) {
      next.isNotifying = false;
      next.klist.notify(0);
    }
    this.#toNotify.length = 0;
    this.#isNotifying = false;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    let timers = 0;
    for (const kqueue of this.kqueues) {
      assert(!kqueue.isTerminated, 'a queue that has ended is forgotten');
      kqueue.checkInvariants();
      for (const knote of kqueue.knotes()) if (knote.filter === EVFILT_TIMER) timers++;
    }
    assert(timers === this.calloutCount, 'every timer is counted');
    assert(!this.#isNotifying && this.#toNotify.length === 0, 'a notification reaches every watcher');
    this.processes.checkInvariants();
  }

  #registerTunables(): void {
    const { sysctls } = this.kernel;
    sysctls.register({
      name: 'kern.kq_calloutmax',
      description: 'maximum number of armed timers of all kqueues',
      get: () => this.calloutMax,
      set: (value) => {
        this.calloutMax = value;
        return 0;
      },
      minimum: LOWEST_INT,
      maximum: HIGHEST_INT,
    });
    sysctls.register({
      name: 'kern.kq_checkloop',
      description: 'rounds of a kevent call after which the server logs a warning; 0: never',
      get: () => this.checkLoop,
      set: (value) => {
        this.checkLoop = value;
        return 0;
      },
      minimum: LOWEST_INT,
      maximum: HIGHEST_INT,
    });
    sysctls.register({
      name: 'kern.kq_wakeup_one',
      description: '1: an event wakes one waiter of a kqueue; 0: it wakes all',
      type: 'switch',
      get: () => this.wakeupOne,
      set: (value) => {
        this.wakeupOne = value;
        return 0;
      },
      minimum: LOWEST_INT,
      maximum: HIGHEST_INT,
    });
  }
}
