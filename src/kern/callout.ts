import { assert } from './assert.ts';
import type { Clock } from './clock.ts';

/** A function to be called once at a time; made by `CalloutQueue.schedule`. */
export interface Callout {
  readonly deadlineMs: number;
  readonly fire: () => void;
  /** Position in the heap, -1 when it has fired or been cancelled. */
  position: number;
  /** Order among equal deadlines. */
  readonly sequence: number;
}

/** Callouts that are fired before the clock is looked at. */
const LOOK_INTERVAL = 16;

/** Pending callouts of one clock: a binary heap, so that scheduling and cancelling are O(log n). */
export class CalloutQueue {
  readonly #clock: Clock;
  readonly #heap: Callout[] = [];
  #sequence = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#heap.length;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** The earliest deadline on the monotonic clock, in milliseconds; Infinity when nothing is pending. */
  nextDeadlineMs(): number {
    return this.#heap[0]?.deadlineMs ?? Infinity;
  }

  /** Calls `fire` from `runExpired` once `delayMs` milliseconds have passed, never earlier. */
  schedule(delayMs: number, fire: () => void): Callout {
    return this.scheduleAt(this.nowMs() + delayMs, fire);
  }

  /** Calls `fire` from `runExpired` once the monotonic clock shows `deadlineMs`, never earlier. */
  scheduleAt(deadlineMs: number, fire: () => void): Callout {
    const callout: Callout = {
      deadlineMs,
      fire,
      position: this.#heap.length,
      sequence: this.#sequence++,
    };
    this.#heap.push(callout);
    this.#siftUp(callout.position);
    return callout;
  }

  /** Forgets a callout; nothing happens when it has fired already. */
  cancel(callout: Callout): void {
    const position = callout.position;
    if (position < 0) return;
    callout.position = -1;
    const last = this.#heap.pop()!;
    if (last === callout) return;
    this.#heap[position] = last;
    last.position = position;
    this.#siftDown(position);
    this.#siftUp(last.position);
  }

  /**
   * Fires what is due, earliest first. A callout scheduled by another runs in the same call if it is due too. What is due when `limitMs`
   * have passed is left for the next call.
   */
  runExpired(limitMs = Infinity): void {
    const nowMs = this.nowMs();
    for (let count = 1; ; count++) {
      const first = this.#heap[0];
      if (first === undefined || first.deadlineMs > nowMs) return;
      this.cancel(first);
      first.fire();
      if (limitMs !== Infinity && count % LOOK_INTERVAL === 0 && this.nowMs() >= nowMs + limitMs) return;
    }
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    for (const [position, callout] of this.#heap.entries()) {
      assert(callout.position === position, 'a callout knows its position');
      const parent = this.#heap[(position - 1) >> 1];
      assert(position === 0 || !this.#before(callout, parent!), 'no callout is due before its parent');
    }
  }

  #before(a: Callout, b: Callout): boolean {
    return a.deadlineMs < b.deadlineMs || (a.deadlineMs === b.deadlineMs && a.sequence < b.sequence);
  }

  #swap(i: number, j: number): void {
    const a = this.#heap[i]!;
    const b = this.#heap[j]!;
    this.#heap[i] = b;
    this.#heap[j] = a;
    b.position = i;
    a.position = j;
  }

  #siftUp(position: number): void {
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!this.#before(this.#heap[position]!, this.#heap[parent]!)) return;
      this.#swap(position, parent);
      position = parent;
    }
  }

  #siftDown(position: number): void {
    for (;;) {
      const left = 2 * position + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child =
        right < this.#heap.length && this.#before(this.#heap[right]!, this.#heap[left]!) ? right : left;
      if (!this.#before(this.#heap[child]!, this.#heap[position]!)) return;
      this.#swap(position, child);
      position = child;
    }
  }
}
