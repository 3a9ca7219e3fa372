import { describe, expect, test } from 'vitest';

import { EAGAIN, EFAULT, EINTR } from '../../src/kern/errno.ts';
import { Ioctl } from '../../src/kern/file.ts';
import { EVFILT_READ, EVFILT_WRITE } from '../../src/kern/klist.ts';
import { POLLIN, POLLOUT } from '../../src/kern/poll.ts';
import { pipeStat } from '../../src/pipe/anonymous.ts';
import { endOf, pattern, TestKnote, user, World } from '../support/engine.ts';

const MIN_DIRECT_BYTES = 8192;
const CHUNK_BYTES = 10_000;
const RESIZE_ALLOWED = 'kern.ipc.piperesizeallowed';
const MIN_DIRECT = 'kern.ipc.pipe_mindirect';
const DIRECT_MAX = 'kern.ipc.pipe_direct_max';

describe('when a write is direct', () => {
  test('P70: from 8192 bytes on a blocking write returns only when it has been read', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    expect(world.write(writer, MIN_DIRECT_BYTES - 1).result).toBe(MIN_DIRECT_BYTES - 1);
    world.read(reader, MIN_DIRECT_BYTES);
    const write = world.write(writer, MIN_DIRECT_BYTES);
    expect(write.waitMessage).toBe('pipdwt');
    expect(world.read(reader, MIN_DIRECT_BYTES).bytes).toEqual(pattern(MIN_DIRECT_BYTES));
    expect(write.result).toBe(MIN_DIRECT_BYTES);
  });

  test('P70: a non-blocking one of any length goes into the ring', () => {
    const world = new World();
    const { writer } = world.fifoEnds('rn', 'wn');
    expect(world.write(writer, CHUNK_BYTES).result).toBe(CHUNK_BYTES);
  });

  test('P70: so does one to a ring shorter than 8192 bytes', () => {
    const world = new World();
    world.tune(RESIZE_ALLOWED, 0);
    const [first, second] = world.pair();
    const write = world.write(first, MIN_DIRECT_BYTES);
    expect(write.waitMessage).toBe('pipewr');
    expect(endOf(second).ring.count).toBe(4096);
  });

  test('P70: the length is that of the current segment, and the limit a tunable', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const half = pattern(MIN_DIRECT_BYTES / 2);
    expect(world.writev(writer, [half, half]).result).toBe(MIN_DIRECT_BYTES);
    world.read(reader, MIN_DIRECT_BYTES);
    world.tune(MIN_DIRECT, 513);
    expect(world.write(writer, 513).waitMessage).toBe('pipdwt');
  });

  test('P70: a ring as long as the limit is long enough', () => {
    const world = new World();
    world.tune(MIN_DIRECT, 4096);
    world.tune(RESIZE_ALLOWED, 0);
    expect(world.write(world.pair()[0], 4096).waitMessage).toBe('pipdwt');
  });
});

