import type { Credentials } from '../../../kern/credentials.ts';
import { EPERM, ESRCH } from '../../../kern/errno.ts';
import { ProcessEventKind, type ProcessEvents, type ProcessWatcher } from '../../../kern/process-events.ts';
import type { PollSources } from '../../poll-sources.ts';
import { Pidfd } from './pidfd.ts';
import { PollSet } from '../io/poll-set.ts';
import { ProcessConnector } from './process-connector.ts';
import {
  canSee,
  maySignal,
  processIdentity,
  processState,
  processStatus,
  zombieStatus,
} from '../processes/processes.ts';
import { SignalEvents } from './signal-events.ts';
import { Watch, WatchedProcess } from './watched-process.ts';

/** Forks and execs are heard through the connector only. */
const CONNECTOR_KINDS = ProcessEventKind.Fork | ProcessEventKind.Exec;
/** Who asks for one of these hears of the end. */
const LIFE_KINDS = CONNECTOR_KINDS | ProcessEventKind.Exit;

/** The connector is told of an end within microseconds, or within milliseconds where others take the processor. */
const LATE_END_MS = 20;

/** Whether the first thread of a process has ended, or has been waited for. */
function hasLeaderEnded({ pid, identity }: WatchedProcess): boolean {
  return processIdentity(pid) !== identity || processState(pid)?.isZombie !== false;
}

/**
 * Whether the user may watch the process: 0, -ESRCH when it is hidden from him, or -EPERM when he wants to count its signals and could
 * not send it any.
 */
function checkWatcher(pid: number, kinds: number, credentials: Credentials): number {
  if (credentials.uid === 0) return 0;
  const status = processStatus(pid);
  if (status === null || !canSee(credentials, status)) return -ESRCH;
  return (kinds & ProcessEventKind.Signal) !== 0 && !maySignal(credentials.uid, status) ? -EPERM : 0;
}

function monotonicNs(): number {
  return Number(process.hrtime.bigint());
}

/**
 * Events of Linux processes: of all kinds for root; exits, and on newer kernels forks and execs, for everybody. Sockets, pidfds
 * and the tracefs instance exist only while somebody watches what they tell of.
 */
export class LinuxProcessEvents implements ProcessEvents {
  readonly #sources: PollSources;
  readonly #processes = new Map<number, WatchedProcess>();
  #connector: ProcessConnector | null = null;
  #signals: SignalEvents | null = null;
  /** The pidfds of all watched processes, for `catchUp`. */
  readonly #pidfds = new PollSet([]);
  /** The child that watchers are being told of, and when it came to be. */
  #newChild: { readonly pid: number; readonly timeNs: number } | null = null;

  constructor(sources: PollSources) {
    this.#sources = sources;
  }

  watch(pid: number, kinds: number, watcher: ProcessWatcher, credentials: Credentials): number {
    const error = this.#watch(pid, kinds, watcher, credentials);
    this.#release();
    return error;
  }

