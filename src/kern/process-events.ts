import type { Credentials } from './credentials.ts';

/** Kinds of events that can be asked for of a process. */
export const ProcessEventKind = { Exit: 0x1, Fork: 0x2, Exec: 0x4, Signal: 0x8 } as const;

/** Who hears what happens to one process. */
export interface ProcessWatcher {
  /** `child` can be watched from within this call, even if it has ended since: its end is told then. */
  forked(child: number): void;
  executed(): void;
  /** The wait status. Told to every watcher whatever it asked for, once, and the last that it hears: the watch has ended. */
  exited(status: number): void;
  /** A signal was sent to the process, whatever becomes of it. */
  signalled(signal: number): void;
}

/**
 * Events of the host's processes. Costs nothing while nobody watches. Watchers are called between operations, or from within
 * `watch` and `catchUp`.
 */
export interface ProcessEvents {
  /**
   * Tells `watcher` of these kinds of events of `pid` from now on; called again for the same pair, it changes the kinds. 0, or a
   * negative errno with everything as it was: ESRCH when there is no such process or `credentials` cannot see it, EOPNOTSUPP
   * when the host cannot tell one of the kinds. A process that has ended but was not waited for is found when Exit is asked for,
   * and its end is told at once; otherwise it is ESRCH (K100).
   */
  watch(pid: number, kinds: number, watcher: ProcessWatcher, credentials: Credentials): number;
  /**
   * Tells the watchers of everything that happened before this call. Without it they hear of it soon, but a caller who has sent a
   * signal or waited for a child may ask before they have.
   */
  catchUp(): void;
  /** Ends a watch that has not ended by itself. */
  unwatch(pid: number, watcher: ProcessWatcher): void;
}