describe('waiting for its turn', () => {
  test('P71: what the ring holds is read first', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, '0123456789');
    const write = world.write(writer, CHUNK_BYTES);
    expect(write.waitMessage).toBe('pipdwc');
    expect(world.read(reader, 4).text).toBe('0123');
    expect(write.waitMessage).toBe('pipdwc');
    expect(world.read(reader, 2 * CHUNK_BYTES).text).toBe('456789');
    expect(world.read(reader, 2 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES));
    expect(write.result).toBe(CHUNK_BYTES);
  });

  test('P71: so is the chunk of another direct write', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const first = world.write(writer, pattern(CHUNK_BYTES, 1));
    const second = world.write(writer, pattern(CHUNK_BYTES, 2));
    expect(second.waitMessage).toBe('pipdww');
    expect(world.read(reader, CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 1));
    expect(first.result).toBe(CHUNK_BYTES);
    expect(second.waitMessage).toBe('pipdwt');
    expect(world.read(reader, CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 2));
    expect(second.result).toBe(CHUNK_BYTES);
  });

  test('P71: it wakes readers and tells those who watch before it sleeps for the ring to drain', () => {
    const world = new World();
    const [first, second] = world.pair();
    const knote = new TestKnote(first, EVFILT_READ);
    knote.register();
    const read = world.read(first, 100);
    // The first pass fills the ring across both segments; what is left of the second is long enough for a chunk.
    const write = world.writev(second, [pattern(100), pattern(80_000)]);
    expect(read.bytes).toEqual(pattern(100));
    expect(knote.activations).toBeGreaterThan(0);
    expect(write.waitMessage).toBe('pipdwc');
    expect(world.read(first, 65_536).result).toBe(65_436);
    expect(write.waitMessage).toBe('pipdwt');
    expect(world.read(first, 20_000).bytes).toEqual(pattern(80_000).subarray(65_436));
    expect(write.result).toBe(80_100);
  });

  test('P71: those who watch hear of it even when no reader sleeps', () => {
    const world = new World();
    const [first, second] = world.pair();
    const knote = new TestKnote(first, EVFILT_READ);
    knote.register();
    expect(world.writev(second, [pattern(100), pattern(80_000)]).waitMessage).toBe('pipdwc');
    expect(knote.activations).toBe(1);
    expect(knote.data).toBe(65_536);
  });
});

