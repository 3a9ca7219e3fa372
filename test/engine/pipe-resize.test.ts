import { describe, expect, test } from 'vitest';

import { EAGAIN, ENOMEM } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { endOf, pattern, World } from '../support/engine.ts';
import { Random } from '../support/random.ts';

const PAGE_BYTES = 4096;
const DEFAULT_BYTES = 16384;
const LARGEST_BYTES = 65536;
const PIPE_BYTES = DEFAULT_BYTES + PAGE_BYTES;
const KVA = 'kern.ipc.pipekva';
const RESIZE_FAILURES = 'kern.ipc.piperesizefail';
const RESIZE_ALLOWED = 'kern.ipc.piperesizeallowed';

function sizeOf(file: File): number {
  return endOf(file).ring.size;
}

/** A FIFO whose descriptors never block. */
function idleFifo(world: World): { reader: File; writer: File } {
  return world.fifoEnds('rn', 'wn');
}

describe('growing', () => {
  test('P18: each write doubles the ring until its bytes fit beside the stored ones', () => {
    const world = new World();
    const { writer } = idleFifo(world);
    expect(world.write(writer, DEFAULT_BYTES).result).toBe(DEFAULT_BYTES);
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    expect(world.write(writer, 1).result).toBe(1);
    expect(sizeOf(writer)).toBe(2 * DEFAULT_BYTES);
    expect(world.write(writer, 100_000).result).toBe(49151);
    expect(sizeOf(writer)).toBe(LARGEST_BYTES);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
  });

  test('P18: the size is chosen when the write starts and not again while it waits', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.tune(RESIZE_ALLOWED, 0);
    const call = world.writeBuffered(writer, pattern(40_000));
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    world.tune(RESIZE_ALLOWED, 1);
    world.read(reader, DEFAULT_BYTES);
    expect(endOf(writer).ring.count).toBe(DEFAULT_BYTES);
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    world.read(reader, DEFAULT_BYTES);
    expect(call.result).toBe(40_000);
  });

  test('P19: no ring gets larger than 65536 bytes', () => {
    const world = new World();
    const { writer } = idleFifo(world);
    expect(world.write(writer, 100_000).result).toBe(LARGEST_BYTES);
    expect(sizeOf(writer)).toBe(LARGEST_BYTES);
  });

  test.each([0, 2, -1])('P20: piperesizeallowed = %i stops growing and shrinking', (value) => {
    const world = new World({ maxPipeKvaBytes: 131072 });
    const { reader, writer } = idleFifo(world);
    world.tune(RESIZE_ALLOWED, value);
    expect(world.write(writer, 20_000).result).toBe(DEFAULT_BYTES);
    world.read(reader, DEFAULT_BYTES);
    for (let other = 0; other < 6; other++) world.open(world.fifo(), 'rn');
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    expect(world.write(writer, 10).result).toBe(10);
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    world.tune(RESIZE_ALLOWED, 1);
    world.write(writer, 10);
    expect(sizeOf(writer)).toBe(PAGE_BYTES);
  });

  test('P21: above half of the budget a ring keeps its size', () => {
    const world = new World({ maxPipeKvaBytes: 131072 });
    const writers = Array.from({ length: 4 }, () => idleFifo(world).writer);
    expect(world.write(writers[0]!, 20_000).result).toBe(DEFAULT_BYTES);
    expect(world.sysctl(RESIZE_FAILURES)).toBe(0);
  });

  test.each([
    [122880, 20_000],
    [122878, DEFAULT_BYTES],
  ])('P21: exactly half of the budget lets a ring grow (budget %i)', (maxPipeKvaBytes, accepted) => {
    const world = new World({ maxPipeKvaBytes });
    const writers = Array.from({ length: 3 }, () => idleFifo(world).writer);
    expect(world.sysctl(KVA)).toBe(61440);
    expect(world.write(writers[0]!, 20_000).result).toBe(accepted);
  });

  test('P21: one look at the budget covers all doublings of a write', () => {
    const world = new World({ maxPipeKvaBytes: 131072 });
    const writers = Array.from({ length: 3 }, () => idleFifo(world).writer);
    expect(world.write(writers[0]!, 60_000).result).toBe(60_000);
    expect(sizeOf(writers[0]!)).toBe(LARGEST_BYTES);
  });

  test('P22: the reverse ring grows like any other', () => {
    const world = new World();
    const [first, second] = world.pair(true);
    expect(world.write(first, 5000).result).toBe(5000);
    expect(sizeOf(second)).toBe(2 * PAGE_BYTES);
    expect(world.sysctl(KVA)).toBe(PIPE_BYTES + PAGE_BYTES);
    expect(world.write(first, 100_000).result).toBe(LARGEST_BYTES - 5000);
  });

  test('P26: a ring with a direct write pending keeps its size', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const pending = world.write(writer, DEFAULT_BYTES);
    const other = world.open(fifo, 'wn');
    expect(pending.isBlocked).toBe(true);
    expect(world.write(other, 40_000).result).toBe(-EAGAIN);
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    world.read(reader, DEFAULT_BYTES);
    expect(pending.result).toBe(DEFAULT_BYTES);
    expect(world.write(other, 40_000).result).toBe(40_000);
  });
});

