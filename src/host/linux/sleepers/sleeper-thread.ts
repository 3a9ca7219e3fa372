import { LookThread } from '../processes/look-thread.ts';
import type { Sleeper } from '../../../kern/sleeper.ts';
import type { SleepersAsked } from './sleepers.ts';

/** Looks at which threads sleep outside of the mount in processes that have its files open. */
export class SleeperThread extends LookThread<SleepersAsked, readonly Sleeper[]> {
  constructor() {
    super(new URL('./sleeper-worker.js', import.meta.url));
  }
}
