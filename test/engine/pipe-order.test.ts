import { describe, expect, test } from 'vitest';

import { EAGAIN } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { endOf, pattern, user, World } from '../support/engine.ts';
import { Random } from '../support/random.ts';

const LONGEST_BYTES = 30_000;
const seeds = [1, 2, 3, 4];

/** What a pipe should be: bytes in the order in which they were accepted. */
class ByteQueue {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  get length(): number {
    return this.#bytes.length;
  }

  push(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + bytes.length);
    joined.set(this.#bytes);
    joined.set(bytes, this.#bytes.length);
    this.#bytes = joined;
  }

  shift(count: number): Uint8Array {
    const first = this.#bytes.slice(0, count);
    this.#bytes = this.#bytes.slice(count);
    return first;
  }
}

/** Cheaper than a matcher that would describe the difference. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

describe('bytes come out as they went in', () => {
  test.each(seeds)('P69: random non-blocking reads and writes agree with a byte queue (seed %i)', (seed) => {
    const random = new Random(seed);
    const world = new World();
    const { reader, writer } = world.fifoEnds('rn', 'wn');
    const queue = new ByteQueue();
    const end = endOf(reader);
    const source = pattern(2 * LONGEST_BYTES, seed);
    const steps = 1500;
    for (let step = 0; step < steps; step++) {
      const count = random.between(1, LONGEST_BYTES);
      if (random.oneIn(2)) {
        const from = random.below(source.length - count);
        const data = source.subarray(from, from + count);
        const written = world.write(writer, data).result!;
        if (written > 0) queue.push(data.subarray(0, written));
        else expect(written).toBe(-EAGAIN);
      } else {
        const read = world.read(reader, count);
        if (queue.length === 0) expect(read.result).toBe(-EAGAIN);
        else expect(same(read.bytes, queue.shift(count))).toBe(true);
      }
      expect(end.ring.count).toBe(queue.length);
      end.checkInvariants();
    }
  });

  test.each(seeds)('P69: blocking writes of every kind arrive whole and in order (seed %i)', (seed) => {
    const random = new Random(seed);
    const world = new World({ choose: (count) => random.below(count) });
    const [reader, writer] = world.pair();
    const stream = pattern(600_000, seed);
    function* writeAll(): Operation<number> {
      let at = 0;
      while (at < stream.length) {
        const segments: Uint8Array[] = [];
        for (let count = random.between(1, 4); count > 0 && at < stream.length; count--) {
          const length = Math.min(random.between(1, LONGEST_BYTES), stream.length - at);
          segments.push(stream.subarray(at, at + length));
          at += length;
        }
        const uio = new WriteUio(segments);
        const wanted = uio.residual;
        expect(yield* writer.ops.write(writer, uio, user)).toBe(wanted);
      }
      return at;
    }
    function* readAll(file: File): Operation<number> {
      const received = new Uint8Array(stream.length);
      let at = 0;
      while (at < received.length) {
        const uio = new MemoryReadUio([received.subarray(at, at + random.between(1, LONGEST_BYTES))]);
        at += yield* file.ops.read(file, uio, user);
        endOf(file).checkInvariants();
      }
      return same(received, stream) ? at : -1;
    }
    const calls = [world.spawn(writeAll()), world.spawn(readAll(reader))];
    world.kernel.scheduler.run();
    expect(calls.map((call) => call.result)).toEqual([stream.length, stream.length]);
  });
});
