import { startThread } from '../../host/start-thread.ts';
import type { MountPoint } from '../tables/mount-calls.ts';
import type { Deadlock } from './wait-graph.ts';

/** A look takes some milliseconds, and a second where thousands of processes have to be looked at; half a second of looks goes into a doubt. */
const LOOK_TIMEOUT_MS = 2000;

export interface DeadlockLook {
  /** Null when they could not be found out in time. */
  readonly deadlocks: readonly Deadlock[] | null;
  /** The look goes on: Node would wait for it, so the process has to end with `exitNow`. */
  readonly isHanging: boolean;
}

/**
 * The deadlocks of a mount at this moment. Reading of a process in /proc can wait for that process for ever (an execve that closes a file of a
 * file system which does not answer): a thread does it, which is left behind then.
 */
export function findDeadlocksInTime(mount: MountPoint): Promise<DeadlockLook> {
  const worker = startThread(new URL('./look-worker.js', import.meta.url), mount);
  let deadlocks: readonly Deadlock[] | null = null;
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      worker.unref();
      resolve({ deadlocks, isHanging: true });
    }, LOOK_TIMEOUT_MS);
    worker.on('message', (surest: readonly Deadlock[]) => (deadlocks = surest));
    // The mount has ended, say: who reads its tables hears of it.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      clearTimeout(timer);
      resolve({ deadlocks, isHanging: false });
    });
  });
}
