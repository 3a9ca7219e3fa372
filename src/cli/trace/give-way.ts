import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** The scheduler gives a process of this nice value a tenth of what it gives another that wants the same processor. */
const NICE = 10;
const THREADS = '/proc/self/task';

/**
 * From now on this process gets the processor after those that it traces: a reader of a trace that is too slow loses lines, and must not
 * take the time of the calls instead. What it starts later inherits that: a command is started before.
 */
export function giveWay(): void {
  for (const thread of threads()) {
    try {
      if (getPriority(thread) < NICE) setPriority(thread, NICE);
    } catch {
      // The thread has ended.
    }
  }
}

/** On Linux each thread has a nice value of its own. 0: this process. */
function threads(): number[] {
  try {
    return readdirSync(THREADS).map(Number);
  } catch {
    return [0];
  }
}
