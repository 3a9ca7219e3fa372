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
    description: 'bytes of the largest shared memory segment, whole pages; sets shmmaxpgs too',
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
    description: 'bytes of the smallest shared memory segment',
    type: 'bytes',
    get: () => limits.minimumBytes,
  });
  sysctls.register({
    name: 'kern.ipc.shmmni',
    description: 'shared memory segments that there can be',
    get: () => table.slotCount,
    change: (value) => resizeTable(shm, value),
    minimum: 1,
    maximum: MAXIMUM_SLOTS,
  });
  sysctls.register({
    name: 'kern.ipc.shmseg',
    description: 'shared memory attachments that a process may have',
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
    description: 'pages of all shared memory segments together; sets shmmax too',
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
    description: 'whether new shared memory is kept in physical memory: 0 is no, anything else yes',
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
