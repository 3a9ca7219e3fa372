import { describe, expect, test } from 'vitest';

import { EINTR, EPIPE } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { EVFILT_WRITE } from '../../src/kern/klist.ts';
import { WriteUio } from '../../src/kern/uio.ts';
import { countNotifications, endOf, pattern, TestKnote, user, World } from '../support/engine.ts';

const LARGEST_BYTES = 65536;
const RESIZE_ALLOWED = 'kern.ipc.piperesizeallowed';

/** A FIFO whose ring has its largest size and is full. */
function fullFifo(): { world: World; reader: File; writer: File } {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  expect(world.writeBuffered(writer, pattern(LARGEST_BYTES)).result).toBe(LARGEST_BYTES);
  return { world, reader, writer };
}

describe('sleeping readers', () => {
  test('P31: a reader asleep for data does not keep a writer out', () => {
    const world = new World();
    const { fifo, writer } = world.fifoEnds();
    const read = world.read(world.open(fifo, 'r'), 1);
    expect(read.isBlocked).toBe(true);
    expect(world.write(writer, 'x').result).toBe(1);
    expect(read.text).toBe('x');
  });

  test('P31: nor does a writer asleep for room keep a reader out', () => {
    const { world, reader, writer } = fullFifo();
    const write = world.write(writer, 'x');
    expect(write.isBlocked).toBe(true);
    expect(world.read(reader, LARGEST_BYTES).result).toBe(LARGEST_BYTES);
    expect(write.result).toBe(1);
  });

  test('P39: a blocking read of an empty pipe sleeps until something comes', () => {
    const world = new World();
    const [first, second] = world.pair();
    const read = world.read(first, 10);
    expect(read.waitMessage).toBe('piperd');
    world.write(second, 'now');
    expect(read.text).toBe('now');
  });

  test('P39: a signal ends its sleep with EINTR, and later bytes are for others', () => {
    const world = new World();
    const [first, second] = world.pair();
    const read = world.read(first, 10);
    read.signal();
    expect(read.result).toBe(-EINTR);
    world.write(second, 'late');
    expect(world.read(first, 10).text).toBe('late');
  });

  test('P47, P32: one write wakes all readers; who finds nothing sleeps on', () => {
    const world = new World();
    const [first, second] = world.pair();
    const reads = Array.from({ length: 3 }, () => world.read(first, 10));
    world.write(second, 'five!');
    expect(reads.map((read) => read.result)).toEqual([5, null, null]);
    expect(reads[2]!.waitMessage).toBe('piperd');
    world.write(second, 'more');
    expect(reads.map((read) => read.result)).toEqual([5, 4, null]);
  });

  test('P47: readers share what one write brought', () => {
    const world = new World();
    const [first, second] = world.pair();
    const reads = Array.from({ length: 3 }, () => world.read(first, 5));
    world.write(second, 'onetwo');
    expect(reads.map((read) => read.text)).toEqual(['onetw', 'o', '']);
    expect(reads[2]!.isBlocked).toBe(true);
  });

  test('P32: a woken reader looks at the pipe anew when somebody was faster', () => {
    const world = new World({ choose: (count) => count - 1 });
    const [first, second] = world.pair();
    const slow = world.read(first, 10);
    const quick = world.read(first, 10);
    world.write(second, pattern(10));
    expect(quick.result).toBe(10);
    expect(slow.isBlocked).toBe(true);
  });
});

describe('waking writers', () => {
  test('P43: a reader that drains the pipe lets a blocked writer go on', () => {
    const { world, reader, writer } = fullFifo();
    const write = world.write(writer, 100);
    expect(write.isBlocked).toBe(true);
    expect(world.read(reader, LARGEST_BYTES + 1).result).toBe(LARGEST_BYTES);
    expect(write.result).toBe(100);
  });

  test('P44: a writer sleeps on until fewer than 5461 bytes are stored', () => {
    const { world, reader, writer } = fullFifo();
    const write = world.write(writer, 100);
    world.read(reader, 60_000);
    expect(endOf(reader).ring.count).toBe(5536);
    expect(write.waitMessage).toBe('pipewr');
    world.read(reader, 75);
    expect(endOf(reader).ring.count).toBe(5461);
    expect(write.isBlocked).toBe(true);
    world.read(reader, 1);
    expect(write.result).toBe(100);
    expect(endOf(reader).ring.count).toBe(5560);
  });

  test('P45: every read of a 4096-byte ring wakes its writer', () => {
    const world = new World();
    world.tune(RESIZE_ALLOWED, 0);
    const [first, second] = world.pair();
    expect(world.write(first, 4096).result).toBe(4096);
    const write = world.write(first, 10);
    expect(write.isBlocked).toBe(true);
    world.read(second, 9);
    expect(write.isBlocked).toBe(true);
    world.read(second, 1);
    expect(write.result).toBe(10);
  });

  test('P50: a close waits for the write in progress, whose end lets it complete', () => {
    const world = new World();
    world.tune(RESIZE_ALLOWED, 0);
    const [near, far] = world.pair();
    expect(world.writeBuffered(far, pattern(16384)).result).toBe(16384);
    const data = new WriteUio([pattern(10)]);
    const write = world.call(far.ops.write(far, data, user));
    expect(write.waitMessage).toBe('pipewr');
    const close = world.spawn(near.ops.close(near));
    const { scheduler } = world.kernel;
    scheduler.runOne();
    expect(close.waitMessage).toBe('pipecl');
    scheduler.runOne();
    expect(write.result).toBe(-EPIPE);
    expect(close.result).toBeNull();
    scheduler.runOne();
    expect(close.result).toBe(0);
  });

  test('P50: a write that had stored something returns its short count to the closer', () => {
    const world = new World();
    const [near, far] = world.pair();
    const write = world.writeBuffered(far, pattern(100_000));
    expect(write.isBlocked).toBe(true);
    expect(world.close(near).result).toBe(0);
    expect(write.result).toBe(LARGEST_BYTES);
  });
});

describe('notifying', () => {
  test('P46: those who watch are told once PIPE_BUF bytes are free', () => {
    const { world, reader, writer } = fullFifo();
    const knote = new TestKnote(writer, EVFILT_WRITE);
    knote.register();
    const notifications = countNotifications(endOf(reader));
    world.read(reader, 100);
    world.read(reader, 411);
    expect(notifications()).toBe(0);
    expect(knote.activations).toBe(0);
    world.read(reader, 1);
    expect(notifications()).toBe(1);
    expect(knote.activations).toBe(1);
    expect(knote.data).toBe(512);
    world.read(reader, 1);
    expect(notifications()).toBe(2);
  });

  test('P46: a read that moved nothing tells nobody', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const notifications = countNotifications(endOf(reader));
    world.read(reader, 1);
    expect(notifications()).toBe(0);
    world.close(writer);
    const atClose = notifications();
    expect(world.read(reader, 1).result).toBe(0);
    expect(notifications()).toBe(atClose);
  });
});
