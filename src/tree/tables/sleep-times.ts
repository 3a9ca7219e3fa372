import type { Sleeper } from '../../kern/sleeper.ts';

/** A sleeper, and for how long it has been known to sleep. */
export interface TimedSleeper {
  readonly sleeper: Sleeper;
  readonly seconds: number;
}

/** Since when sleepers have been seen in the sleep that they are in. Linux does not say when a sleep began. */
export class SleepTimes {
  /** By thread, of the last look. */
  #seen = new Map<number, { readonly sleeper: Sleeper; readonly sinceMs: number }>();
  /** What the last look has found. */
  sleepers: readonly TimedSleeper[] = [];

  saw(sleepers: readonly Sleeper[], nowMs: number): void {
    const before = this.#seen;
    this.#seen = new Map();
    this.sleepers = sleepers.map((sleeper) => {
      const last = before.get(sleeper.thread);
      const isSame =
        last?.sleeper.process === sleeper.process &&
        last.sleeper.call === sleeper.call &&
        last.sleeper.sleepCount === sleeper.sleepCount;
      const sinceMs = isSame ? last.sinceMs : nowMs;
      this.#seen.set(sleeper.thread, { sleeper, sinceMs });
      return { sleeper, seconds: Math.round(nowMs - sinceMs) / 1000 };
    });
  }
}
