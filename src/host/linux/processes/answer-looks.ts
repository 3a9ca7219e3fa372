import { parentPort, workerData } from 'node:worker_threads';
import { type LookQuestion, Place } from './look-thread.ts';

/**
 * Makes this thread one that a LookThread asks. `look` calls `enter` before it looks at a process, as looking can wait for it; false from
 * it leaves the process out.
 */
export function answerLooks(look: (asked: never, enter: (pid: number) => boolean) => unknown): void {
  const place = workerData as Int32Array;
  parentPort!.on('message', ({ asked, left }: LookQuestion<never>) => {
    const enter = (pid: number): boolean => {
      if (left.includes(pid)) return false;
      Atomics.store(place, Place.Pid, pid);
      Atomics.add(place, Place.Count, 1);
      return true;
    };
    parentPort!.postMessage(look(asked, enter));
  });
}
