import type { Clock, Timespec } from '../kern/clock.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** Calendar time has one object a millisecond, so that stamping allocates nothing (P139). */
export class SystemClock implements Clock {
  #timeMs = -1;
  #time: Timespec = { seconds: 0, nanoseconds: 0 };

  monotonicMs(): number {
    return performance.now();
  }

  realtime(): Timespec {
    const milliseconds = Date.now();
    if (milliseconds !== this.#timeMs) {
      this.#timeMs = milliseconds;
      this.#time = {
        seconds: Math.floor(milliseconds / 1000),
        nanoseconds: (milliseconds % 1000) * NANOSECONDS_PER_MS,
      };
    }
    return this.#time;
  }
}