  catchUp(): void {
    const nowNs = monotonicNs();
    this.#connector?.catchUp(nowNs);
    this.#signals?.catchUp(nowNs);
    // Linux lets a parent's waitpid return before it tells the connector of the end.
    if (this.#pidfds.size > 0) this.#pidfds.wait(0);
  }

  unwatch(pid: number, watcher: ProcessWatcher): void {
    const watched = this.#processes.get(pid);
    if (watched?.watches.delete(watcher) !== true) return;
    if (watched.watches.size === 0) this.#forget(watched);
    this.#release();
  }

  /** Ends all watches, without a word to the watchers. */
  close(): void {
    for (const watched of [...this.#processes.values()]) this.#forget(watched);
    this.#release();
  }

  #watch(pid: number, kinds: number, watcher: ProcessWatcher, credentials: Credentials): number {
    // Before the process is looked for: what happens to it from then on is heard.
    const connected = this.#openConnector();
    const isNewChild = this.#newChild?.pid === pid;
    const nowNs = isNewChild ? this.#newChild!.timeNs : monotonicNs();
    const refused = isNewChild ? 0 : checkWatcher(pid, kinds, credentials);
    if (refused !== 0) return refused;
    const existing = this.#processes.get(pid);
    let watch = existing?.watches.get(watcher);
    if (watch !== undefined) {
      const error = this.#provide(kinds & ~watch.kinds, connected);
      if (error !== 0) return error;
      watch.change(kinds, nowNs);
      this.#makeExact(existing!, kinds);
      return 0;
    }
    const identity = processIdentity(pid);
    const state = processState(pid);
    const zombie = state?.isZombie === true && state.threadCount <= 1 ? zombieStatus(pid) : null;
    if (!isNewChild) {
      if (identity === null || state === null || processStatus(pid)?.tgid !== pid) return -ESRCH;
      if (zombie !== null && (kinds & ProcessEventKind.Exit) === 0) return -ESRCH;
    }
    const provided = this.#provide(kinds, connected);
    if (provided !== 0) return provided;
    if (zombie !== null && !isNewChild) {
      watcher.exited(zombie);
      return 0;
    }
    const watched = existing ?? new WatchedProcess(pid, identity);
    // The connector tells of the end after it has made a zombie.
    const isHeardOf = this.#connector !== null && (isNewChild || state?.isZombie === false);
    if (!isHeardOf) {
      const error = this.#await(watched);
      if (error !== 0) return error;
    }
    this.#makeExact(watched, kinds);
    watch = new Watch();
    watch.change(kinds, nowNs);
    watched.watches.set(watcher, watch);
    this.#processes.set(pid, watched);
    return 0;
  }

  /** Makes sure that these kinds can be told, `connected` being what `openConnector` said; 0 or a negative errno. */
  #provide(kinds: number, connected: number): number {
    if ((kinds & CONNECTOR_KINDS) !== 0 && this.#connector === null) return connected;
    if ((kinds & ProcessEventKind.Signal) !== 0 && this.#signals === null) {
      const signals = SignalEvents.open(this.#signalled);
      if (typeof signals === 'number') return signals;
      this.#signals = signals;
      this.#sources.add(signals);
    }
    return 0;
  }

  /** 0 or a negative errno. */
  #openConnector(): number {
    if (this.#connector !== null) return 0;
    const connector = ProcessConnector.open(this.#listener);
    if (typeof connector === 'number') return connector;
    this.#connector = connector;
    this.#sources.add(connector);
    return 0;
  }

  /** Waits for the end of all threads; 0 or a negative errno. */
  #await(watched: WatchedProcess): number {
    if (watched.isAwaited) return 0;
    if (watched.pidfd === null) {
      const pidfd = Pidfd.open(watched.pid, this.#allEnded(watched));
      if (typeof pidfd === 'number') return pidfd;
      watched.pidfd = pidfd;
      this.#pidfds.add(pidfd);
    }
    watched.isAwaited = true;
    this.#sources.add(watched.pidfd);
    return 0;
  }

  /** Lets `catchUp` see the end, if somebody asks for it and there are descriptors. */
  #makeExact(watched: WatchedProcess, kinds: number): void {
    if ((kinds & LIFE_KINDS) === 0 || watched.pidfd !== null) return;
    watched.pidfd = Pidfd.openSpare(watched.pid, this.#allEnded(watched));
    if (watched.pidfd !== null) this.#pidfds.add(watched.pidfd);
  }

  /** What to do when a pidfd says that all threads have ended; `status` is null when it cannot tell. */
  #allEnded(watched: WatchedProcess): (status: number | null) => void {
    return (status) => {
      // What the process did before its end is heard before its end, and the end itself may be told meanwhile.
      this.#connector?.catchUp(monotonicNs());
      const untilMs = performance.now() + LATE_END_MS;
      while (status === null && this.#isOpen(watched) && watched.leaderStatus === null) {
        const leftMs = Math.ceil(untilMs - performance.now());
        if (leftMs <= 0 || this.#connector === null) break;
        this.#connector.wait(leftMs);
      }
      if (this.#isOpen(watched)) this.#end(watched, status ?? watched.leaderStatus ?? 0);
    };
  }

  #isOpen(watched: WatchedProcess): boolean {
    return this.#processes.get(watched.pid) === watched;
  }

  readonly #listener = {
    forked: (parent: number, child: number, timeNs: number): void => {
      const watched = this.#processes.get(parent);
      if (watched === undefined) return;
      this.#newChild = { pid: child, timeNs };
      try {
        watched.tell(ProcessEventKind.Fork, timeNs, (watcher) => {
          watcher.forked(child);
        });
      } finally {
        this.#newChild = null;
        this.#release();
      }
    },

    executed: (pid: number, timeNs: number): void => {
      this.#processes.get(pid)?.tell(ProcessEventKind.Exec, timeNs, (watcher) => {
        watcher.executed();
      });
    },

    leaderExited: (pid: number, status: number): void => {
      const watched = this.#processes.get(pid);
      if (watched === undefined) return;
      watched.leaderStatus = status;
      if (!watched.isAwaited) this.#leaderExited(watched);
    },

    lost: (): void => {
      for (const watched of [...this.#processes.values()]) {
        if (!watched.isAwaited && hasLeaderEnded(watched)) this.#awaitLast(watched);
      }
    },
  };

  /** The first thread has ended: the process has if it was the last, and otherwise when the last one does. */
  #leaderExited(watched: WatchedProcess): void {
    // When another thread calls exec, it takes the place of the first, and the process goes on.
    if (!hasLeaderEnded(watched)) return;
    const isSame = processIdentity(watched.pid) === watched.identity;
    if (isSame && (processState(watched.pid)?.threadCount ?? 0) > 1) this.#awaitLast(watched);
    else this.#end(watched, watched.leaderStatus ?? 0);
  }

  #awaitLast(watched: WatchedProcess): void {
    if (this.#await(watched) !== 0) this.#end(watched, watched.leaderStatus ?? 0);
  }

  #end(watched: WatchedProcess, status: number): void {
    // What was sent to it before its end is heard before its end.
    if (watched.wants(ProcessEventKind.Signal)) this.#signals?.readable();
    if (!this.#isOpen(watched)) return;
    this.#forget(watched);
    for (const watcher of [...watched.watches.keys()]) {
      if (watched.watches.delete(watcher)) watcher.exited(status);
    }
    this.#release();
  }

  readonly #signalled = (pid: number, signal: number, timeNs: number): void => {
    this.#processes.get(pid)?.tell(ProcessEventKind.Signal, timeNs, (watcher) => {
      watcher.signalled(signal);
    });
  };

  #forget(watched: WatchedProcess): void {
    this.#processes.delete(watched.pid);
    if (watched.pidfd === null) return;
    this.#pidfds.remove(watched.pidfd);
    if (watched.isAwaited) this.#sources.remove(watched.pidfd);
    watched.isAwaited = false;
    watched.pidfd.close();
    watched.pidfd = null;
  }

  /** Closes what nobody needs any more. */
  #release(): void {
    // What follows in the connector's queue may be about the child, if somebody is about to watch it.
    if (this.#newChild !== null) return;
    if (this.#signals !== null && !this.#isWanted(ProcessEventKind.Signal)) {
      this.#sources.remove(this.#signals);
      this.#signals.close();
      this.#signals = null;
    }
    if (this.#connector !== null && this.#processes.size === 0) {
      this.#sources.remove(this.#connector);
      this.#connector.close();
      this.#connector = null;
    }
  }

  #isWanted(kind: number): boolean {
    for (const watched of this.#processes.values()) if (watched.wants(kind)) return true;
    return false;
  }
}

/** What could be watched by this process now, found out by trying. */
export function availableEvents(): { readonly hearsForks: boolean; readonly hearsSignals: boolean } {
  const nobody = { forked: ignore, executed: ignore, leaderExited: ignore, lost: ignore };
  const connector = ProcessConnector.open(nobody);
  if (typeof connector !== 'number') connector.close();
  const signals = SignalEvents.open(ignore);
  if (typeof signals !== 'number') signals.close();
  return { hearsForks: typeof connector !== 'number', hearsSignals: typeof signals !== 'number' };
}

function ignore(): void {
  // Only whether it could be heard matters.
}
