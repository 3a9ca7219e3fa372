import { expect, test } from 'vitest';

import { EAGAIN, EPIPE } from '../../src/kern/errno.ts';
import { EV_EOF, EVFILT_READ, EVFILT_WRITE } from '../../src/kern/klist.ts';
import { POLLHUP, POLLIN, POLLOUT, Poller } from '../../src/kern/poll.ts';
import { bytesOf, endOf, pattern, TestKnote, World } from '../support/engine.ts';
import { visit } from '../support/fifo.ts';

test('P131: the last reader that closes ends blocked writers: EPIPE, or what they have stored', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  const second = world.open(fifo, 'rn');
  const long = world.writeBuffered(writer, pattern(100_000));
  const short = world.write(writer, 10);
  const direct = world.write(writer, 20_000);
  world.close(reader);
  expect([long.isBlocked, short.isBlocked, direct.isBlocked]).toEqual([true, true, true]);
  world.close(second);
  expect([long.result, short.result, direct.result]).toEqual([65536, -EPIPE, -EPIPE]);
  expect(world.write(writer, 'x').result).toBe(-EPIPE);
});

test('P131: pollers and knotes of the writers hear that the last reader left', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  world.write(writer, 65536);
  let heard = 0;
  expect(world.poll(writer, POLLOUT, new Poller(() => heard++))).toBe(0);
  const knote = new TestKnote(writer, EVFILT_WRITE);
  knote.register();
  world.close(reader);
  expect(heard).toBe(1);
  expect(knote.activations).toBe(1);
  expect(knote.flags & EV_EOF).toBe(EV_EOF);
});

test('P132: the last writer that closes ends blocked readers with 0 and moves the generation on', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds('rn', 'w');
  const blocking = world.open(fifo, 'r');
  const second = world.open(fifo, 'w');
  const reads = [world.read(blocking, 5), world.read(blocking, 5)];
  let heard = 0;
  world.poll(reader, POLLIN, new Poller(() => heard++));
  const knote = new TestKnote(reader, EVFILT_READ);
  knote.register();
  world.close(writer);
  expect(reads.map((read) => read.isBlocked)).toEqual([true, true]);
  expect(endOf(reader).writerGeneration).toBe(0);
  expect(heard + knote.activations).toBe(0);
  world.close(second);
  expect(reads.map((read) => read.result)).toEqual([0, 0]);
  expect(endOf(reader).writerGeneration).toBe(1);
  expect([heard, knote.activations]).toEqual([1, 1]);
});

test('P133: when nobody has the FIFO open its bytes are lost and its memory returns', () => {
  const world = new World();
  const fifo = world.fifo();
  const both = world.open(fifo, 'rw');
  world.write(both, 10);
  expect(world.pipes.budget.usedBytes).toBe(20480);
  world.close(both);
  expect(world.pipes.budget.usedBytes).toBe(0);
  const reader = world.open(fifo, 'rn');
  expect(world.read(reader, 10).result).toBe(-EAGAIN);
});

test('P133: the new pipe of a FIFO knows nothing of the openers of the old one', () => {
  const world = new World();
  const fifo = world.fifo();
  world.close(world.open(fifo, 'rw'));
  const read = world.startOpen(fifo, 'r').call;
  read.signal();
  expect(fifo.readers).toBe(0);
  const { file } = world.create(fifo, 'w');
  expect(world.write(file, 'x').waitMessage).toBe('fifoow');
});

test('P134: unread bytes outlast their writer, and a new writer takes the end-of-file back', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.write(writer, 'abc');
  world.close(writer);
  const second = world.open(fifo, 'w');
  expect(world.read(reader, 10).text).toBe('abc');
  expect(world.read(reader, 10).result).toBe(-EAGAIN);
  world.write(second, 'def');
  expect(world.read(reader, 10).text).toBe('def');
});

test('P134: unread bytes outlast the readers while a writer stays', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.write(writer, 'abc');
  world.close(reader);
  expect(world.write(writer, 'x').result).toBe(-EPIPE);
  const again = world.open(fifo, 'rn');
  expect(world.read(again, 10).text).toBe('abc');
});

test('P134: end-of-file stays while a reader stays and no writer comes', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.close(writer);
  expect([world.read(reader, 1).result, world.read(reader, 1).result]).toEqual([0, 0]);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN | POLLHUP);
});

test('P135: a non-blocking read before there was any writer is EAGAIN', () => {
  const world = new World();
  const reader = world.open(world.fifo(), 'rn');
  expect(world.read(reader, 10).result).toBe(-EAGAIN);
  expect(world.poll(reader, POLLIN)).toBe(0);
});

test('P136: a reader that opened after the last writer left gets EAGAIN, as poll and kqueue say', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(writer);
  const late = world.open(fifo, 'rn');
  const knote = new TestKnote(late, EVFILT_READ);
  knote.register();
  expect(world.read(late, 10).result).toBe(-EAGAIN);
  expect(world.poll(late, POLLIN)).toBe(0);
  expect(knote.isActive()).toBe(false);
  expect(world.read(reader, 10).result).toBe(0);
  world.close(world.open(fifo, 'w'));
  expect(world.read(late, 10).result).toBe(0);
});

test('P136: a blocking late reader waits for the next writer, its bytes or its leaving', () => {
  const world = new World();
  const { fifo, writer } = world.fifoEnds();
  world.close(writer);
  const late = world.create(fifo, 'r').file;
  const read = world.read(late, 10);
  expect(read.waitMessage).toBe('piperd');
  world.now(visit(fifo, 'w', bytesOf('x')));
  expect(read.text).toBe('x');

  const later = world.create(fifo, 'r').file;
  const second = world.read(later, 10);
  expect(second.isBlocked).toBe(true);
  world.now(visit(fifo, 'w'));
  expect(second.result).toBe(0);
});

test('P136: stored bytes reach a late reader too', () => {
  const world = new World();
  const { fifo, writer } = world.fifoEnds();
  world.write(writer, 'abc');
  world.close(writer);
  const late = world.open(fifo, 'rn');
  expect(world.poll(late, POLLIN)).toBe(POLLIN);
  expect(world.read(late, 10).text).toBe('abc');
  expect(world.read(late, 10).result).toBe(-EAGAIN);
});
