import { LookThread } from './look-thread.ts';
import type { MappingsSeen } from './mappings.ts';

/** Looks at which processes map files of the mount on the device of this minor number. */
export class MappingThread extends LookThread<number, MappingsSeen> {
  constructor() {
    super(new URL('./mapping-worker.js', import.meta.url));
  }
}
