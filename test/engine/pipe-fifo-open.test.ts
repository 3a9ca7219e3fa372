import { expect, test } from 'vitest';

import { EAGAIN, EINTR, EINVAL, ENOMEM, ENXIO, EPIPE } from '../../src/kern/errno.ts';
import { File, FNONBLOCK, FWRITE } from '../../src/kern/file.ts';
import { POLLIN, POLLOUT, Poller } from '../../src/kern/poll.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { type PipeEnd, Presence } from '../../src/pipe/end.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { bytesOf, endOf, user, World } from '../support/engine.ts';
import { visit } from '../support/fifo.ts';

function counts(fifo: Fifo): [number, number] {
  return [fifo.readers, fifo.writers];
}

/** Polls and counts the notification. */
function listen(world: World, file: File, events: number): () => number {
  let heard = 0;
  world.poll(file, events, new Poller(() => heard++));
  return () => heard;
}

test('P121: the first open makes the pipe, with nobody counted before and generation 0', () => {
  const world = new World();
  const fifo = world.fifo();
  expect(fifo.end).toBe(null);
  expect(world.pipes.budget.usedBytes).toBe(0);
  const reader = world.open(fifo, 'rn');
  expect(counts(fifo)).toEqual([1, 0]);
  expect(world.pipes.budget.usedBytes).toBe(20480);
  expect(endOf(reader).writerGeneration).toBe(0);
  expect(reader.pipeGeneration).toBe(0);
  world.open(fifo, 'w');
  expect(counts(fifo)).toEqual([1, 1]);
  expect(world.pipes.budget.usedBytes).toBe(20480);
});

test('P121: an open for neither direction is EINVAL', () => {
  const world = new World();
  const fifo = world.fifo();
  expect(world.startOpen(fifo, 'n').call.result).toBe(-EINVAL);
  expect(fifo.end).toBe(null);
});

test('P121: without memory for the pipe the open is ENOMEM and counts nobody', () => {
  const world = new World({ maxPipeKvaBytes: 20480 });
  const [near, far] = world.pair();
  const fifo = world.fifo();
  expect(world.startOpen(fifo, 'rn').call.result).toBe(-ENOMEM);
  expect(world.startOpen(fifo, 'rw').call.result).toBe(-ENOMEM);
  expect(counts(fifo)).toEqual([0, 0]);
  world.close(near);
  world.close(far);
  expect(world.startOpen(fifo, 'rn').call.result).toBe(0);
});

test('P122: a new first reader lifts the end-of-file that the last one left, and pollers hear of it', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(reader);
  expect(world.write(writer, 'x').result).toBe(-EPIPE);
  const heard = listen(world, writer, POLLOUT);
  const again = world.open(fifo, 'rn');
  expect(heard()).toBe(1);
  expect(world.write(writer, 'x').result).toBe(1);
  const heardMore = listen(world, writer, POLLOUT);
  world.open(fifo, 'rn');
  expect(heardMore()).toBe(0);
  expect(world.read(again, 5).text).toBe('x');
});

test('P122: a second reader does not lift an end-of-file', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(writer);
  world.open(fifo, 'rn');
  expect(world.read(reader, 5).result).toBe(0);
});

test('P122: a reader notes the writer generation less the writers that are there', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  expect(reader.pipeGeneration).toBe(0);
  world.close(writer);
  expect(endOf(reader).writerGeneration).toBe(1);
  expect(world.open(fifo, 'rn').pipeGeneration).toBe(1);
  world.open(fifo, 'w');
  world.open(fifo, 'w');
  expect(world.open(fifo, 'rn').pipeGeneration).toBe(-1);
});

test('P123: a non-blocking open for writing alone is ENXIO and leaves no pipe', () => {
  const world = new World();
  const fifo = world.fifo();
  const ends: PipeEnd[] = [];
  world.pipes.policy = { created: (pair) => ends.push(...pair.ends) };
  expect(world.startOpen(fifo, 'wn').call.result).toBe(-ENXIO);
  expect(counts(fifo)).toEqual([0, 0]);
  expect(fifo.end).toBe(null);
  expect(ends.map((end) => end.presence)).toEqual([Presence.Finalized, Presence.Finalized]);
  expect(ends.map((end) => end.endOfFile)).toEqual([true, true]);
  expect(world.pipes.budget.usedBytes).toBe(0);
});

test('P123: beside another writer it is ENXIO too, and the pipe stays', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(reader);
  expect(world.startOpen(fifo, 'wn').call.result).toBe(-ENXIO);
  expect(counts(fifo)).toEqual([0, 1]);
  expect(fifo.end).toBe(endOf(writer));
});

