import type { Kernel } from '../../kern/kernel.ts';
import type { Operation } from '../../kern/operation.ts';
import type { Sleeper } from '../../kern/sleeper.ts';
import { LookQuery } from './look-query.ts';

/** A look takes some milliseconds, and at most 0.3 s unless a process makes it wait. */
const SLEEPERS_TIMEOUT_MS = 500;

/** Looks at who sleeps outside of the mount. */
export class SleeperQuery extends LookQuery<readonly Sleeper[]> {
  /** `look` begins a look; `answer` is to be called at its end. */
  constructor(kernel: Kernel, look: () => void) {
    super(kernel, look, { message: 'sleepers', interruptible: true, isForTable: true });
  }

  /** None when that could not be seen. */
  *ask(): Operation<readonly Sleeper[]> {
    return (yield* this.wait(SLEEPERS_TIMEOUT_MS)) ?? [];
  }
}
