import { expect, test } from 'vitest';
import { EINTR } from '../../src/kern/errno.ts';
import { EV_EOF, EVFILT_EXCEPT, EVFILT_OPEN, EVFILT_READ, EVFILT_WRITE } from '../../src/kern/klist.ts';
import { fifoKqfilter } from '../../src/pipe/fifo-filters.ts';
import { endOf, TestKnote, World } from '../support/engine.ts';

/** A registration by path: the file stands for the name and has not been opened. */
function watchPath(world: World, filter: number) {
  const fifo = world.fifo();
  const anyFile = world.pair()[0];
  const knote = new TestKnote(anyFile, filter);
  return { fifo, knote, result: fifoKqfilter(fifo, knote) };
}

test('a READ knote by path counts as no reader, and outlives everybody who opens the pipe', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_READ);
  expect([fifo.readers, fifo.end]).toEqual([0, null]);
  expect(knote.isActive()).toBe(false);
  for (let round = 1; round <= 2; round++) {
    const both = world.open(fifo, 'rw');
    world.write(both, 'abc');
    expect([knote.isActive(), knote.data]).toEqual([true, 3]);
    expect(knote.activations).toBeGreaterThanOrEqual(round);
    world.close(both);
    expect([fifo.end, knote.isActive(), knote.data]).toEqual([null, false, 0]);
  }
  knote.remove();
  expect(fifo.klist.size).toBe(0);
});

test('P98: by path: end-of-file once the last writer has left a pipe that somebody reads, lifted by the next', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_READ);
  const reader = world.open(fifo, 'rn');
  expect(knote.isActive()).toBe(false);
  const writer = world.open(fifo, 'w');
  world.write(writer, 'xy');
  world.close(writer);
  expect([knote.isActive(), knote.data, knote.flags & EV_EOF]).toEqual([true, 2, EV_EOF]);
  world.open(fifo, 'w');
  expect([knote.isActive(), knote.flags & EV_EOF]).toEqual([true, 0]);
  world.read(reader, 2);
  expect(knote.isActive()).toBe(false);
});

test('P99, P100: by path: WRITE says how much room there is while somebody reads', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_WRITE);
  expect(knote.isActive()).toBe(false);
  const reader = world.open(fifo, 'rn');
  expect([knote.isActive(), knote.data]).toEqual([true, 16384]);
  const writer = world.open(fifo, 'w');
  world.writeBuffered(writer, new Uint8Array(16000));
  expect([knote.isActive(), knote.data]).toEqual([false, 384]);
  expect(endOf(writer).ring.count).toBe(16000);
  world.close(reader);
  expect([knote.isActive(), knote.flags & EV_EOF]).toEqual([true, EV_EOF]);
});

test('P96: a filter that pipes do not have is EOPNOTSUPP', () => {
  const { fifo, result } = watchPath(new World(), EVFILT_EXCEPT);
  expect([result, fifo.klist.size]).toEqual([-95, 0]);
});

test('READ by path: a writer that waits for a reader in its open, until it meets one or gives up', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_READ);
  for (let round = 1; round <= 2; round++) {
    const before = knote.activations;
    const { call } = world.startOpen(fifo, 'w');
    expect([knote.isActive(), knote.data, knote.flags & EV_EOF]).toEqual([true, 0, 0]);
    expect(knote.activations).toBeGreaterThan(before);
    call.signal();
    expect([call.result, knote.isActive()]).toEqual([-EINTR, false]);
  }
  const { call } = world.startOpen(fifo, 'w');
  world.open(fifo, 'r');
  expect([call.result, knote.isActive()]).toEqual([0, false]);
});

test('READ by path: the writer that made the pipe, from its first write on', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_READ);
  const { file: maker } = world.create(fifo, 'w');
  expect([knote.activations, knote.isActive()]).toEqual([0, false]);
  const call = world.write(maker, 'abc');
  expect([knote.activations, knote.isActive(), knote.data]).toEqual([1, true, 0]);
  const reader = world.open(fifo, 'rn');
  expect([call.result, knote.isActive(), knote.data]).toEqual([3, true, 3]);
  world.read(reader, 3);
  expect(knote.isActive()).toBe(false);
});

test('WRITE by path: the first reader is told, also one that waits for a writer in its open', () => {
  for (const flags of ['r', 'rn']) {
    const world = new World();
    const { fifo, knote } = watchPath(world, EVFILT_WRITE);
    world.startOpen(fifo, flags);
    expect([knote.activations, knote.data]).toEqual([1, 16384]);
  }
});

test('OPEN: readers and writers that wait for the other side, in their open or in their first write', () => {
  const world = new World();
  const { fifo, knote } = watchPath(world, EVFILT_OPEN);
  expect(knote.isActive()).toBe(false);
  const reader = world.startOpen(fifo, 'r');
  const other = world.startOpen(fifo, 'r');
  expect([knote.isActive(), knote.data, knote.activations]).toEqual([true, 2, 2]);
  const { file } = world.create(fifo, 'w');
  world.kernel.scheduler.run();
  expect([reader.call.result, other.call.result, knote.isActive()]).toEqual([0, 0, false]);
  world.close(file);
  world.close(reader.file);
  world.close(other.file);
  const made = world.create(fifo, 'w');
  expect(knote.isActive()).toBe(false);
  const writing = world.write(made.file, 'x');
  expect([knote.isActive(), knote.data]).toEqual([true, 2 ** 32]);
  writing.signal();
  expect([writing.result, knote.isActive(), knote.data]).toEqual([-EINTR, false, 0]);
  const open = new TestKnote(made.file, EVFILT_OPEN);
  expect(open.register()).toBe(0);
  open.remove();
  knote.remove();
});
