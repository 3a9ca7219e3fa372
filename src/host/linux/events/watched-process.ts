import { ProcessEventKind, type ProcessWatcher } from '../../../kern/process-events.ts';
import type { Pidfd } from './pidfd.ts';

/** What one watcher wants of one process. */
export class Watch {
  kinds = 0;
  /** For each kind when it was asked for: what happened before, but is told only now, is not meant. */
  readonly #sinceNs = new Map<number, number>();

  change(kinds: number, nowNs: number): void {
    for (const kind of Object.values(ProcessEventKind)) {
      if ((kinds & ~this.kinds & kind) !== 0) this.#sinceNs.set(kind, nowNs);
    }
    this.kinds = kinds;
  }

  wants(kind: number, timeNs: number): boolean {
    return (this.kinds & kind) !== 0 && timeNs >= this.#sinceNs.get(kind)!;
  }
}

/** A process that somebody watches. */
export class WatchedProcess {
  readonly pid: number;
  /** Null when it was gone before it could be seen. */
  readonly identity: number | null;
  readonly watches = new Map<ProcessWatcher, Watch>();
  /** Says whether the process has ended; null where nobody asks that, or descriptors are scarce. */
  pidfd: Pidfd | null = null;
  /** The pidfd tells of the end, since the connector does not, or not precisely. */
  isAwaited = false;
  /** What the connector said of the first thread's end; null before it did. */
  leaderStatus: number | null = null;

  constructor(pid: number, identity: number | null) {
    this.pid = pid;
    this.identity = identity;
  }

  wants(kind: number): boolean {
    for (const watch of this.watches.values()) if ((watch.kinds & kind) !== 0) return true;
    return false;
  }

  tell(kind: number, timeNs: number, call: (watcher: ProcessWatcher) => void): void {
    for (const [watcher, watch] of [...this.watches]) {
      // A watcher may end the watch of another.
      if (this.watches.get(watcher) === watch && watch.wants(kind, timeNs)) call(watcher);
    }
  }
}
