import type { Kernel } from '../../kern/kernel.ts';
import { type Operation, sleep, type SleepOptions, WakeReason } from '../../kern/operation.ts';

/** Null: nothing could be seen. */
type Answer<Seen> = (seen: Seen | null) => void;

/**
 * Looks at the host's processes, one look at a time, which serves all who have asked before it began. Looking can wait for those
 * processes, so it is done elsewhere than on the serving thread.
 */
export class LookQuery<Seen> {
  readonly #channel;
  readonly #look: () => void;
  readonly #sleep: SleepOptions;
  /** Who waits for the look that is under way; null when none is. */
  #asking: Answer<Seen>[] | null = null;
  /** Who has asked since, and must not be told of what was before. */
  #next: Answer<Seen>[] = [];

  /** `look` begins a look; `answer` is to be called at its end. `sleepOptions`: of those who wait for it. */
  constructor(kernel: Kernel, look: () => void, sleepOptions: SleepOptions) {
    this.#channel = kernel.channel(this);
    this.#look = look;
    this.#sleep = sleepOptions;
  }

  /** Makes those who asked runnable. Null: nothing could be seen. */
  answer(seen: Seen | null): void {
    const asked = this.#asking ?? [];
    this.#asking = null;
    if (this.#next.length > 0) this.#begin();
    for (const answer of asked) answer(seen);
  }

  /** Calls back, later, with what a look finds that begins after this call. */
  protected lookFor(answer: Answer<Seen>): void {
    this.#next.push(answer);
    if (this.#asking === null) this.#begin();
  }

  /** What a look finds that begins after this call; null also when it takes longer than `timeoutMs`, or a signal comes. */
  protected *wait(timeoutMs: number): Operation<Seen | null> {
    let found: Seen | null = null;
    let isAnswered = false as boolean;
    this.lookFor((seen) => {
      isAnswered = true;
      found = seen;
      this.#channel.wakeup();
    });
    let reason: WakeReason = WakeReason.Awakened;
    // Others are woken for the looks that they have asked for.
    while (!isAnswered && reason === WakeReason.Awakened) {
      reason = yield* sleep(this.#channel, this.#sleep, timeoutMs);
    }
    return found;
  }

  #begin(): void {
    this.#asking = this.#next;
    this.#next = [];
    this.#look();
  }
}
