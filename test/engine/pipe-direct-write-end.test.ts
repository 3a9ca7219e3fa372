import { describe, expect, test } from 'vitest';

import { EAGAIN, EINTR, ENOMEM, EPIPE } from '../../src/kern/errno.ts';
import { EVFILT_READ } from '../../src/kern/klist.ts';
import { POLLIN } from '../../src/kern/poll.ts';
import { countNotifications, endOf, pattern, TestKnote, World } from '../support/engine.ts';

const CHUNK_BYTES = 10_000;
const RING_BYTES = 16384;
const RESIZE_ALLOWED = 'kern.ipc.piperesizeallowed';
const DIRECT_MAX = 'kern.ipc.pipe_direct_max';

/** Runs what was woken last first. */
function lastFirst(count: number): number {
  return count - 1;
}

describe('a signal', () => {
  test('P73, P76: what is unread goes into the ring, counts as written and stays readable', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(20_000);
    const write = world.write(writer, data);
    expect(endOf(writer).ring.size).toBe(32768);
    world.read(reader, 5000);
    write.signal();
    expect(write.result).toBe(20_000);
    expect(world.poll(reader, POLLIN)).toBe(POLLIN);
    expect(world.read(reader, 20_000).bytes).toEqual(data.subarray(5000));
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });

  test('P76: of a chunk larger than the ring only what fits counts', () => {
    const world = new World();
    world.tune(RESIZE_ALLOWED, 0);
    const { reader, writer } = world.fifoEnds();
    const data = pattern(30_000);
    const write = world.write(writer, data);
    world.read(reader, 5000);
    write.signal();
    expect(write.result).toBe(5000 + RING_BYTES);
    expect(world.read(reader, 30_000).bytes).toEqual(data.subarray(5000, 5000 + RING_BYTES));
  });

  test('P76: nothing is sent again after it, though the segment goes on', () => {
    const world = new World();
    world.tune(DIRECT_MAX, CHUNK_BYTES);
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, 2 * CHUNK_BYTES);
    write.signal();
    expect(write.result).toBe(CHUNK_BYTES);
    expect(world.read(reader, 3 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES));
  });

  test('P76: those who watch are told of the bytes in the ring', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, CHUNK_BYTES);
    const knote = new TestKnote(reader, EVFILT_READ);
    knote.register();
    write.signal();
    expect(knote.activations).toBe(2);
    expect(knote.data).toBe(CHUNK_BYTES);
  });

  test('P43, P76: without memory for the ring nothing of it counts, and the writer behind it goes on', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, CHUNK_BYTES);
    const next = world.write(writer, pattern(CHUNK_BYTES, 2));
    expect(next.waitMessage).toBe('pipdww');
    const notifications = countNotifications(endOf(reader));
    world.host.isOutOfMemory = true;
    write.signal();
    expect(write.result).toBe(-EINTR);
    expect(next.waitMessage).toBe('pipdwt');
    expect(notifications()).toBeGreaterThan(0);
    expect(world.read(reader, 2 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 2));
    expect(next.result).toBe(CHUNK_BYTES);
  });

  test('P69: without memory for a ring a write is ENOMEM, or as long as what went direct', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.host.isOutOfMemory = true;
    expect(world.write(writer, 'abc').result).toBe(-ENOMEM);
    world.host.isOutOfMemory = false;
    world.tune(DIRECT_MAX, CHUNK_BYTES);
    const write = world.write(writer, CHUNK_BYTES + 10);
    world.host.isOutOfMemory = true;
    expect(world.read(reader, CHUNK_BYTES).result).toBe(CHUNK_BYTES);
    expect(write.result).toBe(CHUNK_BYTES);
    world.host.isOutOfMemory = false;
    world.write(writer, 'abc');
    expect(world.read(reader, 10).text).toBe('abc');
  });

  test('P71: while a direct writer still waits for the ring to drain it is EINTR', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, 'abc');
    const write = world.write(writer, CHUNK_BYTES);
    write.signal();
    expect(write.result).toBe(-EINTR);
    expect(world.read(reader, CHUNK_BYTES).text).toBe('abc');
    expect(world.read(reader, CHUNK_BYTES).result).toBe(-EAGAIN);
  });

  test('P71: the same while it waits for another chunk, which stays as it is', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const pending = world.write(writer, pattern(CHUNK_BYTES, 1));
    const write = world.write(writer, pattern(CHUNK_BYTES, 2));
    write.signal();
    expect(write.result).toBe(-EINTR);
    expect(world.read(reader, 2 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 1));
    expect(pending.result).toBe(CHUNK_BYTES);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });

  test('P76: a writer that waited for the chunk to go comes after its rest', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const interrupted = world.write(writer, pattern(CHUNK_BYTES, 1));
    const next = world.write(writer, pattern(CHUNK_BYTES, 2));
    interrupted.signal();
    expect(interrupted.result).toBe(CHUNK_BYTES);
    expect(next.isBlocked).toBe(true);
    expect(world.read(reader, 3 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 1));
    expect(world.read(reader, 3 * CHUNK_BYTES).bytes).toEqual(pattern(CHUNK_BYTES, 2));
    expect(next.result).toBe(CHUNK_BYTES);
  });

  test('P81: a ring filled to its very end by a signal keeps later bytes in order', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const stream = pattern(RING_BYTES + 10);
    const write = world.write(writer, stream.subarray(0, RING_BYTES));
    write.signal();
    expect(write.result).toBe(RING_BYTES);
    expect(endOf(reader).ring.size).toBe(RING_BYTES);
    world.read(reader, 10);
    expect(world.write(world.open(fifo, 'wn'), stream.subarray(RING_BYTES)).result).toBe(10);
    endOf(reader).checkInvariants();
    expect(world.read(reader, 2 * RING_BYTES).bytes).toEqual(stream.subarray(10));
  });
});

