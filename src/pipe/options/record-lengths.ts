import { assert } from '../../kern/assert.ts';
import type { Host } from '../../kern/host.ts';
import { allocate } from '../../kern/memory.ts';

const FIRST_COUNT = 16;

/** The lengths of the records in a ring, oldest first: four bytes for each, in memory that grows by doubling. */
export class RecordLengths {
  readonly #host: Host;
  #lengths: Uint32Array = new Uint32Array(0);
  #first = 0;
  count = 0;
  /** Bytes of all records. */
  totalBytes = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Bytes of memory that the lengths take. */
  get memoryBytes(): number {
    return this.#lengths.byteLength;
  }

  /** Bytes of memory that the lengths of `count` records take more: 0 when they have room. */
  growthBytes(count: number): number {
    let size = this.#lengths.length;
    while (size < count) size = Math.max(2 * size, FIRST_COUNT);
    return (size - this.#lengths.length) * 4;
  }

  /** Takes `moreBytes` of memory; false when there is none. */
  grow(moreBytes: number): boolean {
    const memory = allocate(this.#host, this.memoryBytes + moreBytes);
    if (memory === null) return false;
    const grown = new Uint32Array(memory.buffer);
    for (let index = 0; index < this.count; index++) grown[index] = this.at(index);
    this.#lengths = grown;
    this.#first = 0;
    return true;
  }

  /** The length of a record: 0 is the oldest. */
  at(index: number): number {
    return this.#lengths[(this.#first + index) % this.#lengths.length]!;
  }

  get first(): number {
    return this.at(0);
  }

  get last(): number {
    return this.at(this.count - 1);
  }

  /** Removes the newest record, of which nothing is left. */
  pop(): void {
    assert(this.last === 0, 'only an empty record is removed at the end');
    this.count--;
  }

  /** Adds a record at the end; there is room for it. */
  push(length: number): void {
    assert(this.count < this.#lengths.length, 'there is room for a record before it comes');
    this.#lengths[(this.#first + this.count) % this.#lengths.length] = length;
    this.count++;
    this.totalBytes += length;
  }

  /** The newest record gets longer. */
  extendLast(length: number): void {
    this.#lengths[(this.#first + this.count - 1) % this.#lengths.length]! += length;
    this.totalBytes += length;
  }

  /** The oldest record gets shorter from its front; one of which nothing is left stays. */
  shortenFirst(length: number): void {
    this.#lengths[this.#first]! -= length;
    this.totalBytes -= length;
  }

  /** Removes the oldest record. */
  shift(): void {
    this.totalBytes -= this.first;
    this.#first = (this.#first + 1) % this.#lengths.length;
    this.count--;
  }

  /** Forgets all records and keeps the memory. */
  empty(): void {
    this.#first = 0;
    this.count = 0;
    this.totalBytes = 0;
  }

  /** Forgets all records and the memory. */
  clear(): void {
    this.empty();
    this.#lengths = new Uint32Array(0);
  }

  checkInvariants(): void {
    let totalBytes = 0;
    for (let index = 0; index < this.count; index++) totalBytes += this.at(index);
    assert(totalBytes === this.totalBytes, 'the lengths of records add up');
  }
}
