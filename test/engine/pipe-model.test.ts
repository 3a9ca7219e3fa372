import { expect, test } from 'vitest';

import { assert } from '../../src/kern/assert.ts';
import { EAGAIN, ENOMEM } from '../../src/kern/errno.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { BIG_PIPE_SIZE_BYTES, PAGE_SIZE_BYTES, SMALL_PIPE_SIZE_BYTES } from '../../src/pipe/budget.ts';
import { endOf, pattern, user, World } from '../support/engine.ts';
import { longTest, Random, seedFromEnvironment } from '../support/random.ts';

const OPERATIONS = 1_000_000;
const LONGEST_BYTES = 30_000;
/** The stream repeats after a prime number of bytes, so that bytes out of place do not match by chance. */
const PERIOD_BYTES = 65_521;

const period = pattern(PERIOD_BYTES);
const stream = new Uint8Array(PERIOD_BYTES + BIG_PIPE_SIZE_BYTES);
stream.set(period);
stream.set(period.subarray(0, BIG_PIPE_SIZE_BYTES), PERIOD_BYTES);

/** Bytes of the stream from `position` on. */
function streamAt(position: number, length: number): Uint8Array {
  return stream.subarray(position % PERIOD_BYTES, (position % PERIOD_BYTES) + length);
}

/** Runs an operation that does not sleep, without the cost of a thread. */
function finish(operation: Operation<number>): number {
  const step = operation.next(0);
  assert(step.done === true, 'a non-blocking call does not sleep');
  return step.value;
}

/** A pair's ring beside its model: the numbers of bytes that have gone in and come out. */
class ModelledRing {
  readonly #world = new World({ maxPipeKvaBytes: 8 * BIG_PIPE_SIZE_BYTES });
  readonly #files = this.#world.pair(true);
  readonly #end = endOf(this.#files[0]);
  readonly #buffer = new Uint8Array(BIG_PIPE_SIZE_BYTES);
  written = 0;
  taken = 0;

  get queued(): number {
    return this.written - this.taken;
  }

  write(length: number): void {
    const [, file] = this.#files;
    const { ring } = this.#end;
    const atomic = length <= this.#world.pipes.pipeBufBytes;
    const result = finish(file.ops.write(file, new WriteUio([streamAt(this.written, length)]), user));
    if (result === -EAGAIN) {
      assert(ring.space === 0 || (atomic && ring.space < length), 'EAGAIN means that there is no room');
      return;
    }
    this.written += result;
    assert(result === length || (!atomic && result > 0 && ring.space === 0), 'a short write fills the ring');
  }

  read(length: number): void {
    const [file] = this.#files;
    const { queued } = this;
    const target = this.#buffer.subarray(0, length);
    const result = finish(file.ops.read(file, new MemoryReadUio([target]), user));
    assert(result === (queued === 0 ? -EAGAIN : Math.min(length, queued)), 'a read gets what is there');
    if (result > 0) this.#take(target.subarray(0, result));
  }

  /** What an interrupted direct write leaves (P76, P81). */
  fill(length: number): void {
    const { ring } = this.#end;
    while (this.queued > 0) this.read(LONGEST_BYTES);
    const count = Math.min(length, ring.size);
    ring.fill(streamAt(this.written, count));
    this.written += count;
  }

  peek(length: number): void {
    const bytes = this.#end.ring.peek(length);
    assert(bytes.length === Math.min(length, this.queued), 'a peek sees what is there');
    assert(Buffer.compare(bytes, streamAt(this.taken, bytes.length)) === 0, 'a peek sees the oldest bytes');
  }

  /** To whole pages, and never to less than is stored; where the budget does not hold both, nothing changes. */
  resize(wantedBytes: number): void {
    const { ring } = this.#end;
    const { budget } = this.#world.pipes;
    const pages = Math.ceil(Math.max(wantedBytes, this.queued) / PAGE_SIZE_BYTES);
    const fits = budget.usedBytes + pages * PAGE_SIZE_BYTES <= budget.maximumBytes;
    const expectedSize = fits ? pages * PAGE_SIZE_BYTES : ring.size;
    assert(ring.resize(wantedBytes) === (fits ? 0 : -ENOMEM), 'the budget decides');
    assert(ring.size === expectedSize, 'the size is what was asked for, or as before');
    assert(!fits || ring.out === 0, 'the bytes stand at the beginning');
  }

  /** Lets the engine grow rings, keep them, or shrink them at the next chance. */
  press(choice: number): void {
    const { budget } = this.#world.pipes;
    this.#world.pipes.resizeAllowed = choice === 0 ? 0 : 1;
    budget.maximumBytes = choice === 1 ? budget.usedBytes + BIG_PIPE_SIZE_BYTES : 8 * BIG_PIPE_SIZE_BYTES;
  }

  check(): void {
    const { ring } = this.#end;
    this.#end.checkInvariants();
    assert(ring.count === this.queued, 'the ring holds what went in and has not come out');
    assert(this.#world.pipes.budget.usedBytes === ring.size + SMALL_PIPE_SIZE_BYTES, 'the budget is in step');
  }

  #take(bytes: Uint8Array): void {
    assert(Buffer.compare(bytes, streamAt(this.taken, bytes.length)) === 0, 'bytes come out as they went in');
    this.taken += bytes.length;
  }
}

test(
  'P33, P34, P54, P55, P69, P81: a ring does what a queue of bytes does, whatever its size',
  longTest,
  () => {
    const seed = seedFromEnvironment();
    console.log(`${OPERATIONS} operations with IPCFS_SEED=${seed}`);
    const random = new Random(seed);
    const ring = new ModelledRing();
    let operation = 0;
    try {
      for (; operation < OPERATIONS; operation++) {
        const length = random.oneIn(3) ? random.between(1, LONGEST_BYTES) : random.between(1, 2000);
        const choice = random.below(100);
        if (choice < 48) ring.write(length);
        else if (choice < 95) ring.read(length);
        else if (choice === 95) ring.fill(length);
        else if (choice === 96) ring.peek(length);
        else if (choice === 97) ring.press(random.below(8));
        else ring.resize(random.between(1, BIG_PIPE_SIZE_BYTES));
        ring.check();
      }
    } catch (cause) {
      throw new Error(`IPCFS_SEED=${seed}, operation ${operation}: ${String(cause)}`, { cause });
    }
    expect(ring.written).toBeGreaterThan(OPERATIONS);
    expect(ring.taken).toBeLessThanOrEqual(ring.written);
  },
);

test('P76: only an empty ring is filled, and only with what it can hold', () => {
  const world = new World();
  const [near, far] = world.pair(true);
  const { ring } = endOf(near);
  expect(() => {
    ring.fill(new Uint8Array(ring.size + 1));
  }).toThrow('only an empty ring is filled');
  world.write(far, 1);
  expect(() => {
    ring.fill(new Uint8Array(1));
  }).toThrow('only an empty ring is filled');
  expect(ring.count).toBe(1);
});
