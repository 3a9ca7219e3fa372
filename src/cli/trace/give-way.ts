import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { libraryFailure } from '../../host/linux/libc.ts';
import { runWhenIdle } from '../../host/linux/processes/idle-threads.ts';

/** The scheduler gives a process of this nice value a tenth of what it gives another that wants the same processor. */
const NICE = 10;

/**
 * From now on this process, which reads a trace, gets the processor after those that it traces: a reader that is too slow loses lines, and
 * must not take the time of the calls instead. What it starts later inherits that: a command is started before.
 */
export function giveWay(): void {
  if (process.platform === 'linux' && libraryFailure === null) runWhenIdle();
  else takeLess();
}

/** As `giveWay`, for a process that also has to be in time: it keeps a tenth of the processor. */
export function takeLess(): void {
  // On Linux each thread has a nice value of its own.
  const threads = process.platform === 'linux' ? readdirSync('/proc/self/task').map(Number) : [0];
  for (const thread of threads) {
    try {
      if (getPriority(thread) < NICE) setPriority(thread, NICE);
    } catch {
      // The thread has ended.
    }
  }
}
