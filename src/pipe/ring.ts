import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import { ENOMEM } from '../kern/errno.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import { PAGE_SIZE_BYTES, type PipeBudget, SMALL_PIPE_SIZE_BYTES } from './budget.ts';

const noStorage = new Uint8Array(0);

/**
 * A pipe's circular buffer (struct pipebuf). Invariants: 0 <= count <= size; the stored bytes are the `count` bytes from
 * `out` on, wrapping at `size`; both indices are 0 when it is empty (P35, P69).
 */
export class Ring {
  readonly #budget: PipeBudget;
  /** Whose quota holds the ring. */
  account: Account;
  #storage: Uint8Array = noStorage;
  /** Capacity in bytes, booked in the budget; 0 when the ring has been freed. */
  size = 0;
  /** Bytes stored. */
  count = 0;
  /** Where the next byte is stored. */
  in = 0;
  /** Where the next byte is taken. */
  out = 0;

  constructor(budget: PipeBudget, account: Account) {
    this.#budget = budget;
    this.account = account;
  }

  get space(): number {
    return this.size - this.count;
  }

  /**
   * Makes the ring `wantedBytes` large, or as large as its content needs, in whole pages. Old and new are booked together
   * for a moment, and on failure the ring stays as it is (P5, P16, P17; pipespace_new). 0 or -ENOMEM.
   */
  resize(wantedBytes: number): number {
    const budget = this.#budget;
    let sizeBytes = roundToPage(Math.max(wantedBytes, this.count));
    if (this.size === 0) {
      if (!this.#reserve(sizeBytes)) {
        if (sizeBytes > SMALL_PIPE_SIZE_BYTES) {
          budget.fragmentationRetries++;
          sizeBytes = SMALL_PIPE_SIZE_BYTES;
          if (this.#reserve(sizeBytes)) {
            this.size = sizeBytes;
            return 0;
          }
        }
        // A user at its quota is its own business, and must not fill the administrator's log.
        if (this.account.holds(Resource.PipeBytes, sizeBytes)) budget.creationFailed();
        return -ENOMEM;
      }
      this.size = sizeBytes;
      return 0;
    }
    if (!this.#reserve(sizeBytes)) {
      budget.resizeFailures++;
      return -ENOMEM;
    }
    const old = this.#storage;
    if (this.count > 0) {
      const storage = budget.takeStorage(sizeBytes);
      if (storage === null) {
        this.#release(sizeBytes);
        budget.resizeFailures++;
        return -ENOMEM;
      }
      const firstBytes = Math.min(this.count, this.size - this.out);
      storage.set(old.subarray(this.out, this.out + firstBytes), 0);
      storage.set(old.subarray(0, this.count - firstBytes), firstBytes);
      this.#storage = storage;
    } else {
      this.#storage = noStorage;
    }
    if (old !== noStorage) budget.giveStorage(old);
    this.#release(this.size);
    this.size = sizeBytes;
    this.out = 0;
    this.in = this.count;
    return 0;
  }