test('P124: a new first writer lifts end-of-file, and pollers hear of it', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(writer);
  expect(world.read(reader, 5).result).toBe(0);
  const heard = listen(world, reader, POLLIN);
  const second = world.open(fifo, 'w');
  expect(heard()).toBe(1);
  expect(world.read(reader, 5).result).toBe(-EAGAIN);
  const heardMore = listen(world, reader, POLLIN);
  const third = world.open(fifo, 'w');
  expect(heardMore()).toBe(0);
  expect(counts(fifo)).toEqual([1, 2]);
  world.close(second);
  expect(world.read(reader, 5).result).toBe(-EAGAIN);
  world.close(third);
  expect(world.read(reader, 5).result).toBe(0);
});

test('P124: a second writer does not lift the end-of-file of the readers that left', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(reader);
  const second = world.startOpen(fifo, 'w');
  expect(second.call.isBlocked).toBe(true);
  expect(world.write(writer, 'x').result).toBe(-EPIPE);
});

test('P125: a blocking open for reading waits for a writer', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file, call } = world.startOpen(fifo, 'r');
  expect(call.waitMessage).toBe('fifoor');
  const writer = world.open(fifo, 'w');
  expect(call.result).toBe(0);
  world.write(writer, 'x');
  expect(world.read(file, 5).text).toBe('x');
});

test('P125: the open for reading succeeds though the writer has left again, and its bytes are there', () => {
  const world = new World();
  const fifo = world.fifo();
  const readers = [world.startOpen(fifo, 'r'), world.startOpen(fifo, 'r')];
  expect(world.now(visit(fifo, 'w', bytesOf('x')))).toBe(0);
  expect(readers.map(({ call }) => call.result)).toEqual([0, 0]);
  expect(world.read(readers[0]!.file, 5).text).toBe('x');
  expect(world.read(readers[0]!.file, 5).result).toBe(0);
});

test('P126: a blocking open for writing waits for a reader', () => {
  const world = new World();
  const fifo = world.fifo();
  const writers = [world.startOpen(fifo, 'w'), world.startOpen(fifo, 'w')];
  expect(writers.map(({ call }) => call.waitMessage)).toEqual(['fifoow', 'fifoow']);
  const reader = world.open(fifo, 'r');
  expect(writers.map(({ call }) => call.result)).toEqual([0, 0]);
  world.write(writers[1]!.file, 'x');
  expect(world.read(reader, 5).text).toBe('x');
});

test('P126: the open for writing succeeds though the reader has left again, and writes are EPIPE', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file, call } = world.startOpen(fifo, 'w');
  expect(world.now(visit(fifo, 'rn'))).toBe(0);
  expect(call.result).toBe(0);
  expect(world.write(file, 'x').result).toBe(-EPIPE);
});

test('P127: a reader that waits in open counts already, so a non-blocking writer gets in and releases it', () => {
  const world = new World();
  const fifo = world.fifo();
  const { call } = world.startOpen(fifo, 'r');
  expect(counts(fifo)).toEqual([1, 0]);
  world.open(fifo, 'wn');
  expect(call.result).toBe(0);
});

test('P127: a writer that waits in open counts already and is released by a reader that need not wait', () => {
  const world = new World();
  const fifo = world.fifo();
  const { call } = world.startOpen(fifo, 'w');
  expect(counts(fifo)).toEqual([0, 1]);
  expect(world.startOpen(fifo, 'r').call.result).toBe(0);
  expect(call.result).toBe(0);
});

test('P128: a non-blocking open for reading succeeds alone', () => {
  const world = new World();
  expect(world.startOpen(world.fifo(), 'rn').call.result).toBe(0);
});

test.each(['rw', 'rwn'])('P129: an open for both directions (%s) never waits', (mode) => {
  const world = new World();
  const fifo = world.fifo();
  const file = world.open(fifo, mode);
  expect(counts(fifo)).toEqual([1, 1]);
  expect(world.write(file, 'abc').result).toBe(3);
  expect(world.read(file, 9).text).toBe('abc');
  world.close(file);
  expect(counts(fifo)).toEqual([0, 0]);
});

test.each([
  ['r', 'fifoor'],
  ['w', 'fifoow'],
])('P130 a signal ends the blocked open (%s) with EINTR and uncounts it', (mode, message) => {
  const world = new World();
  const fifo = world.fifo();
  const { call } = world.startOpen(fifo, mode);
  expect(call.waitMessage).toBe(message);
  call.signal();
  expect(call.result).toBe(-EINTR);
  expect(counts(fifo)).toEqual([0, 0]);
  expect(fifo.end).toBe(null);
  expect(world.pipes.budget.usedBytes).toBe(0);
});

test('P130: an interrupted opener leaves the others that wait in open alone', () => {
  const world = new World();
  const fifo = world.fifo();
  const first = world.startOpen(fifo, 'r');
  const second = world.startOpen(fifo, 'r');
  first.call.signal();
  expect(second.call.isBlocked).toBe(true);
  expect(counts(fifo)).toEqual([1, 0]);
  world.open(fifo, 'w');
  expect(second.call.result).toBe(0);
});

