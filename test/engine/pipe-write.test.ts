import { describe, expect, test } from 'vitest';

import { EAGAIN, EFAULT, EPIPE } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { POLLOUT } from '../../src/kern/poll.ts';
import { endOf, pattern, World } from '../support/engine.ts';

const DEFAULT_BYTES = 16384;
const LARGEST_BYTES = 65536;

/** An idle FIFO of the largest size with `freeBytes` of room. */
function almostFull(freeBytes: number, writeMode = 'wn'): { world: World; reader: File; writer: File } {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', writeMode);
  const stored = LARGEST_BYTES - freeBytes;
  expect(world.writeBuffered(writer, pattern(stored)).result).toBe(stored);
  return { world, reader, writer };
}

function stored(file: File): number {
  return endOf(file).ring.count;
}

describe('no reader', () => {
  test('P51: a write is EPIPE, a zero-length one too', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.close(reader);
    expect(world.write(writer, '').result).toBe(-EPIPE);
    expect(world.write(writer, 'x').result).toBe(-EPIPE);
    const [near, far] = world.pair();
    world.close(far);
    expect(world.write(near, '').result).toBe(-EPIPE);
    expect(world.write(near, 'x').result).toBe(-EPIPE);
  });

  test('P52: EPIPE, which sends the caller SIGPIPE, is never the answer to a write that stored bytes', () => {
    const { world, reader, writer } = almostFull(0, 'w');
    const nothingStored = world.write(writer, 'x');
    const { reader: other, writer: otherWriter } = world.fifoEnds();
    const somethingStored = world.writeBuffered(otherWriter, pattern(100_000));
    world.close(reader);
    world.close(other);
    expect(nothingStored.result).toBe(-EPIPE);
    expect(somethingStored.result).toBe(LARGEST_BYTES);
  });
});

describe('atomic writes', () => {
  test('P53: a zero-length write returns 0 and leaves no trace', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const before = { ...endOf(reader).times };
    world.host.clock.advance(1000);
    expect(world.write(writer, '').result).toBe(0);
    expect(endOf(reader).times).toEqual(before);
    expect(writer.messagesSent).toBe(0);
    expect(stored(reader)).toBe(0);
  });

  test.each([101, 200, 512])('P54: %i bytes do not go into 100: EAGAIN, and nothing is stored', (count) => {
    const { world, reader, writer } = almostFull(100);
    expect(world.write(writer, count).result).toBe(-EAGAIN);
    expect(stored(reader)).toBe(LARGEST_BYTES - 100);
    expect(world.write(writer, 100).result).toBe(100);
  });

  test('P54: a blocking write waits until all of it fits', () => {
    const { world, reader, writer } = almostFull(100, 'w');
    const write = world.write(writer, 200);
    expect(write.waitMessage).toBe('pipewr');
    expect(stored(reader)).toBe(LARGEST_BYTES - 100);
    world.read(reader, LARGEST_BYTES);
    expect(write.result).toBe(200);
  });

  test('P54: the limit is the PIPE_BUF of the mount', () => {
    const world = new World({ pipeBufBytes: 4096 });
    const { reader, writer } = world.fifoEnds('rn', 'wn');
    world.write(writer, LARGEST_BYTES - 100);
    expect(world.write(writer, 4096).result).toBe(-EAGAIN);
    expect(world.write(writer, 4097).result).toBe(100);
    expect(stored(reader)).toBe(LARGEST_BYTES);
  });

  test('P55: a longer non-blocking write stores what there is room for', () => {
    const { world, reader, writer } = almostFull(100);
    const data = pattern(513, 99);
    expect(world.write(writer, data).result).toBe(100);
    world.read(reader, LARGEST_BYTES - 100);
    expect(world.read(reader, LARGEST_BYTES).bytes).toEqual(data.subarray(0, 100));
  });

  test('P56: the segments of a vectored write count together', () => {
    const { world, writer } = almostFull(300);
    expect(world.writev(writer, [pattern(200), pattern(200)]).result).toBe(-EAGAIN);
    expect(world.writev(writer, [pattern(300), pattern(300)]).result).toBe(300);
  });

  test('P58: without room a non-blocking write is EAGAIN, with some it is a short count', () => {
    const { world, reader, writer } = almostFull(1);
    expect(world.write(writer, 1000).result).toBe(1);
    expect(world.write(writer, 1000).result).toBe(-EAGAIN);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
    world.read(reader, 1);
    expect(world.write(writer, 1000).result).toBe(1);
  });
});