  /** Gives the memory back and forgets the content (pipe_free_kmem; P114, P115). */
  free(): void {
    if (this.#storage !== noStorage) this.#budget.giveStorage(this.#storage);
    this.#storage = noStorage;
    this.#release(this.size);
    this.size = 0;
    this.count = 0;
    this.in = 0;
    this.out = 0;
  }

  /** Stores `length` bytes of the writer's, at most `space`. 0, or -EFAULT or -ENOMEM with nothing stored (P61, P69). */
  store(uio: WriteUio, length: number): number {
    assert(length <= this.space, 'a ring is never overfilled');
    const storage = this.#writable();
    if (storage === null) return -ENOMEM;
    const error = uio.moveIn(storage, this.in, length);
    if (error !== 0) return error;
    this.#stored(length);
    return 0;
  }

  /** Stores bytes that are at hand in the empty ring: the rest of an interrupted direct chunk (P76). How many it took: all, or none. */
  fill(bytes: Uint8Array): number {
    assert(this.count === 0 && bytes.length <= this.size, 'only an empty ring is filled');
    const storage = this.#writable();
    if (storage === null) return 0;
    storage.set(bytes, 0);
    this.#stored(bytes.length);
    return bytes.length;
  }

  /** Takes the memory that stored bytes need: 0 or -ENOMEM. */
  prepare(): number {
    return this.#writable() === null ? -ENOMEM : 0;
  }

  /** Stores bytes that are at hand behind those that are there. 0, or -ENOMEM with nothing stored. */
  append(bytes: Uint8Array): number {
    assert(bytes.length <= this.space, 'a ring is never overfilled');
    if (bytes.length === 0) return 0;
    const storage = this.#writable();
    if (storage === null) return -ENOMEM;
    const firstBytes = Math.min(bytes.length, this.size - this.in);
    storage.set(bytes.subarray(0, firstBytes), this.in);
    storage.set(bytes.subarray(firstBytes), 0);
    this.#stored(bytes.length);
    return 0;
  }

  /** Hands `length` stored bytes to a reader without taking them, from `offset` of the oldest on. 0 or -EFAULT. */
  show(uio: ReadUio, offset: number, length: number): number {
    assert(offset + length <= this.count, 'only stored bytes are shown');
    const start = (this.out + offset) % this.size;
    const firstBytes = Math.min(length, this.size - start);
    const error = uio.moveOut(this.#storage, start, firstBytes);
    if (error !== 0 || firstBytes === length) return error;
    return uio.moveOut(this.#storage, 0, length - firstBytes);
  }

  /** Forgets the oldest `length` bytes. */
  discard(length: number): void {
    assert(length <= this.count, 'only stored bytes are forgotten');
    this.out = (this.out + length) % this.size;
    this.count -= length;
    if (this.count === 0) {
      this.in = 0;
      this.out = 0;
    }
  }

  /** How many of the bytes from `offset` on there are up to the first `byte`, with it; -1 when it does not come. */
  lengthUpTo(byte: number, offset: number): number {
    for (let at = offset; at < this.count;) {
      const start = (this.out + at) % this.size;
      const run = Math.min(this.count - at, this.size - start);
      const found = this.#storage.subarray(start, start + run).indexOf(byte);
      if (found >= 0) return at + found + 1 - offset;
      at += run;
    }
    return -1;
  }

  /** Moves one contiguous run of stored bytes to the reader. 0, or -EFAULT with nothing moved. */
  take(uio: ReadUio): number {
    const length = Math.min(this.count, this.size - this.out, uio.residual);
    const error = uio.moveOut(this.#storage, this.out, length);
    if (error !== 0) return error;
    this.out += length;
    if (this.out === this.size) this.out = 0;
    this.count -= length;
    if (this.count === 0) {
      this.in = 0;
      this.out = 0;
    }
    return 0;
  }

  /** A copy of up to `limitBytes` stored bytes, oldest first, without taking them. */
  peek(limitBytes: number): Uint8Array {
    const copy = new Uint8Array(Math.min(this.count, limitBytes));
    const firstBytes = Math.min(copy.length, this.size - this.out);
    copy.set(this.#storage.subarray(this.out, this.out + firstBytes), 0);
    copy.set(this.#storage.subarray(0, copy.length - firstBytes), firstBytes);
    return copy;
  }

  /** Repeats the invariants; PipeEnd.checkInvariants calls it. */
  checkInvariants(): void {
    assert(this.count >= 0 && this.count <= this.size, '0 <= count <= size');
    assert(this.count > 0 || (this.in === 0 && this.out === 0), 'an empty ring starts at 0');
    assert(
      this.count === 0 || (this.out + this.count) % this.size === this.in % this.size,
      'in = out + count, wrapped',
    );
    const memoryBytes = this.#storage.length;
    assert(memoryBytes === 0 || memoryBytes === this.size, 'a ring has the memory that is booked for it');
    assert(memoryBytes > 0 || this.count === 0, 'stored bytes lie in memory');
  }

  /** Whether the quota and the budget hold another size, beside what is booked now. */
  mayBecome(sizeBytes: number): boolean {
    return this.account.holds(Resource.PipeBytes, sizeBytes) && this.#budget.holds(sizeBytes);
  }

  #reserve(sizeBytes: number): boolean {
    if (this.account.charge(Resource.PipeBytes, sizeBytes) !== 0) return false;
    if (this.#budget.reserve(sizeBytes)) return true;
    this.account.release(Resource.PipeBytes, sizeBytes);
    return false;
  }

  #release(sizeBytes: number): void {
    this.account.release(Resource.PipeBytes, sizeBytes);
    this.#budget.release(sizeBytes);
  }

  /** The memory to store to, which the first byte asks for; null when there is none. */
  #writable(): Uint8Array | null {
    if (this.#storage !== noStorage) return this.#storage;
    const storage = this.#budget.takeStorage(this.size);
    if (storage !== null) this.#storage = storage;
    return storage;
  }

  #stored(length: number): void {
    this.in += length;
    if (this.in >= this.size) this.in -= this.size;
    this.count += length;
  }
}

function roundToPage(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES;
}
