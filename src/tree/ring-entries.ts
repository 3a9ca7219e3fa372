import type { Kernel } from '../kern/kernel.ts';

/** Twice what the quota lets one user block. */
const DEFAULT_LIMIT = 32_768;
const LEAST_LIMIT = 256;
/** A ring of Linux holds 65,536 completions, of which one is for other news. */
const HIGHEST_LIMIT = 65_535;

/** How many requests a transport with a ring of entries can have unanswered: the tunable ipcfs.ring_entries. */
export class RingEntries {
  limit = DEFAULT_LIMIT;

  constructor({ sysctls }: Kernel) {
    sysctls.register({
      name: 'ipcfs.ring_entries',
      description: 'unanswered calls that a mount with --io-uring takes; those beyond wait in the kernel',
      get: () => this.limit,
      set: (value) => {
        this.limit = value;
        return 0;
      },
      loader: true,
      minimum: LEAST_LIMIT,
      maximum: HIGHEST_LIMIT,
    });
  }
}