test.each([
  ['r', 'wn'],
  ['w', 'rn'],
])('P130 the open (%s) succeeds if its peer came before the signal was seen', (mode, peer) => {
  const world = new World();
  const fifo = world.fifo();
  const { call, file } = world.startOpen(fifo, mode);
  world.kernel.scheduler.interrupt(call.thread);
  world.open(fifo, peer);
  expect(call.result).toBe(0);
  expect(counts(fifo)).toEqual([1, 1]);
  world.close(file);
});

test('the open that creates a name does not wait in either direction', () => {
  const world = new World();
  for (const mode of ['r', 'w', 'rw', 'rn']) {
    const fifo = world.fifo();
    expect(world.create(fifo, mode).result).toBe(0);
    expect(fifo.readers + fifo.writers).toBe(mode === 'rw' ? 2 : 1);
  }
  expect(world.create(world.fifo(), 'n').result).toBe(-EINVAL);
});

test('a writer that created the name waits for its first reader when it first writes, once', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file } = world.create(fifo, 'w');
  const write = world.write(file, 'abc');
  expect(write.waitMessage).toBe('fifoow');
  const reader = world.open(fifo, 'r');
  expect(write.result).toBe(3);
  expect(file.pipeMeeting).toBe(-1);
  expect(world.read(reader, 9).text).toBe('abc');
  world.close(reader);
  expect(world.write(file, 'd').result).toBe(-EPIPE);
});

test('a writer that created the name meets a reader that came and left before its first write', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file } = world.create(fifo, 'w');
  world.now(visit(fifo, 'rn'));
  expect(world.write(file, 'abc').result).toBe(-EPIPE);
});

test('only readers that open afterwards count for that meeting', () => {
  const world = new World();
  const { fifo, reader } = world.fifoEnds();
  world.close(reader);
  const { file } = world.create(fifo, 'w');
  const write = world.write(file, 'abc');
  expect(write.waitMessage).toBe('fifoow');
  world.open(fifo, 'rn');
  expect(write.result).toBe(3);
});

test('an open that creates a name and fails leaves nothing to wait for', () => {
  const world = new World({ maxPipeKvaBytes: 0 });
  const { file, result } = world.create(world.fifo(), 'w');
  expect(result).toBe(-ENOMEM);
  expect(file.pipeMeeting).toBe(-1);
});

test('a signal ends that wait with EINTR, and the next write waits again', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file } = world.create(fifo, 'w');
  const first = world.write(file, 'abc');
  first.signal();
  expect(first.result).toBe(-EINTR);
  expect(counts(fifo)).toEqual([0, 1]);
  const second = world.write(file, 'abc');
  expect(second.waitMessage).toBe('fifoow');
  world.kernel.scheduler.interrupt(second.thread);
  world.open(fifo, 'rn');
  expect(second.result).toBe(3);
});

test('creators that do not wait: non-blocking, both directions, or made non-blocking before the write', () => {
  const world = new World();
  const fifo = world.fifo();
  const nonBlocking = world.create(fifo, 'wn');
  expect(nonBlocking.result).toBe(0);
  expect(world.write(nonBlocking.file, 'abc').result).toBe(3);
  world.close(nonBlocking.file);
  expect(world.pipes.budget.usedBytes).toBe(0);
  const both = world.create(fifo, 'rw').file;
  expect(world.write(both, 'abc').result).toBe(3);
  world.close(both);

  const { file } = world.create(fifo, 'w');
  file.flags |= FNONBLOCK;
  expect(world.write(file, 'abc').result).toBe(3);
});

test('a blocking reader that created the name waits in read instead of in open', () => {
  const world = new World();
  const fifo = world.fifo();
  const { file } = world.create(fifo, 'r');
  expect(file.pipeMeeting).toBe(-1);
  const read = world.read(file, 5);
  expect(read.waitMessage).toBe('piperd');
  world.now(visit(fifo, 'w', bytesOf('x')));
  expect(read.text).toBe('x');
});

test('P123: an open that meant to make the name but found it is refused as a non-blocking writer alone', () => {
  const world = new World();
  const fifo = world.fifo();
  const file = new File(FWRITE | FNONBLOCK, anonymousPipeOps, user);
  expect(fifo.openAtOnce(file, false)).toBe(-ENXIO);
  expect(world.pipes.budget.usedBytes).toBe(0);
  const waiting = new File(FWRITE, anonymousPipeOps, user);
  expect(fifo.openAtOnce(waiting, false)).toBe(0);
  expect(world.write(waiting, 'x').waitMessage).toBe('fifoow');
});
