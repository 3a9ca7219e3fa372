import { assert } from '../kern/assert.ts';
import type { Host } from '../kern/host.ts';
import { allocate } from '../kern/memory.ts';

export const PAGE_SIZE_BYTES = 4096;

/** The sizes a ring can have (section 4.2 of the specification; sys/pipe.h). */
export const SMALL_PIPE_SIZE_BYTES = PAGE_SIZE_BYTES;
export const PIPE_SIZE_BYTES = 16384;
export const BIG_PIPE_SIZE_BYTES = 65536;

const MESSAGE_INTERVAL_MS = 1000;

/** kern.ipc.maxpipekva is a 64th of the machine's memory by default, and at least this (subr_param.c). */
const SMALLEST_DEFAULT_BYTES = 512 * 1024;
const MEMORY_SHARE = 64;

/** Rings of each size kept for reuse. Beyond these, freed memory goes to the collector. */
export const MAXIMUM_SPARE_RINGS = 64;

/**
 * The memory that rings may use in all (pipekva), and the counters around it (P3 to P7, P15, P29).
 * `usedBytes` is at every moment the sum of the sizes of the live rings.
 */
export class PipeBudget {
  readonly #host: Host;
  readonly #spares = new Map<number, Uint8Array[]>();
  #lastMessageMs = -Infinity;
  maximumBytes: number;
  usedBytes = 0;
  fragmentationRetries = 0;
  allocationFailures = 0;
  resizeFailures = 0;

  constructor(host: Host) {
    this.#host = host;
    this.maximumBytes = Math.max(SMALLEST_DEFAULT_BYTES, Math.floor(host.memoryBytes / MEMORY_SHARE));
  }

  /** Growing is allowed up to half of the budget (P4, P18, P21). */
  get growthAllowed(): boolean {
    return this.usedBytes <= Math.floor(this.maximumBytes / 2);
  }

  /** Above three quarters, rings shrink (P23, P24). */
  get mustShrink(): boolean {
    return this.usedBytes > Math.floor((3 * this.maximumBytes) / 4);
  }

  holds(sizeBytes: number): boolean {
    return this.usedBytes + sizeBytes <= this.maximumBytes;
  }

  /** Books `sizeBytes`; false when the budget does not hold them. */
  reserve(sizeBytes: number): boolean {
    if (!this.holds(sizeBytes)) return false;
    this.usedBytes += sizeBytes;
    return true;
  }

  release(sizeBytes: number): void {
    this.usedBytes -= sizeBytes;
  }

  /** Counts a creation that failed and says so on the console, once a second at most (P6). */
  creationFailed(): void {
    this.allocationFailures++;
    const nowMs = this.#host.clock.monotonicMs();
    if (nowMs - this.#lastMessageMs < MESSAGE_INTERVAL_MS) return;
    this.#lastMessageMs = nowMs;
    this.#host.log('kern.ipc.maxpipekva is used up: new pipes fail until some are closed or it is raised');
  }

  /** Memory for a ring whose size is booked already, or null. Rings get theirs when the first byte arrives. */
  takeStorage(sizeBytes: number): Uint8Array | null {
    return this.#spares.get(sizeBytes)?.pop() ?? allocate(this.#host, sizeBytes);
  }

  /** Rings that are kept for reuse. */
  get spareCount(): number {
    let count = 0;
    for (const spares of this.#spares.values()) count += spares.length;
    return count;
  }

  giveStorage(storage: Uint8Array): void {
    let spares = this.#spares.get(storage.length);
    if (spares === undefined) this.#spares.set(storage.length, (spares = []));
    if (spares.length < MAXIMUM_SPARE_RINGS) spares.push(storage);
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const [sizeBytes, spares] of this.#spares) {
      assert(spares.length <= MAXIMUM_SPARE_RINGS, 'no more rings are kept for reuse than their limit');
      assert(
        spares.length === 0 || spares.at(-1)!.length === sizeBytes,
        'a spare ring has the size it is kept for',
      );
    }
  }
}
