import { assert } from './assert.ts';
import type { Scheduler, Thread } from './scheduler.ts';

/**
 * An operation of the kernel (a read, an open, a close): a generator that runs to its end or sleeps.
 * What happens between two sleeps is atomic: there is one thread of execution and no lock.
 */
export type Operation<T> = Generator<undefined, T, WakeReason>;

/** Why a sleep ended. Each sleep has exactly one reason. */
export const WakeReason = { Awakened: 0, Interrupted: 1, TimedOut: 2 } as const;
export type WakeReason = (typeof WakeReason)[keyof typeof WakeReason];

export interface SleepOptions {
  /** What the sleeper waits for, a short word as in the originals (`piperd`); shown in info/waits. */
  readonly message: string;
  /** Whether a signal to the caller ends the sleep (PCATCH). */
  readonly interruptible: boolean;
  /** Its time-out may be long: the sleep is none of the server's own, which are over in a moment. */
  readonly isLong?: true;
  /** The sleeper makes info/waits: it is none of the calls that the table is about. */
  readonly isForTable?: true;
}

/**
 * Something to sleep on: the address that BSD's msleep and wakeup share.
 * Sleepers form an intrusive list in order of arrival, so joining and leaving are O(1).
 */
export class WaitChannel {
  readonly scheduler: Scheduler;
  /** The object that sleepers wait for, for tables of blocked calls. */
  readonly owner: unknown;
  firstSleeper: Thread | null = null;
  lastSleeper: Thread | null = null;

  constructor(scheduler: Scheduler, owner: unknown) {
    this.scheduler = scheduler;
    this.owner = owner;
  }

  /** Makes every sleeper runnable. They run after the current operation has ended or gone to sleep. */
  wakeup(): void {
    while (this.firstSleeper !== null) this.scheduler.resume(this.firstSleeper, WakeReason.Awakened);
  }

  /** Makes the sleeper that came first runnable. */
  wakeupOne(): void {
    if (this.firstSleeper !== null) this.scheduler.resume(this.firstSleeper, WakeReason.Awakened);
  }

  /** Repeats the invariants; called after every step in tests. Returns the number of sleepers. */
  checkInvariants(): number {
    let sleepers = 0;
    let before: Thread | null = null;
    for (let thread = this.firstSleeper; thread !== null; before = thread, thread = thread.nextSleeper) {
      assert(thread.channel === this, 'a sleeper knows what it sleeps on');
      assert(thread.previousSleeper === before, 'the sleepers of a channel are linked both ways');
      sleepers++;
    }
    assert(this.lastSleeper === before, 'a channel knows its last sleeper');
    return sleepers;
  }
}

/**
 * Sleeps on `channel` until a wake-up, an interrupt (if the options allow one) or, when `timeoutMs` is
 * given, that many milliseconds. An interrupt that came before the sleep ends it at once, as a pending
 * signal does.
 */
export function* sleep(
  channel: WaitChannel,
  options: SleepOptions,
  timeoutMs?: number,
): Operation<WakeReason> {
  const thread = channel.scheduler.prepareSleep(channel, options, timeoutMs);
  if (thread === null) return WakeReason.Interrupted;
  return yield;
}

const pausing: SleepOptions = { message: 'pause', interruptible: false };

/** Lets everything else that is due run first, requests that have come meanwhile too, and goes on. The caller waits for nothing. */
export function* pause(channel: WaitChannel): Operation<void> {
  yield* sleep(channel, pausing, 0);
}

/** Whether who sleeps with these options is not blocked: it pauses, or makes the table of blocked calls. */
export function isPause(options: SleepOptions): boolean {
  return options === pausing || options.isForTable === true;
}
