import type { Host } from '../kern/host.ts';
import { allocate } from '../kern/memory.ts';
import type { Kernel } from '../kern/kernel.ts';
import { type Operation, pause, type WaitChannel } from '../kern/operation.ts';

/**
 * Long work in small steps: it yields after each, when nothing of it depends on what other operations may change. A step is some
 * microseconds.
 */
export type Work<T> = Generator<undefined, T, undefined>;

/** How long work goes on before other operations have their turn. Each of them may have to wait for that long. */
export const SLICE_MS = 0.5;
/** About what work of one slice makes, at most, before anybody charges for it. */
const SLICE_BYTES = 1024 * 1024;

/** Does the long works of one kernel, and lets others run after each slice. */
export class Slicer {
  readonly #channel: WaitChannel;
  readonly #host: Host;
  #workCount = 0;

  constructor(kernel: Kernel) {
    this.#channel = kernel.channel(this);
    this.#host = kernel.host;
  }

  /**
   * Does work to its end; null when there is no memory to go on with it. Works that are done at the same time share one slice.
   */
  *run<T>(work: Work<T>): Operation<T | null> {
    this.#workCount++;
    try {
      for (;;) {
        const endMs = this.#host.clock.monotonicMs() + SLICE_MS / this.#workCount;
        do {
          const step = work.next();
          if (step.done === true) return step.value;
        } while (this.#host.clock.monotonicMs() < endMs);
        yield* pause(this.#channel);
        if (!this.#host.hasMemory(SLICE_BYTES)) return null;
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

/** Texts, one character a byte, as the bytes of all in turn; null when there is no memory for them. */
export function* bytesOfTexts(host: Host, texts: readonly string[]): Work<Uint8Array | null> {
  let length = 0;
  for (const text of texts) length += text.length;
  yield;
  const bytes = allocate(host, length);
  if (bytes === null) return null;
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
