import { parentPort, workerData } from 'node:worker_threads';
import { handleBehind, type MountPlace } from './descriptors.ts';
import type { HandleAnswer, HandleRequest } from './handle-thread.ts';

/** A thread that asks open files for their handles, which the server of their mount answers from another one. */
parentPort!.on('message', ({ id, pid, descriptor }: HandleRequest) => {
  const handle = handleBehind(pid, descriptor, workerData as MountPlace);
  parentPort!.postMessage({ id, handle } satisfies HandleAnswer);
});
