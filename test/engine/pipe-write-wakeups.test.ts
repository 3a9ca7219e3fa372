import { describe, expect, test } from 'vitest';

import { EAGAIN, EINTR, EPIPE } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { EVFILT_READ } from '../../src/kern/klist.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { Poller, POLLIN } from '../../src/kern/poll.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { countNotifications, endOf, pattern, TestKnote, user, World } from '../support/engine.ts';
import { Random } from '../support/random.ts';

const LARGEST_BYTES = 65536;
const LONG_WRITE_BYTES = 100_000;

describe('long writes', () => {
  test('P57: a blocking write goes on as room comes, and returns its full length', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const data = pattern(200_000);
    const write = world.writeBuffered(writer, data);
    const chunkBytes = 1000;
    for (let at = 0; at < data.length; at += chunkBytes) {
      const read = world.read(reader, chunkBytes);
      expect(Buffer.compare(read.bytes, data.subarray(at, at + chunkBytes))).toBe(0);
    }
    expect(write.result).toBe(data.length);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
  });

  test('P57: before it sleeps for room it wakes a reader that came first', () => {
    const world = new World();
    const [first, second] = world.pair();
    const read = world.read(first, LARGEST_BYTES);
    const write = world.writeBuffered(second, pattern(LONG_WRITE_BYTES));
    expect(read.bytes).toEqual(pattern(LONG_WRITE_BYTES).subarray(0, LARGEST_BYTES));
    expect(write.result).toBe(LONG_WRITE_BYTES);
  });

  test('P59: a signal gives the short count of what was stored', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.writeBuffered(writer, pattern(LONG_WRITE_BYTES));
    expect(write.waitMessage).toBe('pipewr');
    write.signal();
    expect(write.result).toBe(LARGEST_BYTES);
    expect(world.read(reader, LARGEST_BYTES).bytes).toEqual(
      pattern(LONG_WRITE_BYTES).subarray(0, LARGEST_BYTES),
    );
  });

  test('P59: or EINTR when nothing was', () => {
    const world = new World();
    const { writer } = world.fifoEnds();
    world.writeBuffered(writer, pattern(LARGEST_BYTES));
    const write = world.write(writer, 1);
    write.signal();
    expect(write.result).toBe(-EINTR);
    expect(endOf(writer).ring.count).toBe(LARGEST_BYTES);
  });

  test('P60: a reader that leaves ends it with the short count, the next write is EPIPE', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    const write = world.writeBuffered(writer, pattern(LONG_WRITE_BYTES));
    world.close(reader);
    expect(write.result).toBe(LARGEST_BYTES);
    expect(world.write(writer, 1).result).toBe(-EPIPE);
  });

  test('P60: or with EPIPE when it had stored nothing', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    world.writeBuffered(writer, pattern(LARGEST_BYTES));
    const write = world.write(writer, 100);
    expect(write.isBlocked).toBe(true);
    world.close(reader);
    expect(write.result).toBe(-EPIPE);
  });

  test.each([1, 2, 3, 4, 5])('P30: records of several writers stay whole (seed %i)', (seed) => {
    const random = new Random(seed);
    const world = new World({ choose: (count) => random.below(count) });
    world.tune('kern.ipc.piperesizeallowed', 0);
    const [writer, reader] = world.pair();
    const recordBytes = 300;
    const recordsEach = 100;
    const totalBytes = 2 * recordsEach * recordBytes;
    function* writeRecords(value: number): Operation<number> {
      for (let record = 0; record < recordsEach; record++) {
        const uio = new WriteUio([new Uint8Array(recordBytes).fill(value)]);
        const written = yield* writer.ops.write(writer, uio, user);
        expect(written).toBe(recordBytes);
      }
      return recordsEach;
    }
    const received = new Uint8Array(totalBytes);
    function* readAll(): Operation<number> {
      let at = 0;
      while (at < totalBytes) {
        const uio = new MemoryReadUio([received.subarray(at, at + random.between(1, 1000))]);
        at += yield* reader.ops.read(reader, uio, user);
      }
      return at;
    }
    const calls = [writeRecords(1), writeRecords(2), readAll()].map((operation) => world.spawn(operation));
    world.kernel.scheduler.run();
    expect(calls.map((call) => call.result)).toEqual([recordsEach, recordsEach, totalBytes]);
    let changes = 0;
    for (let at = 0; at < totalBytes; at += recordBytes) {
      const record = received.subarray(at, at + recordBytes);
      expect(record.every((byte) => byte === record[0])).toBe(true);
      if (at > 0 && record[0] !== received[at - 1]) changes++;
    }
    expect(changes).toBeGreaterThan(1);
  });
});

describe('telling readers', () => {
  function watched(): { world: World; reader: File; writer: File; notifications: () => number } {
    const world = new World();
    const { reader, writer } = world.fifoEnds('rn', 'wn');
    return { world, reader, writer, notifications: countNotifications(endOf(reader)) };
  }

  test('P64: a write wakes a blocked reader', () => {
    const world = new World();
    const [first, second] = world.pair();
    const read = world.read(first, 10);
    expect(read.isBlocked).toBe(true);
    world.write(second, 'x');
    expect(read.text).toBe('x');
  });

  test('P65: a write that leaves bytes in the ring notifies, even one that got EAGAIN', () => {
    const { world, reader, writer, notifications } = watched();
    world.write(writer, LONG_WRITE_BYTES);
    expect(notifications()).toBe(1);
    const knote = new TestKnote(reader, EVFILT_READ);
    knote.register();
    expect(knote.activations).toBe(1);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
    expect(notifications()).toBe(2);
    expect(knote.activations).toBe(2);
  });

  test('P65: a write that leaves the ring empty notifies nobody', () => {
    const { world, writer, notifications } = watched();
    expect(world.write(writer, '').result).toBe(0);
    expect(notifications()).toBe(0);
  });

  test('P66: a writer notifies before it sleeps, so that the first part is seen', () => {
    const world = new World();
    const { reader, writer } = world.fifoEnds();
    let told = 0;
    expect(world.poll(reader, POLLIN, new Poller(() => told++))).toBe(0);
    const write = world.writeBuffered(writer, pattern(LONG_WRITE_BYTES));
    expect(write.isBlocked).toBe(true);
    expect(told).toBe(1);
    expect(world.poll(reader, POLLIN)).toBe(POLLIN);
  });
});
