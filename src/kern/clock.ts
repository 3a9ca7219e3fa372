/** A point in calendar time. Immutable, so that one object can be shared by all that happens within a tick. */
export interface Timespec {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Time, as the host or a test gives it. */
export interface Clock {
  /** Milliseconds since some fixed moment, with a fraction; never goes back. */
  monotonicMs(): number;
  /** Calendar time, at least as fresh as one tick (rule P139). */
  realtime(): Timespec;
}

/** The three times of a file or pipe end. */
export interface Timestamps {
  accessed: Timespec;
  modified: Timespec;
  changed: Timespec;
}

export function timestampsAt(time: Timespec): Timestamps {
  return { accessed: time, modified: time, changed: time };
}
