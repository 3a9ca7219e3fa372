import { Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { ProcessEvents } from '../kern/process-events.ts';
import { HIGHEST_INT, LOWEST_INT } from '../kern/sysctl.ts';
import { PipeBudget } from './budget.ts';
import { CrampedEnds } from './cramped.ts';
import type { DisciplineFor } from './discipline.ts';
import type { PipePair } from './pair.ts';
import { DEFAULT_PIPE_BUF_BYTES, MINIMUM_PIPE_BUF_BYTES } from './pipe-buf.ts';
import type { PipePolicy } from './policy.ts';

const DEFAULT_MIN_DIRECT_BYTES = 8192;
const DEFAULT_MAX_DIRECT_BYTES = 1024 * 1024;

/** Everything that the pipes of one mount share: memory budget, tunables, the inode counter, the policy. */
export class PipeSubsystem {
  readonly kernel: Kernel;
  readonly disciplineFor: DisciplineFor;
  readonly budget: PipeBudget;
  readonly crampedEnds: CrampedEnds;
  /** Pairs with an end that is not closed. */
  readonly pairs = new Set<PipePair>();
  /** Growing and shrinking happen only while this is exactly 1 (P20). */
  resizeAllowed = 1;
  /** Shortest segment that is written directly (P28, P70). */
  minDirectBytes = DEFAULT_MIN_DIRECT_BYTES;
  /** Longest direct chunk (decision D5). */
  maxDirectBytes = DEFAULT_MAX_DIRECT_BYTES;
  /** Writes up to this many bytes are atomic (P54). */
  pipeBufBytes = DEFAULT_PIPE_BUF_BYTES;
  policy: PipePolicy | null = null;
  /** What options have dropped, of all pipes that there ever were. */
  readonly drops = { bytes: 0, records: 0 };
  /** Tells of the ends of processes; null where the host cannot. */
  processEvents: ProcessEvents | null = null;
  #lastInode = 0;

  /** `disciplineFor`: how pipes with options work. */
  constructor(kernel: Kernel, disciplineFor: DisciplineFor) {
    this.kernel = kernel;
    this.disciplineFor = disciplineFor;
    this.budget = new PipeBudget(kernel.host);
    this.crampedEnds = new CrampedEnds(kernel);
    kernel.accounts.onLimitChange(Resource.PipeBytes, () => {
      this.crampedEnds.growthReturned();
    });
    this.#registerTunables();
  }

  /** The next fake inode number; never given twice (P8). */
  nextInode(): number {
    return ++this.#lastInode;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    let bookedBytes = 0;
    for (const pair of this.pairs) {
      for (const end of pair.ends) {
        end.checkInvariants();
        bookedBytes += end.ring.size;
      }
      pair.fifo?.checkInvariants();
    }
    assert(bookedBytes === this.budget.usedBytes, 'the budget holds the sizes of the live rings');
    this.budget.checkInvariants();
  }

  #registerTunables(): void {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- a getter of a variable has a `this` of its own
    const subsystem = this;
    const { budget } = this;
    const { sysctls } = this.kernel;
    sysctls.register({
      name: 'kern.ipc.maxpipekva',
      description: 'maximum memory of all pipe buffers in bytes; set at mount',
      type: 'bytes',
      get: () => budget.maximumBytes,
      set: (value) => {
        budget.maximumBytes = value;
        return 0;
      },
      loader: true,
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
    });
    sysctls.register({
      name: 'kern.ipc.pipekva',
      description: 'memory of all pipe buffers in bytes',
      type: 'bytes',
      get: () => budget.usedBytes,
    });
    sysctls.register({
      name: 'kern.ipc.pipefragretry',
      description: 'creations of pipes that were retried with a small buffer',
      get: () => budget.fragmentationRetries,
    });
    sysctls.register({
      name: 'kern.ipc.pipeallocfail',
      description: 'creations of pipes that failed for lack of buffer memory',
      get: () => budget.allocationFailures,
    });
    sysctls.register({
      name: 'kern.ipc.piperesizefail',
      description: 'resizes of pipe buffers that failed',
      get: () => budget.resizeFailures,
    });
    sysctls.register({
      name: 'kern.ipc.piperesizeallowed',
      description: '1: pipe buffers grow and shrink; any other value: they keep their size',
      type: 'switch',
      get: () => this.resizeAllowed,
      set: (value) => {
        this.resizeAllowed = value;
        this.crampedEnds.growthReturned();
        return 0;
      },
      minimum: LOWEST_INT,
      maximum: HIGHEST_INT,
    });
    sysctls.register({
      name: 'kern.ipc.pipe_mindirect',
      description: 'size in bytes from which a blocking write goes to the reader without a buffer',
      type: 'bytes',
      get: () => this.minDirectBytes,
      set: (value) => {
        this.minDirectBytes = value;
        return 0;
      },
      // A write that is to be atomic never goes direct (P28).
      get minimum() {
        return subsystem.pipeBufBytes + 1;
      },
      maximum: Number.MAX_SAFE_INTEGER,
    });
    sysctls.register({
      name: 'kern.ipc.pipe_direct_max',
      description: 'maximum size of a direct chunk in bytes',
      type: 'bytes',
      get: () => this.maxDirectBytes,
      set: (value) => {
        this.maxDirectBytes = value;
        return 0;
      },
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
    });
    sysctls.register({
      name: 'kern.ipc.pipe_buf',
      description: 'maximum size of an atomic write in bytes; set at mount',
      type: 'bytes',
      get: () => this.pipeBufBytes,
      set: (value) => {
        this.pipeBufBytes = value;
        return 0;
      },
      loader: true,
      minimum: MINIMUM_PIPE_BUF_BYTES,
      get maximum() {
        return Math.min(DEFAULT_PIPE_BUF_BYTES, subsystem.minDirectBytes - 1);
      },
    });
  }
}
