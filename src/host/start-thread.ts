import { Worker } from 'node:worker_threads';

/** Starts a module of this program as a thread; `data` is copied to it. */
export function startThread(module: URL, data: unknown): Worker {
  return new Worker(module, {
    workerData: data,
    // Of a program that came by --eval; a file has a type of its own, and Node would refuse it.
    ...(process.execArgv.some((flag) => flag.startsWith('--input-type')) ? { execArgv: [] } : {}),
  });
}