describe('chunks', () => {
  test('P72: a chunk has at most pipe_direct_max bytes, and a short tail goes into the ring', () => {
    const world = new World();
    world.tune(DIRECT_MAX, 65_536);
    const { reader, writer } = world.fifoEnds();
    const data = pattern(70_000);
    const write = world.write(writer, data);
    expect(endOf(reader).queuedBytes).toBe(65_536);
    expect(world.read(reader, 70_000).bytes).toEqual(data.subarray(0, 65_536));
    expect(write.result).toBe(70_000);
    expect(endOf(reader).ring.count).toBe(4464);
    expect(world.read(reader, 70_000).bytes).toEqual(data.subarray(65_536));
  });

  test('P72: a tail that is long enough is a chunk again', () => {
    const world = new World();
    world.tune(DIRECT_MAX, CHUNK_BYTES);
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, CHUNK_BYTES + MIN_DIRECT_BYTES);
    world.read(reader, CHUNK_BYTES);
    expect(write.waitMessage).toBe('pipdwt');
    expect(endOf(reader).queuedBytes).toBe(MIN_DIRECT_BYTES);
  });

  test('P72: by default a megabyte is one chunk, and no chunk spans two segments', () => {
    const megabyte = 1024 * 1024;
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, megabyte + 10);
    expect(endOf(reader).queuedBytes).toBe(megabyte);
    const { reader: other, writer: otherWriter } = world.fifoEnds();
    world.writev(otherWriter, [pattern(CHUNK_BYTES), pattern(CHUNK_BYTES)]);
    expect(endOf(other).queuedBytes).toBe(CHUNK_BYTES);
  });

  test('P73: the writer sleeps until the last byte is taken', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, CHUNK_BYTES);
    world.read(reader, CHUNK_BYTES - 1);
    expect(write.waitMessage).toBe('pipdwt');
    world.read(reader, 1);
    expect(write.result).toBe(CHUNK_BYTES);
  });

  test('P73: a chunk wakes a blocked reader and those who watch', () => {
    const world = new World();
    const [first, second] = world.pair();
    const knote = new TestKnote(first, EVFILT_READ);
    knote.register();
    const read = world.read(first, 4000);
    const write = world.write(second, CHUNK_BYTES);
    expect(read.bytes).toEqual(pattern(CHUNK_BYTES).subarray(0, 4000));
    expect(knote.activations).toBeGreaterThan(0);
    expect(write.isBlocked).toBe(true);
  });

  test('P73: those who watch hear of a chunk though nobody reads', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const knote = new TestKnote(reader, EVFILT_READ);
    knote.register();
    world.write(writer, CHUNK_BYTES);
    expect(knote.activations).toBe(1);
    expect(knote.data).toBe(CHUNK_BYTES);
  });

  test('P48: reads take a chunk piece by piece', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(CHUNK_BYTES);
    const write = world.write(writer, data);
    for (const [from, to] of [
      [0, 4000],
      [4000, 8000],
      [8000, CHUNK_BYTES],
    ] as const) {
      expect(write.isBlocked).toBe(true);
      expect(world.read(reader, 4000).bytes).toEqual(data.subarray(from, to));
    }
    expect(write.result).toBe(CHUNK_BYTES);
    expect(world.read(reader, 4000).result).toBe(-EAGAIN);
  });

  test('P74: the unread bytes of a chunk are what size, FIONREAD, poll and filters report', () => {
    const world = new World();
    const [near, far] = world.pair();
    const write = world.write(far, CHUNK_BYTES);
    world.read(near, 4000);
    expect(world.ioctl(near, Ioctl.FIONREAD).value).toBe(6000);
    expect(pipeStat(endOf(near), user)).toMatchObject({ sizeBytes: 6000 });
    expect(world.poll(near, POLLIN)).toBe(POLLIN);
    expect(world.poll(far, POLLOUT)).toBe(0);
    const readable = new TestKnote(near, EVFILT_READ);
    const writable = new TestKnote(far, EVFILT_WRITE);
    readable.register();
    writable.register();
    expect([readable.isActive(), readable.data]).toEqual([true, 6000]);
    expect([writable.isActive(), writable.data]).toEqual([false, 0]);
    world.read(near, 6000);
    expect(write.result).toBe(CHUNK_BYTES);
    expect(world.poll(far, POLLOUT)).toBe(POLLOUT);
    expect(writable.isActive()).toBe(true);
  });

  test('P75: a non-blocking write beside a chunk is EAGAIN at once', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const data = pattern(CHUNK_BYTES);
    world.write(writer, data);
    const other = world.open(fifo, 'wn');
    expect(world.write(other, 'x').result).toBe(-EAGAIN);
    expect(world.write(other, 20_000).result).toBe(-EAGAIN);
    expect(world.read(reader, 20_000).bytes).toEqual(data);
    expect(world.write(other, 'x').result).toBe(1);
  });

  test('P75: a small blocking write waits and comes after the chunk', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(CHUNK_BYTES);
    world.write(writer, data);
    const small = world.write(writer, 'after');
    expect(small.waitMessage).toBe('pipbww');
    world.read(reader, 4000);
    expect(small.waitMessage).toBe('pipbww');
    expect(world.read(reader, 20_000).bytes).toEqual(data.subarray(4000));
    expect(small.result).toBe(5);
    expect(world.read(reader, 20_000).text).toBe('after');
  });

  test('P75: a signal ends that wait with EINTR', () => {
    const world = new World();
    const { writer } = world.fifoEnds();
    world.write(writer, CHUNK_BYTES);
    const small = world.write(writer, 'x');
    small.signal();
    expect(small.result).toBe(-EINTR);
    expect(endOf(writer).queuedBytes).toBe(CHUNK_BYTES);
  });

  test('P79: unreadable memory is EFAULT, and nothing is offered', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    expect(world.writev(writer, [{ unreadableBytes: CHUNK_BYTES }]).result).toBe(-EFAULT);
    expect(endOf(reader).queuedBytes).toBe(0);
    expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
    expect(writer.messagesSent).toBe(0);
  });

  test('P79: after a chunk that was read it is the short count', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.writev(writer, [pattern(CHUNK_BYTES), { unreadableBytes: CHUNK_BYTES }]);
    world.read(reader, CHUNK_BYTES);
    expect(write.result).toBe(CHUNK_BYTES);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });

  test('P80: readers take the bytes from where the writer has them', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(CHUNK_BYTES);
    world.write(writer, data);
    data.fill(0x55);
    expect(world.read(reader, CHUNK_BYTES).bytes).toEqual(data);
  });
});
