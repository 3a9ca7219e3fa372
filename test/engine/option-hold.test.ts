import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EBUSY, EINTR, ENOMEM, EPIPE } from '../../src/kern/errno.ts';
import { FNONBLOCK, Ioctl } from '../../src/kern/file.ts';
import { EVFILT_READ, EVFILT_WRITE } from '../../src/kern/klist.ts';
import { POLLHUP, POLLIN, POLLOUT } from '../../src/kern/poll.ts';
import { endOf, pattern, TestKnote, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';

describe('hold', () => {
  test('bytes stay when nobody has the pipe open, and opens never wait', () => {
    const world = new World();
    const fifo = world.fifo();
    expect(setOptions(fifo, 'hold')).toBe(0);
    const writer = world.open(fifo, 'w');
    expect(world.write(writer, 'job 1\n').result).toBe(6);
    expect(world.close(writer).result).toBe(0);
    world.checkInvariants();
    const second = world.open(fifo, 'wn');
    expect(world.write(second, 'job 2\n').result).toBe(6);
    world.close(second);
    const reader = world.open(fifo, 'r');
    expect(world.read(reader, 100).text).toBe('job 1\njob 2\n');
    const waiting = world.read(reader, 100);
    expect(waiting.waitMessage).toBe('piperd');
    const third = world.open(fifo, 'w');
    world.write(third, 'x');
    expect(waiting.text).toBe('x');
  });

  test('readers see no end-of-file and writers no EPIPE, by poll and kqueue neither', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    setOptions(fifo, 'hold');
    const knote = new TestKnote(reader, EVFILT_READ);
    knote.register();
    world.close(writer);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    expect(world.poll(reader, POLLIN)).toBe(0);
    expect(knote.isActive()).toBe(false);
    const other = world.open(fifo, 'w');
    world.close(reader);
    expect(world.poll(other, POLLOUT)).toBe(POLLOUT);
    const writable = new TestKnote(other, EVFILT_WRITE);
    writable.register();
    expect(writable.isActive()).toBe(true);
    expect(writable.flags).toBe(0);
    expect(world.write(other, 'kept').result).toBe(4);
    expect(world.ioctl(world.open(fifo, 'r'), Ioctl.FIONREAD).value).toBe(4);
    writable.remove();
    knote.remove();
  });

  test('without it readers reach end-of-file once the bytes are gone', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold');
    const writer = world.open(fifo, 'w');
    world.write(writer, 'left');
    world.close(writer);
    const reader = world.open(fifo, 'r');
    expect(unsetOptions(fifo, 'hold')).toBe(0);
    expect(world.poll(reader, POLLIN) & (POLLIN | POLLHUP)).toBe(POLLIN | POLLHUP);
    expect(world.read(reader, 10).text).toBe('left');
    expect(world.read(reader, 10).result).toBe(0);
    world.close(reader);
    expect(fifo.end).toBeNull();
    expect(world.pipes.budget.usedBytes).toBe(0);
  });

  test('bytes that nobody can read any more are counted as dropped', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold');
    world.write(world.open(fifo, 'rw'), 'three');
    const again = world.fifo();
    setOptions(again, 'hold');
    const writer = world.open(again, 'w');
    world.write(writer, 'four');
    world.close(writer);
    unsetOptions(again, 'hold');
    expect(again.drops).toEqual({ bytes: 4, records: 0 });
    expect(again.end).toBeNull();
  });

  test('a pipe whose last name is gone is not held', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold');
    const writer = world.open(fifo, 'w');
    world.write(writer, 'x');
    fifo.nameRemoved();
    expect(world.write(writer, 'y').result).toBe(-EPIPE);
    world.close(writer);
    expect(fifo.end).toBeNull();
    expect(world.charged(Resource.PipeBytes)).toBe(0);
  });

  test('openers and calls that sleep go on when it comes', () => {
    const world = new World();
    const fifo = world.fifo();
    const opening = world.startOpen(fifo, 'w');
    expect(opening.call.waitMessage).toBe('fifoow');
    setOptions(fifo, 'hold');
    world.kernel.scheduler.run();
    expect(opening.call.result).toBe(0);
    const created = world.fifo();
    const { file } = world.create(created, 'w');
    const writing = world.write(file, 'hello');
    expect(writing.waitMessage).toBe('fifoow');
    setOptions(created, 'hold');
    world.kernel.scheduler.run();
    expect(writing.result).toBe(5);
  });

  test('a read that sleeps in the plain pipe goes on in the held one, and back', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    reader.flags &= ~FNONBLOCK;
    const reading = world.read(reader, 10);
    setOptions(fifo, 'hold');
    world.kernel.scheduler.run();
    expect(reading.isBlocked).toBe(true);
    world.close(writer);
    expect(reading.isBlocked).toBe(true);
    unsetOptions(fifo, 'all');
    world.kernel.scheduler.run();
    expect(reading.result).toBe(0);
  });

  test('a direct write that sleeps is stored as soon as it may be, without a byte lost or twice', () => {
    const world = new World();
    const { fifo, reader, writer } = world.fifoEnds();
    const data = pattern(50_000);
    const writing = world.write(writer, data);
    const behind = world.write(writer, 'behind');
    expect(writing.waitMessage).toBe('pipdwt');
    expect(world.read(reader, 1000).bytes).toEqual(data.subarray(0, 1000));
    setOptions(fifo, 'hold');
    world.kernel.scheduler.run();
    expect(writing.result).toBe(50_000);
    expect(behind.result).toBe(6);
    world.checkInvariants();
    const got = [...world.read(reader, 100_000).bytes];
    // Who is woken first stores first.
    expect(got.length).toBe(49_006);
    unsetOptions(fifo, 'all');
    expect(endOf(reader).discipline).toBeNull();
  });

  test('a full pipe makes writers wait; a signal ends the wait with what was stored', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold');
    const writer = world.open(fifo, 'w');
    const writing = world.write(writer, 100_000);
    expect(writing.waitMessage).toBe('pipewr');
    expect(world.poll(writer, POLLOUT)).toBe(0);
    writing.signal();
    expect(writing.result).toBe(65_536);
    const none = world.write(writer, 1);
    none.signal();
    expect(none.result).toBe(-EINTR);
  });

  test('back to the plain pipe only with as many bytes as that holds', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold capacity=128K');
    const writer = world.open(fifo, 'rw');
    expect(world.write(writer, 100_000).result).toBe(100_000);
    expect(unsetOptions(fifo, 'all')).toBe(-EBUSY);
    expect(setOptions(fifo, 'capacity=64K')).toBe(-EBUSY);
    world.read(writer, 40_000);
    expect(unsetOptions(fifo, 'all')).toBe(0);
    expect(endOf(writer).ring.size).toBe(65_536);
    expect(world.read(writer, 100_000).bytes).toEqual(pattern(100_000).subarray(40_000));
  });

  test('capacity that the budget does not hold is refused, at once or at the open', () => {
    const world = new World({ maxPipeKvaBytes: 256 * 1024 });
    const fifo = world.fifo();
    expect(setOptions(fifo, 'capacity=1M')).toBe(-ENOMEM);
    expect(setOptions(fifo, 'capacity=192K')).toBe(0);
    const other = world.fifo();
    world.open(other, 'rw');
    expect(setOptions(other, 'capacity=192K')).toBe(0);
    expect(world.startOpen(fifo, 'rw').call.result).toBe(-ENOMEM);
    expect(setOptions(other, 'capacity=1M')).toBe(-ENOMEM);
    world.checkInvariants();
  });
});
