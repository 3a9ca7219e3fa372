import type { Kernel } from '../../../kern/kernel.ts';
import { type Operation, sleep, WakeReason } from '../../../kern/operation.ts';
import type { LastMappings } from './last-mappings.ts';

/** Requests pause for a moment before this; otherwise /proc tells what their order would have told. */
const PAUSE_MS = 2;
/** A look at /proc takes some milliseconds. By then the count is what was told, whatever it has not shown. */
const PATIENCE_MS = 45;

/** Makes calls that show attachments wait for the ends that were told and are not concluded. */
export class DetachSettler {
  readonly #channel;
  readonly #clock;
  readonly #lastMappings: LastMappings;

  constructor(kernel: Kernel, lastMappings: LastMappings) {
    this.#channel = kernel.channel(this);
    this.#clock = kernel.host.clock;
    this.#lastMappings = lastMappings;
    lastMappings.onConcluded = () => {
      this.#channel.wakeup();
    };
  }

  /** Null when there is nothing to wait for. */
  settle(): Operation<void> | null {
    return this.#lastMappings.isCertain() ? null : this.#wait();
  }

  *#wait(): Operation<void> {
    const beginMs = this.#clock.monotonicMs();
    let endMs = beginMs + PAUSE_MS;
    for (;;) {
      const leftMs = endMs - this.#clock.monotonicMs();
      const options = { message: 'shmsettle', interruptible: true };
      const reason = leftMs <= 0 ? WakeReason.TimedOut : yield* sleep(this.#channel, options, leftMs);
      if (reason === WakeReason.Interrupted || this.#lastMappings.isCertain()) return;
      if (reason === WakeReason.TimedOut) {
        if (endMs > beginMs + PAUSE_MS) {
          this.#lastMappings.guess();
          return;
        }
        endMs = beginMs + PATIENCE_MS;
        this.#lastMappings.hurry();
      }
    }
  }
}
