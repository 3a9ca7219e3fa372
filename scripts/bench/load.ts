import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';

/** Runs `measure` while so many processes do nothing but compute. */
export async function besideBusyProcesses<T>(count: number, measure: () => Promise<T> | T): Promise<T> {
  const busy: ChildProcess[] = [];
  try {
    for (let index = 0; index < count; index++) {
      const child = spawn('sh', ['-c', 'echo; while :; do :; done'], { stdio: ['ignore', 'pipe', 'ignore'] });
      busy.push(child);
      await once(child.stdout, 'data');
    }
    return await measure();
  } finally {
    await Promise.all(
      busy.map((child) => {
        const ended = once(child, 'close');
        child.kill('SIGKILL');
        return ended;
      }),
    );
  }
}

/** So many that no processor is idle. */
export const EVERY_PROCESSOR = availableParallelism();
