import type { Clock, Timespec } from '../kern/clock.ts';

const TICK_MS = 1;
const NANOSECONDS_PER_MS = 1_000_000;

/** Calendar time is read once a tick and shared as one object, so that stamping allocates nothing (P139). */
export class SystemClock implements Clock {
  #validUntilMs = -Infinity;
  #time: Timespec = { seconds: 0, nanoseconds: 0 };

  monotonicMs(): number {
    return performance.now();
  }

  realtime(): Timespec {
    const nowMs = performance.now();
    if (nowMs >= this.#validUntilMs) {
      const milliseconds = Date.now();
      this.#time = {
        seconds: Math.floor(milliseconds / 1000),
        nanoseconds: (milliseconds % 1000) * NANOSECONDS_PER_MS,
      };
      this.#validUntilMs = nowMs + TICK_MS;
    }
    return this.#time;
  }
}