describe('the budget', () => {
  test('P15: pipekva is the sum of the sizes of all live rings after every step', () => {
    const world = new World({ maxPipeKvaBytes: 300_000 });
    const random = new Random(15);
    const data = pattern(30_000);
    const open: (readonly [File, File])[] = [];
    const sizes = new Set<number>();
    for (let step = 0; step < 3000; step++) {
      if (open.length < 12 && random.oneIn(20)) {
        if (random.oneIn(2)) open.push(world.pair(true));
        else {
          const { reader, writer } = idleFifo(world);
          open.push([reader, writer]);
        }
      } else if (open.length > 0 && random.oneIn(40)) {
        for (const file of open.splice(random.below(open.length), 1)[0]!) world.close(file);
      } else if (open.length > 0) {
        const [first, second] = random.pick(open);
        if (random.oneIn(2)) world.write(second, data.subarray(0, random.between(1, data.length)));
        else world.read(first, random.between(1, 30_000));
      }
      let sum = 0;
      for (const [file] of open) {
        for (const { ring } of endOf(file).pair.ends) {
          sum += ring.size;
          sizes.add(ring.size);
        }
      }
      expect(world.sysctl(KVA)).toBe(sum);
    }
    expect([...sizes].sort((a, b) => a - b)).toEqual([PAGE_BYTES, 8192, DEFAULT_BYTES, 32768, LARGEST_BYTES]);
    for (const pair of open) for (const file of pair) world.close(file);
    expect(world.sysctl(KVA)).toBe(0);
  });

  test('P16, P25: when old and new ring do not fit together, the write goes on with the old one', () => {
    const world = new World({ maxPipeKvaBytes: PIPE_BYTES + 2 * DEFAULT_BYTES - 1 });
    const { writer } = idleFifo(world);
    expect(world.write(writer, 20_000).result).toBe(DEFAULT_BYTES);
    expect(world.sysctl(RESIZE_FAILURES)).toBe(1);
    expect(sizeOf(writer)).toBe(DEFAULT_BYTES);
    expect(world.sysctl(KVA)).toBe(PIPE_BYTES);
    expect(world.host.logged).toEqual([]);
  });

  test('P16: when both just fit, the old one is given back afterwards', () => {
    const world = new World({ maxPipeKvaBytes: PIPE_BYTES + 2 * DEFAULT_BYTES });
    const { writer } = idleFifo(world);
    expect(world.write(writer, 20_000).result).toBe(20_000);
    expect(world.sysctl(RESIZE_FAILURES)).toBe(0);
    expect(world.sysctl(KVA)).toBe(PIPE_BYTES + DEFAULT_BYTES);
  });

  test('P16: sizes are whole pages and never less than what is stored', () => {
    const world = new World();
    const { reader, writer } = idleFifo(world);
    world.write(writer, 5000);
    const { ring } = endOf(reader);
    expect(ring.resize(1)).toBe(0);
    expect(ring.size).toBe(2 * PAGE_BYTES);
    expect(ring.resize(3 * PAGE_BYTES + 1)).toBe(0);
    expect(ring.size).toBe(4 * PAGE_BYTES);
    expect(world.read(reader, 6000).bytes).toEqual(pattern(5000));
  });

  test('P25: a read whose shrinking is refused goes on as well', () => {
    const world = new World({ maxPipeKvaBytes: PIPE_BYTES });
    const { reader, writer } = idleFifo(world);
    world.write(writer, 'abc');
    expect(world.read(reader, 10).text).toBe('abc');
    expect(world.sysctl(RESIZE_FAILURES)).toBe(2);
    expect(endOf(reader).ring.resize(PAGE_BYTES)).toBe(-ENOMEM);
  });

  test('P17: stored bytes keep their order through a resize, wrapped ones too', () => {
    const world = new World();
    const { reader, writer } = idleFifo(world);
    const stream = pattern(27_384);
    world.write(writer, stream.subarray(0, 16384));
    world.read(reader, 10_000);
    world.write(writer, stream.subarray(16384, 25384));
    const { ring } = endOf(reader);
    expect(ring.in).toBeLessThan(ring.out);
    expect(world.write(writer, stream.subarray(25384)).result).toBe(2000);
    expect({ size: ring.size, out: ring.out, in: ring.in }).toEqual({ size: 32768, out: 0, in: 17384 });
    expect(world.read(reader, 32768).bytes).toEqual(stream.subarray(10_000));
  });
});
