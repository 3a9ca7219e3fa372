import { type Transferable, Worker } from 'node:worker_threads';

/**
 * What a thread's objects may take before those that are not used any more are looked for. V8 lets it grow to four times as much, and
 * gives little of that back: nearly all that a request needs is gone with it, so looking costs the same however often it is done.
 */
const YOUNG_GENERATION_MB = 12;

/** Starts a module of this program as a thread; `data` is copied to it, but for what is in `transferred`. */
export function startThread(module: URL, data: unknown, transferred: Transferable[] = []): Worker {
  return new Worker(module, {
    workerData: data,
    transferList: transferred,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    // Of a program that came by --eval; a file has a type of its own, and Node would refuse it.
    ...(process.execArgv.some((flag) => flag.startsWith('--input-type')) ? { execArgv: [] } : {}),
  });
}
