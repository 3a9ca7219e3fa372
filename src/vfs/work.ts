import type { Clock } from '../kern/clock.ts';
import type { Kernel } from '../kern/kernel.ts';
import { type Operation, pause, type WaitChannel } from '../kern/operation.ts';

/**
 * Long work in small steps: it yields after each, when nothing of it depends on what other operations may change. A step is some
 * microseconds.
 */
export type Work<T> = Generator<undefined, T, undefined>;

/** How long work goes on before other operations have their turn. Each of them may have to wait for that long. */
export const SLICE_MS = 0.5;

/** Does the long works of one kernel, and lets others run after each slice. */
export class Slicer {
  readonly #channel: WaitChannel;
  readonly #clock: Clock;
  #workCount = 0;

  constructor(kernel: Kernel) {
    this.#channel = kernel.channel(this);
    this.#clock = kernel.host.clock;
  }

  /** Does work to its end. Works that are done at the same time share one slice. */
  *run<T>(work: Work<T>): Operation<T> {
    this.#workCount++;
    try {
      for (;;) {
        const endMs = this.#clock.monotonicMs() + SLICE_MS / this.#workCount;
        do {
          const step = work.next();
          if (step.done === true) return step.value;
        } while (this.#clock.monotonicMs() < endMs);
        yield* pause(this.#channel);
      }
    } finally {
      this.#workCount--;
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

/** Bytes that one step of `bytesOfTexts` makes. */
const STEP_BYTES = 4096;

/** Texts, one character a byte, as the bytes of all in turn. */
export function* bytesOfTexts(texts: readonly string[]): Work<Uint8Array> {
  let length = 0;
  for (const text of texts) length += text.length;
  yield;
  const bytes = new Uint8Array(length);
  let at = 0;
  let stepEnd = STEP_BYTES;
  for (const text of texts) {
    for (let index = 0; index < text.length; index++) {
      bytes[at++] = text.charCodeAt(index);
      if (at < stepEnd) continue;
      stepEnd += STEP_BYTES;
      yield;
    }
  }
  return bytes;
}
