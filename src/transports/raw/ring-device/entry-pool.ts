import createDebug from 'debug';
import { assert } from '../../../kern/assert.ts';
import { errnoName } from '../../../kern/errno.ts';
import type { EntryMemory } from './entry-memory.ts';
import type { EntryRing } from './entry-ring.ts';
import { RingEntry } from './ring-entry.ts';

const log = createDebug('ipcfs:ring');

/** Entries of one block of memory, and of one step of growth at least and at most. */
const BLOCK_ENTRIES = 32;
const MOST_GROWTH = 1024;
/** Payloads from this size on are given back when they are free, */
const LARGE_BYTES = 64 * 1024;
/** but for those of so many entries, which bulk transfers use again and again. */
const WARM_ENTRIES = 8;
/** After memory for more entries was refused, it is asked for again so much later. */
const RETRY_MS = 1000;

export interface EntryPoolOptions {
  /** Queues of the kernel: one for each processor that the machine may have. */
  readonly queueCount: number;
  /** Entries that each queue has before any call is blocked. */
  readonly initialCount: number;
  /** Entries of all queues at most. */
  readonly entryLimit: number;
  /** Whether there is memory for a block of so many entries. */
  readonly hasMemory: (entryCount: number) => boolean;
}

/** The entries of a ring: how many each queue has, which have a request, and the memory of their payloads. */
export class EntryPool {
  readonly entries: RingEntry[] = [];
  readonly #ring: EntryRing;
  readonly #memory: EntryMemory;
  readonly #options: EntryPoolOptions;
  /** Entries by queue, and those of them that have no request. */
  readonly #counts: Int32Array;
  readonly #freeCounts: Int32Array;
  /** A queue whose free entries are at most so many, or fewer than half of its others, gets more. */
  readonly #lowCount: number;
  #isLow = false;
  #growAgainMs = -Infinity;
  /** Free entries whose payload is large, the one that was used last at the end. */
  readonly #large = new Set<RingEntry>();

  constructor(ring: EntryRing, memory: EntryMemory, options: EntryPoolOptions) {
    this.#ring = ring;
    this.#memory = memory;
    this.#options = options;
    this.#counts = new Int32Array(options.queueCount);
    this.#freeCounts = new Int32Array(options.queueCount);
    this.#lowCount = options.initialCount >> 1;
  }

  get freeCount(): number {
    return this.#freeCounts.reduce((sum, count) => sum + count, 0);
  }

  /** Gives every queue its first entries; false when there is no memory for them. */
  start(): boolean {
    const { initialCount } = this.#options;
    for (let queue = 0; queue < this.#counts.length; queue++) {
      while (this.#counts[queue]! < initialCount) {
        const count = Math.min(BLOCK_ENTRIES, initialCount - this.#counts[queue]!);
        if (!this.#add(queue, count)) return false;
      }
    }
    return true;
  }

  /** Whether every queue has an entry: the kernel uses the ring only then. */
  get isComplete(): boolean {
    return this.#counts.every((count) => count > 0);
  }

  /** The kernel has put a request into the entry. */
  taken(entry: RingEntry): void {
    entry.isHeld = true;
    if (entry.payloadBytes > entry.touchedBytes) entry.touchedBytes = entry.payloadBytes;
    if (this.#large.size > 0) this.#large.delete(entry);
    this.#freeCounts[entry.queue]!--;
    if (this.#hasFew(entry.queue)) this.#isLow = true;
  }

  /** The request has been answered: the entry is about to be the kernel's again. */
  answered(entry: RingEntry): void {
    entry.isHeld = false;
    this.#freeCounts[entry.queue]!++;
    if (entry.touchedBytes >= LARGE_BYTES) this.#large.add(entry);
  }

  /** The kernel has not taken a free entry, or has given it up: it is not used any more. */
  lost(entry: RingEntry, error: number): void {
    log('entry %d of queue %d: %s', entry.index, entry.queue, errnoName(error));
    this.#counts[entry.queue]!--;
    this.#freeCounts[entry.queue]!--;
    this.#large.delete(entry);
    // Another one would be refused as well.
    this.#growAgainMs = performance.now() + RETRY_MS;
  }

  #hasFew(queue: number): boolean {
    const freeCount = this.#freeCounts[queue]!;
    return freeCount <= this.#lowCount || 3 * freeCount <= this.#counts[queue]!;
  }

  /**
   * Gives more entries to queues that have few free ones, as many again as have requests, up to the limit. It is done early: Linux gives
   * calls that wait in a queue no new entry, but only one that an answer frees (R5).
   */
  grow(): void {
    if (!this.#isLow) return;
    this.#isLow = false;
    for (let queue = 0; queue < this.#counts.length; queue++) {
      if (!this.#hasFew(queue)) continue;
      const left = this.#options.entryLimit - this.entries.length;
      const isPause = this.#growAgainMs !== -Infinity && performance.now() < this.#growAgainMs;
      if (left <= 0 || isPause) continue;
      const heldCount = this.#counts[queue]! - this.#freeCounts[queue]!;
      const count = Math.min(left, MOST_GROWTH, Math.max(BLOCK_ENTRIES, heldCount));
      if (!this.#add(queue, count) && !this.#add(queue, Math.min(left, BLOCK_ENTRIES))) {
        log('no memory for more entries');
        this.#growAgainMs = performance.now() + RETRY_MS;
      }
    }
  }

  /** Gives memory of large payloads back. Only while no completion is left to take, and the kernel has taken every answer. */
  trim(): void {
    if (this.#large.size <= WARM_ENTRIES) return;
    for (const entry of this.#large) {
      if (this.#large.size <= WARM_ENTRIES) return;
      this.#large.delete(entry);
      this.#memory.release(entry.payload);
      entry.touchedBytes = 0;
    }
  }

  /** Gives all memory back, once the kernel has given up the entries. */
  free(): void {
    this.entries.length = 0;
    this.#large.clear();
    this.#memory.free();
  }

  #add(queue: number, count: number): boolean {
    const block = this.#options.hasMemory(count) ? this.#memory.allocate(count) : null;
    if (block === null) return false;
    for (let place = 0; place < count; place++) {
      const index = this.entries.length;
      this.entries.push(new RingEntry(index, queue, block.header(place), block.payload(place)));
      this.#ring.register(index, queue, block.vectorAddress(place));
    }
    this.#counts[queue]! += count;
    this.#freeCounts[queue]! += count;
    return true;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    const held = new Int32Array(this.#counts.length);
    for (const entry of this.entries) if (entry.isHeld) held[entry.queue]!++;
    for (const [queue, count] of this.#counts.entries()) {
      assert(this.#freeCounts[queue] === count - held[queue]!, 'an entry is free or has a request');
    }
    assert(this.entries.length <= this.#options.entryLimit, 'there are no more entries than their limit');
    for (const entry of this.#large) {
      assert(!entry.isHeld && entry.touchedBytes >= LARGE_BYTES, 'only free large payloads are given back');
    }
  }
}
