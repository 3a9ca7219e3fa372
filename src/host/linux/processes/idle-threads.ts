import { readdirSync } from 'node:fs';
import { define } from '../libc.ts';

/** `parameters` is a struct sched_param: the priority, which is 0 but for real-time policies. */
const setScheduler = define('int sched_setscheduler(int, int, void*)') as (
  threadId: number,
  policy: number,
  parameters: Int32Array,
) => number;

const SCHED_IDLE = 5;

/**
 * From now on all threads of this process run when nobody else wants the processor, and give it back at once when somebody does. What they
 * start later inherits that.
 */
export function runWhenIdle(): void {
  // A thread that has ended meanwhile is none that matters.
  for (const thread of readdirSync('/proc/self/task')) {
    setScheduler(Number(thread), SCHED_IDLE, new Int32Array(1));
  }
}
