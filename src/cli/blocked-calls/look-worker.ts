import { parentPort, workerData } from 'node:worker_threads';
import type { MountPoint } from '../tables/mount-calls.ts';
import { lookClosely } from './holders.ts';

/** A thread that looks at the blocked calls of a mount, and tells the deadlocks of each look that is as sure as those before. */
await lookClosely(workerData as MountPoint, ({ deadlocks }) => {
  parentPort!.postMessage(deadlocks);
});