describe('faults', () => {
  test('P61: a fault is EFAULT, and its pass stores nothing', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    expect(world.writev(writer, [pattern(1000), { unreadableBytes: 1000 }]).result).toBe(-EFAULT);
    expect(stored(reader)).toBe(0);
    expect(writer.messagesSent).toBe(0);
  });

  test('P61: a fault in the half behind the end of the ring stores nothing of the other half', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds('rn', 'wn');
    const stream = pattern(16_500);
    world.write(writer, stream.subarray(0, 16_000));
    world.read(reader, 15_000);
    const roomBeforeEnd = DEFAULT_BYTES - 16_000;
    const segments = [new Uint8Array(roomBeforeEnd).fill(0xee), { unreadableBytes: 100 }];
    expect(world.writev(writer, segments).result).toBe(-EFAULT);
    expect(stored(reader)).toBe(1000);
    expect(world.write(writer, stream.subarray(16_000)).result).toBe(500);
    expect(world.read(reader, 5000).bytes).toEqual(stream.subarray(15_000));
  });

  test('P61: after an earlier pass the answer is the short count of that pass', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(66_000);
    const segments = [data.subarray(0, 8000)];
    for (let at = 8000; at < data.length; at += 8000) segments.push(data.subarray(at, at + 8000));
    const write = world.writev(writer, [...segments, { unreadableBytes: 1000 }]);
    expect(write.isBlocked).toBe(true);
    expect(world.read(reader, LARGEST_BYTES).bytes).toEqual(data.subarray(0, LARGEST_BYTES));
    expect(write.result).toBe(LARGEST_BYTES);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });
});

describe('times, counters, readiness', () => {
  test('P62: the modify time moves whenever bytes were stored, in short writes as well', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds('rn', 'wn');
    const { times } = endOf(reader);
    const moved = (): boolean => {
      const now = world.host.clock.realtime();
      world.host.clock.advance(1000);
      return times.modified.seconds === now.seconds;
    };
    world.host.clock.advance(1000);
    expect(world.write(writer, 10).result).toBe(10);
    expect(moved()).toBe(true);
    expect(world.write(writer, 100_000).result).toBe(LARGEST_BYTES - 10);
    expect(moved()).toBe(true);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
    expect(moved()).toBe(false);
    world.read(reader, LARGEST_BYTES);
    const interrupted = world.writeBuffered(world.open(fifo, 'w'), pattern(100_000));
    interrupted.signal();
    expect(interrupted.result).toBe(LARGEST_BYTES);
    expect(moved()).toBe(true);
    world.close(reader);
    expect(world.write(writer, 1).result).toBe(-EPIPE);
    expect(moved()).toBe(false);
  });

  test('P63: in a pair the modify time is that of the end which got the bytes', () => {
    const world = new World();
    const [first, second] = world.pair();
    const born = world.host.clock.realtime();
    world.host.clock.advance(1000);
    world.write(second, 'x');
    expect(endOf(first).times.modified).toEqual(world.host.clock.realtime());
    expect(endOf(second).times.modified).toEqual(born);
  });

  test('P67: every write that stored bytes is one message sent, no other', () => {
    const world = new World();
    const { writer } = world.fifoEnds('rn', 'wn');
    world.write(writer, 10);
    world.write(writer, 100_000);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
    expect(writer.messagesSent).toBe(2);
  });

  test('P68: a pipe may be unready for writing though a write would make it grow', () => {
    const world = new World();
    const { writer } = world.fifoEnds('rn', 'wn');
    world.write(writer, 15_872);
    expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
    world.write(writer, 128);
    expect(world.poll(writer, POLLOUT)).toBe(0);
    expect(world.write(writer, 1000).result).toBe(1000);
    expect(endOf(writer).ring.size).toBe(32768);
    expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
  });
});
