import { collectGarbage } from './garbage-collector.ts';

/** One limit of this program's memory, which may change at any time. */
export interface MemoryLimit {
  /** Bytes that can be taken before what the program itself needs to go on; negative when that is being used, Infinity without limit. */
  roomBytes(): number;
  /** Bytes of these that are in use and yet free: the next large request may get them. */
  reusableBytes?(): number;
}

/** Every request for memory counts for this much more: what it brings with it. */
const OVERHEAD_BYTES = 256;
/** From this size on a request is a large one. */
const LARGE_BYTES = 16_384;
/** Room that large requests leave for others: an open to read what blocked writers hold needs little. */
const SMALL_ROOM_BYTES = 12 * 1024 ** 2;
/** So many times what is wanted has to be free in pieces, for one of them to be large enough. */
const REUSABLE_SHARE = 8;
/** How far what the program needs for itself may have been used when garbage is looked for. */
const LEAST_ROOM_BYTES = -12 * 1024 ** 2;
/** For how many times as long as it took, garbage is not looked for again, when that helped and when it did not. */
const PAUSE_AFTER_SUCCESS = 3;
const PAUSE_IN_VAIN = 20;
/** After a look at the limits, so much of the room is given without another look, */
const CREDIT_SHARE = 1 / 4;
/** and so much at most, */
const MOST_CREDIT_BYTES = 8 * 1024 ** 2;
/** and for so long: limits are set from outside. */
const CREDIT_MS = 20;

/**
 * How much memory is left. A program that V8 runs is ended when memory cannot be had for its objects, and nothing can
 * be done then: so whatever is to be kept for a caller is refused while there is enough left for the rest.
 */
export class MemoryRoom {
  readonly #limits: readonly MemoryLimit[];
  readonly #collect: () => void;
  readonly #now: () => number;
  #creditBytes = 0;
  #creditEndsMs = -Infinity;
  #collectAgainMs = -Infinity;

  constructor(
    limits: readonly MemoryLimit[],
    collect: () => void = collectGarbage,
    now: () => number = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#collect = collect;
    this.#now = now;
  }

  /** Whether a large request gets what has been freed. Where that lies in pieces too small, the small ones lose half of their room. */
  #canReuse(wantedBytes: number): boolean {
    return this.#limits.every((limit) => {
      const roomBytes = limit.roomBytes() - wantedBytes;
      if (roomBytes >= SMALL_ROOM_BYTES) return true;
      const reusableBytes = limit.reusableBytes?.() ?? 0;
      return roomBytes >= SMALL_ROOM_BYTES / 2 && reusableBytes >= REUSABLE_SHARE * wantedBytes;
    });
  }

  /** Bytes until the nearest limit. When that is too little for `wantedBytes`, garbage is collected first. */
  #roomFor(wantedBytes: number): number {
    const look = (): number => Math.min(...this.#limits.map((limit) => limit.roomBytes()));
    const before = look();
    if (before >= wantedBytes || before < LEAST_ROOM_BYTES) return before;
    const beganMs = this.#now();
    if (beganMs < this.#collectAgainMs) return before;
    this.#collect();
    const after = look();
    const endedMs = this.#now();
    const pause = after >= wantedBytes ? PAUSE_AFTER_SUCCESS : PAUSE_IN_VAIN;
    this.#collectAgainMs = endedMs + pause * (endedMs - beganMs);
    return after;
  }

  has(sizeBytes: number): boolean {
    const wantedBytes = sizeBytes + OVERHEAD_BYTES;
    if (sizeBytes >= LARGE_BYTES) {
      const neededBytes = wantedBytes + SMALL_ROOM_BYTES;
      return this.#roomFor(neededBytes) >= neededBytes || this.#canReuse(wantedBytes);
    }
    const nowMs = this.#now();
    if (wantedBytes > this.#creditBytes || nowMs >= this.#creditEndsMs) {
      const roomBytes = this.#roomFor(wantedBytes);
      this.#creditEndsMs = nowMs + CREDIT_MS;
      this.#creditBytes = 0;
      if (wantedBytes > roomBytes) return false;
      this.#creditBytes = Math.max(wantedBytes, Math.min(MOST_CREDIT_BYTES, roomBytes * CREDIT_SHARE));
    }
    this.#creditBytes -= wantedBytes;
    return true;
  }
}
