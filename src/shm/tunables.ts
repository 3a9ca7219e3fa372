import { HIGHEST_INT, LOWEST_INT } from '../kern/sysctl.ts';
import { LARGEST_MAXIMUM_BYTES, LARGEST_MAXIMUM_PAGES, MAXIMUM_SLOTS, PAGE_SIZE_BYTES } from './limits.ts';
import { resizeTable } from './resize.ts';
import type { ShmSubsystem } from './subsystem.ts';

/** kern.ipc.shm*: the limits, as root may write them (S68 to S84). */
export function registerTunables(shm: ShmSubsystem): void {
  const { limits, table } = shm;
  const { sysctls } = shm.kernel;
  sysctls.register({
    name: 'kern.ipc.shmmax',
    description: 'maximum size of a segment in bytes, in whole pages; sets shmmaxpgs too',
    type: 'bytes',
    get: () => limits.maximumBytes,
    set: (value) => {
      limits.setMaximumBytes(value);
      return 0;
    },
    minimum: PAGE_SIZE_BYTES,
    maximum: LARGEST_MAXIMUM_BYTES,
  });
  sysctls.register({
    name: 'kern.ipc.shmmin',
    description: 'minimum size of a segment in bytes',
    type: 'bytes',
    get: () => limits.minimumBytes,
  });
  sysctls.register({
    name: 'kern.ipc.shmmni',
    description: 'maximum number of segments',
    get: () => table.slotCount,
    change: (value) => resizeTable(shm, value),
    minimum: 1,
    maximum: MAXIMUM_SLOTS,
  });
  sysctls.register({
    name: 'kern.ipc.shmseg',
    description: 'maximum number of attachments of a process',
    get: () => limits.attachmentsPerProcess,
    set: (value) => {
      limits.attachmentsPerProcess = value;
      return 0;
    },
    minimum: 0,
    maximum: HIGHEST_INT,
  });
  sysctls.register({
    name: 'kern.ipc.shmmaxpgs',
    description: 'maximum memory of all segments in pages; sets shmmax too',
    type: 'pages',
    get: () => limits.maximumPages,
    set: (value) => {
      limits.setMaximumPages(value);
      return 0;
    },
    minimum: 1,
    maximum: LARGEST_MAXIMUM_PAGES,
  });
  sysctls.register({
    name: 'kern.ipc.shm_use_phys',
    description: '0: new segments may be swapped; any other value: they stay in physical memory',
    type: 'switch',
    get: () => limits.usePhysical,
    set: (value) => {
      limits.usePhysical = value;
      return 0;
    },
    minimum: LOWEST_INT,
    maximum: HIGHEST_INT,
  });
}