describe('the reader leaves', () => {
  test('P77: without having read a byte: EPIPE, and the next write too', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const before = { ...endOf(writer).times };
    world.host.clock.advance(1000);
    const write = world.write(writer, CHUNK_BYTES);
    const notifications = countNotifications(endOf(writer));
    world.close(reader);
    expect(write.result).toBe(-EPIPE);
    expect(endOf(writer).times).toEqual(before);
    expect(writer.messagesSent).toBe(0);
    // Once because the reader left, once because its bytes are gone.
    expect(notifications()).toBe(2);
    expect(world.write(writer, 1).result).toBe(-EPIPE);
  });

  test('P77: the bytes that it did read count, the others are discarded', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const write = world.write(writer, CHUNK_BYTES);
    world.read(reader, 4000);
    world.close(reader);
    expect(write.result).toBe(4000);
    endOf(writer).checkInvariants();
    expect(world.write(writer, 1).result).toBe(-EPIPE);
    expect(world.read(world.open(fifo, 'rn'), CHUNK_BYTES).result).toBe(-EAGAIN);
  });

  test('P77: the same for a pair whose reading end closes', () => {
    const world = new World();
    const [near, far] = world.pair();
    const write = world.write(far, CHUNK_BYTES);
    world.read(near, 4000);
    expect(world.close(near).result).toBe(0);
    expect(write.result).toBe(4000);
  });

  test('P78: before a chunk is offered: EPIPE', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.write(writer, 'abc');
    const write = world.write(writer, CHUNK_BYTES);
    expect(write.waitMessage).toBe('pipdwc');
    world.close(reader);
    expect(write.result).toBe(-EPIPE);
  });

  test('P78: after an earlier chunk of the call was read: its length', () => {
    const world = new World({ choose: lastFirst });
    world.tune(DIRECT_MAX, CHUNK_BYTES);
    const { reader, writer } = world.fifoEnds();
    const write = world.write(writer, 2 * CHUNK_BYTES);
    const small = world.write(writer, 'x');
    world.read(reader, CHUNK_BYTES);
    expect(small.result).toBe(1);
    expect(write.waitMessage).toBe('pipdwc');
    world.close(reader);
    expect(write.result).toBe(CHUNK_BYTES);
  });
});
