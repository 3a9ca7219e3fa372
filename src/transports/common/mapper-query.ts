import type { Kernel } from '../../kern/kernel.ts';
import { type Operation, sleep } from '../../kern/operation.ts';

/** A table that cannot be had shows what was known before. */
const MAPPERS_TIMEOUT_MS = 2000;

/** Which processes map which inodes of a mount: inode and process of each mapping. */
export type Mappings = readonly (readonly [inode: number, pid: number])[];

/**
 * Lets one look at the host's processes serve all who ask meanwhile. Looking can wait for those processes, so it is done elsewhere
 * than on the serving thread.
 */
export class MapperQuery {
  readonly #channel;
  readonly #look: () => void;
  #isAsked = false;
  #found: ReadonlyMap<number, readonly number[]> = new Map();

  /** `look` begins a look; `answer` is to be called at its end. */
  constructor(kernel: Kernel, look: () => void) {
    this.#channel = kernel.channel(this);
    this.#look = look;
  }

  *ask(): Operation<ReadonlyMap<number, readonly number[]>> {
    if (!this.#isAsked) this.#look();
    this.#isAsked = true;
    yield* sleep(this.#channel, { message: 'mappers', interruptible: true }, MAPPERS_TIMEOUT_MS);
    return this.#found;
  }

  /** Makes those who asked runnable. */
  answer(mappings: Mappings): void {
    const found = new Map<number, number[]>();
    for (const [inode, pid] of mappings) {
      const pids = found.get(inode);
      if (pids === undefined) found.set(inode, [pid]);
      else if (!pids.includes(pid)) pids.push(pid);
    }
    this.#found = found;
    this.#isAsked = false;
    this.#channel.wakeup();
  }
}
