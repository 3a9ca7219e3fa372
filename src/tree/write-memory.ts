import type { Kernel } from '../kern/kernel.ts';

const DEFAULT_BUDGET_BYTES = 1024 ** 3;
const LEAST_BUDGET_BYTES = 4 * 1024 ** 2;
/** Of the machine's memory, the part that the budget is at most before somebody sets it. */
const DEFAULT_SHARE = 1 / 16;

/** How much memory a transport may use for the bytes of writes that sleep: the tunable ipcfs.write_memory. */
export class WriteMemory {
  budgetBytes: number;

  constructor({ host, sysctls }: Kernel) {
    this.budgetBytes = Math.max(
      LEAST_BUDGET_BYTES,
      Math.min(DEFAULT_BUDGET_BYTES, Math.floor(host.memoryBytes * DEFAULT_SHARE)),
    );
    sysctls.register({
      name: 'ipcfs.write_memory',
      description:
        'maximum memory of sleeping writes in the server, in bytes; the rest stays with the writers',
      type: 'bytes',
      get: () => this.budgetBytes,
      set: (value) => {
        this.budgetBytes = value;
        return 0;
      },
      minimum: LEAST_BUDGET_BYTES,
      maximum: Number.MAX_SAFE_INTEGER,
    });
  }
}
