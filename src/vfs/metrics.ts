/** What moves bytes: `tree` is what the tree makes itself, the files of info/ and sysctl/. */
export const Engine = { Tree: 0, Pipe: 1, SharedMemory: 2, Kqueue: 3 } as const;
export type Engine = (typeof Engine)[keyof typeof Engine];

/** The words for engines, by number. */
export const ENGINE_NAMES = ['tree', 'pipe', 'shm', 'kqueue'] as const;

const MAX_KINDS = 64;
/** Errors above this are counted as this one. Linux has none. */
const MAX_ERRNO = 133;

/** Upper bounds of buckets for the time that serving takes, in milliseconds. */
export const SERVICE_BOUNDS_MS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100, 1000,
] as const;
/** The same for waits, which last as long as the caller's peers let them. */
export const WAIT_BOUNDS_MS = [0.01, 0.1, 1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000] as const;

/** One distribution for each kind of operation. */
export class Histograms {
  readonly boundsMs: readonly number[];
  /** By kind: a count for each bucket alone, the last one for what is beyond all bounds. */
  readonly #counts: Float64Array;
  readonly #sumsMs = new Float64Array(MAX_KINDS);

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs;
    this.#counts = new Float64Array(MAX_KINDS * (boundsMs.length + 1));
  }

  observe(kind: number, valueMs: number): void {
    const { boundsMs } = this;
    let bucket = 0;
    while (bucket < boundsMs.length && valueMs > boundsMs[bucket]!) bucket++;
    this.#counts[kind * (boundsMs.length + 1) + bucket]!++;
    this.#sumsMs[kind]! += valueMs;
  }

  /** Observations in each bucket alone; one number more than there are bounds. */
  counts(kind: number): readonly number[] {
    const size = this.boundsMs.length + 1;
    return [...this.#counts.subarray(kind * size, (kind + 1) * size)];
  }

  sumMs(kind: number): number {
    return this.#sumsMs[kind]!;
  }
}

/**
 * What a transport reports of the operations it has served. Reporting allocates nothing: all is in arrays of fixed size, by the number
 * that `kind` gives.
 */
export class OperationMetrics {
  readonly #names: string[] = [];
  readonly #totals = new Float64Array(MAX_KINDS);
  readonly #errors = new Float64Array(MAX_KINDS * (MAX_ERRNO + 1));
  readonly #readBytes = new Float64Array(ENGINE_NAMES.length);
  readonly #writtenBytes = new Float64Array(ENGINE_NAMES.length);
  readonly service = new Histograms(SERVICE_BOUNDS_MS);
  readonly waits = new Histograms(WAIT_BOUNDS_MS);

  /** The number of a kind of operation, by its name in lower case as in FUSE: `read`. To be asked once, not for each operation. */
  kind(name: string): number {
    const known = this.#names.indexOf(name);
    if (known >= 0) return known;
    if (this.#names.length === MAX_KINDS) throw new RangeError('there are too many kinds of operations');
    return this.#names.push(name) - 1;
  }

  /** The names of all kinds, by number. */
  get kinds(): readonly string[] {
    return this.#names;
  }

  /**
   * An operation has been answered. `result`: a negative errno, or anything else for success. `serviceMs`: from its arrival to its answer
   * without what it has slept. `waitMs`: what it has slept; negative when it has not.
   */
  end(kind: number, result: number, serviceMs: number, waitMs: number): void {
    this.#totals[kind]!++;
    if (result < 0) this.#errors[kind * (MAX_ERRNO + 1) + Math.min(-result, MAX_ERRNO)]!++;
    this.service.observe(kind, serviceMs);
    if (waitMs >= 0) this.waits.observe(kind, waitMs);
  }

  hasRead(engine: Engine, bytes: number): void {
    this.#readBytes[engine]! += bytes;
  }

  hasWritten(engine: Engine, bytes: number): void {
    this.#writtenBytes[engine]! += bytes;
  }

  total(kind: number): number {
    return this.#totals[kind]!;
  }

  /** How often a kind has failed, by negative errno; only those that have occurred. */
  *errors(kind: number): Iterable<readonly [errno: number, count: number]> {
    for (let errno = 1; errno <= MAX_ERRNO; errno++) {
      const count = this.#errors[kind * (MAX_ERRNO + 1) + errno]!;
      if (count > 0) yield [-errno, count];
    }
  }

  readBytes(engine: Engine): number {
    return this.#readBytes[engine]!;
  }

  writtenBytes(engine: Engine): number {
    return this.#writtenBytes[engine]!;
  }
}
