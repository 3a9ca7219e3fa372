import { parentPort, workerData } from 'node:worker_threads';
import type { MountPoint } from '../tables/mount-calls.ts';
import { lookAtWaits } from './holders.ts';

/** A thread that looks at the blocked calls of a mount once. */
const { deadlocks } = await lookAtWaits(workerData as MountPoint);
parentPort!.postMessage(deadlocks);
