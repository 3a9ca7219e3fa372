import type { Kernel } from '../kern/kernel.ts';
import type { Operation } from '../kern/operation.ts';
import { Thread } from '../kern/scheduler.ts';
import type { Work } from '../kern/work.ts';
import type { PipeEnd } from './end.ts';
import { hasRoom } from './room.ts';

/**
 * Ends whose small ring has no room for a write of PIPE_BUF bytes and may not grow. What forbids it ends without anything happening to
 * the end itself: another pipe gives its memory back, or a tunable changes. Their pollers and knotes are told then.
 */
export class CrampedEnds {
  readonly #kernel: Kernel;
  #ends = new Set<PipeEnd>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Keeps `end`, which has no room, until rings may grow again. Then it is looked at once. */
  add(end: PipeEnd): void {
    this.#ends.add(end);
  }

  /** Rings may grow that could not: each end is looked at, in slices, as a user may have thousands of them. */
  growthReturned(): void {
    if (this.#ends.size === 0) return;
    const ends = this.#ends;
    this.#ends = new Set();
    const thread = new Thread();
    thread.operation = this.#tell(ends);
    this.#kernel.scheduler.enqueue(thread);
  }

  *#tell(ends: Iterable<PipeEnd>): Operation<number> {
    yield* this.#kernel.slicer.runCharged(telling(ends));
    return 0;
  }
}

/** An end that still has no room is kept again: `hasRoom` adds it. */
function* telling(ends: Iterable<PipeEnd>): Work<void> {
  for (const end of ends) {
    if (hasRoom(end)) end.notify();
    yield;
  }
}
