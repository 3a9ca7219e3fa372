import { describe, expect, test } from 'vitest';

import { EACCES, EAGAIN, EFAULT } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { pipeInfo } from '../../src/pipe/anonymous.ts';
import { endOf, pattern, World } from '../support/engine.ts';

const RING_BYTES = 16384;

/** Makes the ring of an idle FIFO hold the last `count` bytes of `stream`, half of them before its end, half after. */
function wrap(world: World, reader: File, writer: File, stream: Uint8Array, count: number): void {
  const firstBytes = RING_BYTES;
  world.write(writer, stream.subarray(0, firstBytes));
  world.read(reader, firstBytes - count / 2);
  world.write(writer, stream.subarray(firstBytes, firstBytes + count / 2));
  const { ring } = endOf(reader);
  expect({ in: ring.in, out: ring.out, count: ring.count }).toEqual({
    in: count / 2,
    out: RING_BYTES - count / 2,
    count,
  });
}

describe('amounts', () => {
  test('P33: a read returns what there is without waiting for more, across the end of the ring', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds('rn', 'wn');
    const stream = pattern(RING_BYTES + 50);
    wrap(world, reader, writer, stream, 100);
    const read = world.read(world.open(fifo, 'r'), 1000);
    expect(read.bytes).toEqual(stream.subarray(RING_BYTES - 50));
  });

  test('P34: a read takes the smaller of what it wants and what is stored', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(50);
    world.write(writer, data);
    expect(world.read(reader, 20).bytes).toEqual(data.subarray(0, 20));
    expect(world.read(reader, 100).bytes).toEqual(data.subarray(20));
  });

  test('P35: an empty ring starts at index 0 again', () => {
    const world = new World();
    const [first, second] = world.pair();
    world.write(first, 10);
    world.read(second, 4);
    expect(pipeInfo(endOf(second))).toEqual({ count: 6, in: 10, out: 4, sizeBytes: 4096 });
    world.read(second, 6);
    expect(pipeInfo(endOf(second))).toEqual({ count: 0, in: 0, out: 0, sizeBytes: 4096 });
  });

  test('P40: a zero-length read returns 0 and does not enter the pipe at all', () => {
    const world = new World({ maxPipeKvaBytes: 20480 });
    const { reader } = world.fifoEnds();
    const before = { ...endOf(reader).times };
    world.host.clock.advance(1000);
    world.pipes.policy = { checkRead: () => -EACCES };
    expect(world.read(reader, 0).result).toBe(0);
    expect(endOf(reader).times).toEqual(before);
    expect(world.sysctl('kern.ipc.piperesizefail')).toBe(0);
    expect(world.read(reader, 1).result).toBe(-EACCES);
  });
});

describe('the end of the stream, and nothing to read', () => {
  test('P36: end-of-file reads 0 again and again', () => {
    const world = new World();
    for (const mode of ['r', 'rn']) {
      const fifo = world.fifo();
      const first = world.open(fifo, 'rn');
      const writer = world.open(fifo, 'w');
      const reader = world.open(fifo, mode);
      world.close(writer);
      for (const file of [first, reader, reader]) expect(world.read(file, 10).result).toBe(0);
    }
    const [near, far] = world.pair();
    world.close(far);
    for (let time = 0; time < 2; time++) expect(world.read(near, 10).result).toBe(0);
  });

  test('P37: what is stored comes before end-of-file', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, 'abc');
    world.close(writer);
    expect(world.read(reader, 2).text).toBe('ab');
    expect(world.read(reader, 10).text).toBe('c');
    expect(world.read(reader, 10).result).toBe(0);
  });

  test('P38: a non-blocking read of an empty pipe with a writer is EAGAIN', () => {
    const world = new World();
    const { reader } = world.fifoEnds();
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    for (const file of world.pair(true)) expect(world.read(file, 1).result).toBe(-EAGAIN);
  });
});

describe('times and counters', () => {
  test('P41: the access time moves when bytes moved', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, 'abc');
    world.host.clock.advance(1000);
    world.read(reader, 2);
    expect(endOf(reader).times.accessed).toEqual(world.host.clock.realtime());
  });

  test('P41: it does not move on EAGAIN, EINTR, a fault or end-of-file', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const before = endOf(reader).times.accessed;
    world.host.clock.advance(1000);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    const blocked = world.read(world.open(fifo, 'r'), 1);
    blocked.signal();
    expect(blocked.result).toBeLessThan(0);
    world.write(writer, 'abc');
    expect(world.readv(reader, [{ unreadableBytes: 3 }]).result).toBe(-EFAULT);
    expect(endOf(reader).times.accessed).toEqual(before);
    world.read(reader, 3);
    const after = endOf(reader).times.accessed;
    world.host.clock.advance(1000);
    world.close(writer);
    expect(world.read(reader, 1).result).toBe(0);
    expect(endOf(reader).times.accessed).toEqual(after);
  });

  test('P49: every read that moved bytes is one message received, no other', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    world.write(writer, 'abc');
    for (let count = 0; count < 3; count++) world.read(reader, 1);
    world.close(writer);
    expect(world.read(reader, 1).result).toBe(0);
    expect(reader.messagesReceived).toBe(3);
  });
});

describe('faults', () => {
  test('P42: a fault after a wrapped piece gives the short count, and the rest stays stored', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds('rn', 'wn');
    const stream = pattern(RING_BYTES + 10);
    wrap(world, reader, writer, stream, 20);
    const good = new Uint8Array(10);
    expect(world.readv(reader, [good, { unreadableBytes: 10 }]).result).toBe(10);
    expect(good).toEqual(stream.subarray(RING_BYTES - 10, RING_BYTES));
    expect(world.read(reader, 100).bytes).toEqual(stream.subarray(RING_BYTES));
  });

  test('P42: a fault in the first piece is EFAULT and takes nothing', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(20);
    world.write(writer, data);
    const segments = [new Uint8Array(10), { unreadableBytes: 10 }];
    expect(world.readv(reader, segments).result).toBe(-EFAULT);
    expect(reader.messagesReceived).toBe(0);
    expect(world.read(reader, 100).bytes).toEqual(data);
  });

  test('P42: a fault on a direct chunk leaves the chunk as it was', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(10_000);
    const write = world.write(writer, data);
    expect(world.readv(reader, [{ unreadableBytes: 4000 }]).result).toBe(-EFAULT);
    expect(write.isBlocked).toBe(true);
    expect(world.read(reader, 20_000).bytes).toEqual(data);
    expect(write.result).toBe(10_000);
  });
});
