import type { SysctlRegistry } from '../kern/sysctl.ts';

/** What fstat of an open pipe shows as the size: the tunable ipcfs.fstat_size. */
export class FstatSize {
  /** The bytes that are queued, as BSD does; otherwise what the node says of open files. */
  isShown = false;

  constructor(sysctls: SysctlRegistry) {
    sysctls.register({
      name: 'ipcfs.fstat_size',
      description: '1: fstat of an open pipe shows the queued bytes, as in BSD; 0: it shows 0',
      type: 'switch',
      get: () => Number(this.isShown),
      set: (value) => {
        this.isShown = value !== 0;
        return 0;
      },
      minimum: 0,
      maximum: 1,
    });
  }
}
