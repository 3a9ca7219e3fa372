import type { Host } from './host.ts';
import { type Operation, pause, WaitChannel } from './operation.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * Long work in small steps: it yields after each, when nothing of it depends on what other operations may change. A step is some
 * microseconds.
 */
export type Work<T> = Generator<undefined, T, undefined>;

/** Work that may have to wait: a step that yields an operation goes on when that has ended. */
export type WaitingWork<T> = Generator<Operation<void> | undefined, T, undefined>;

/** How long work goes on before other operations have their turn. Each of them may have to wait for that long. */
export const SLICE_MS = 0.5;
/** About what work of one slice makes, at most, before anybody charges for it. */
const SLICE_BYTES = 1024 * 1024;

/** Does the long works of one kernel, and lets others run after each slice. */
export class Slicer {
  readonly #channel: WaitChannel;
  readonly #host: Host;
  readonly #scheduler: Scheduler;

  constructor(host: Host, scheduler: Scheduler) {
    this.#channel = new WaitChannel(scheduler, this);
    this.#host = host;
    this.#scheduler = scheduler;
  }

  /**
   * Does work to its end; null when there is no memory to go on with it. Works that are under way at the same time have a slice in turns.
   */
  run<T>(work: Work<T>): Operation<T | null> {
    return this.#inSlices(work, SLICE_BYTES);
  }

  /** As `run`, for work whose memory has been charged for: it goes on without any. */
  runCharged<T>(work: WaitingWork<T>): Operation<T> {
    return this.#inSlices(work, 0) as Operation<T>;
  }

  *#inSlices<T>(work: WaitingWork<T>, sliceBytes: number): Operation<T | null> {
    for (;;) {
      const step = this.#slice(work);
      this.#scheduler.endSlice();
      if (step.done === true) return step.value;
      if (step.value === undefined) yield* pause(this.#channel);
      else yield* step.value;
      if (sliceBytes > 0 && !this.#host.hasMemory(sliceBytes)) return null;
    }
  }

  /** Steps until the slice is over, the work waits or has ended. */
  #slice<T>(work: WaitingWork<T>): IteratorResult<Operation<void> | undefined, T> {
    const { clock } = this.#host;
    const endMs = clock.monotonicMs() + SLICE_MS;
    for (;;) {
      const step = work.next();
      if (step.done === true || step.value !== undefined || clock.monotonicMs() >= endMs) return step;
    }
  }
}

/** Does work to its end at once. */
export function atOnce<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
