import { expect, test } from 'vitest';

import { EAGAIN, EINVAL, EOPNOTSUPP, EPIPE } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import {
  EV_EOF,
  EVFILT_AIO,
  EVFILT_EXCEPT,
  EVFILT_READ,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
} from '../../src/kern/klist.ts';
import { endOf, TestKnote, World } from '../support/engine.ts';

const NOTE_LOWAT = 0x0001;

function watch(file: File, filter: number): TestKnote {
  const knote = new TestKnote(file, filter);
  expect(knote.register()).toBe(0);
  return knote;
}

function hasEof(knote: TestKnote): boolean {
  return (knote.flags & EV_EOF) !== 0;
}

test('P93: a READ knote on a write-only descriptor is accepted, never fires and can be deleted', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const knote = watch(writer, EVFILT_READ);
  world.write(writer, 'abc');
  world.close(reader);
  expect(knote.isActive()).toBe(false);
  expect(knote.activations).toBe(0);
  knote.remove();
});

test('P93: a WRITE knote on a read-only descriptor is accepted, never fires and can be deleted', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const knote = watch(reader, EVFILT_WRITE);
  world.write(writer, 'abc');
  world.read(reader, 3);
  world.close(writer);
  expect(knote.isActive()).toBe(false);
  expect(knote.activations).toBe(0);
  knote.remove();
});

test('P94: a WRITE knote is refused with EPIPE when the other end of the pair is closed', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.close(far);
  expect(new TestKnote(near, EVFILT_WRITE).register()).toBe(-EPIPE);
});

test('P95: a READ knote is accepted then, and active at once with EV_EOF and no data', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.close(far);
  const knote = watch(near, EVFILT_READ);
  expect(knote.activations).toBe(1);
  expect(hasEof(knote)).toBe(true);
  expect(knote.data).toBe(0);
});

test('P96: other filters are EINVAL on a pair, and left to the node on a FIFO', () => {
  const world = new World();
  const [end] = world.pair();
  const { reader } = world.fifoEnds();
  for (const filter of [EVFILT_VNODE, EVFILT_EXCEPT, EVFILT_AIO, EVFILT_TIMER, EVFILT_USER, 0, -10]) {
    expect(new TestKnote(end, filter).register()).toBe(-EINVAL);
    expect(new TestKnote(reader, filter).register()).toBe(-EOPNOTSUPP);
  }
  expect(endOf(end).klist.size + endOf(reader).klist.size).toBe(0);
});

test('P97: a READ knote counts the stored bytes, or the unread bytes of a chunk', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const knote = watch(reader, EVFILT_READ);
  expect(knote.activations).toBe(0);
  world.write(writer, 'seven..');
  expect(knote.activations).toBe(1);
  expect(knote.data).toBe(7);
  world.read(reader, 7);
  expect(knote.isActive()).toBe(false);
  expect(knote.data).toBe(0);
  world.write(writer, 10000);
  world.read(reader, 4000);
  expect(knote.isActive()).toBe(true);
  expect(knote.data).toBe(6000);
  expect(hasEof(knote)).toBe(false);
});

test('P98: a READ knote fires with EV_EOF when the last writer leaves, and a new writer takes EV_EOF back', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  const knote = watch(reader, EVFILT_READ);
  world.write(writer, 'abc');
  knote.activations = 0;
  world.close(writer);
  expect(knote.activations).toBe(1);
  expect(hasEof(knote)).toBe(true);
  expect(knote.data).toBe(3);
  world.open(fifo, 'w');
  expect(knote.isActive()).toBe(true);
  expect(hasEof(knote)).toBe(false);
  expect(knote.data).toBe(3);
  world.read(reader, 3);
  expect(knote.isActive()).toBe(false);
});

test('P98: a READ knote without data is active at end-of-file, but not of a reader that opened afterwards', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(writer);
  const late = world.open(fifo, 'rn');
  const early = watch(reader, EVFILT_READ);
  const knote = watch(late, EVFILT_READ);
  expect(early.isActive()).toBe(true);
  expect(knote.isActive()).toBe(false);
  expect(hasEof(knote)).toBe(false);
  world.close(world.open(fifo, 'w'));
  expect(knote.activations).toBe(1);
  expect(hasEof(knote)).toBe(true);
});

test('P99: a WRITE knote counts the room of the ring it writes to, and is active from PIPE_BUF on', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  const knote = watch(writer, EVFILT_WRITE);
  expect(knote.activations).toBe(1);
  expect(knote.data).toBe(16384);
  world.write(writer, 65536 - 511);
  expect(knote.isActive()).toBe(false);
  expect(knote.data).toBe(511);
  world.read(reader, 1);
  expect(knote.isActive()).toBe(true);
  expect(knote.data).toBe(512);
});

test('P99: a WRITE knote shows no room beside a direct chunk', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const knote = watch(writer, EVFILT_WRITE);
  world.write(writer, 10000);
  expect(knote.isActive()).toBe(false);
  expect(knote.data).toBe(0);
  knote.activations = 0;
  world.read(reader, 10000);
  expect(knote.activations).toBeGreaterThan(0);
  expect(knote.data).toBe(16384);
});

test('P100: a WRITE knote fires with EV_EOF when the last reader of a FIFO leaves, its data still counted', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds('rn', 'wn');
  const knote = watch(writer, EVFILT_WRITE);
  world.write(writer, 65536);
  knote.activations = 0;
  expect(knote.isActive()).toBe(false);
  world.close(reader);
  expect(knote.activations).toBe(1);
  expect(hasEof(knote)).toBe(true);
  expect(knote.data).toBe(0);
  world.open(fifo, 'rn');
  expect(knote.isActive()).toBe(false);
  expect(hasEof(knote)).toBe(false);
});

test('P99, P100: the last evaluation of a FIFO knote counts PIPE_BUF, as the ring has no memory any more', () => {
  const world = new World();
  const both = world.open(world.fifo(), 'rw');
  const knote = watch(both, EVFILT_WRITE);
  world.close(both);
  expect(knote.data).toBe(512);
  expect(hasEof(knote)).toBe(true);
});

test('P100: on a pair the knote keeps the data it had when the other end closed', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.write(far, 96);
  const knote = watch(far, EVFILT_WRITE);
  expect(knote.data).toBe(16384 - 96);
  world.close(near);
  expect(knote.isActive()).toBe(true);
  expect(hasEof(knote)).toBe(true);
  expect(knote.data).toBe(16384 - 96);
});

test('P101: a WRITE knote follows the ring that its descriptor writes to, a READ knote its own', () => {
  const world = new World();
  const [near, far] = world.pair();
  const write = watch(far, EVFILT_WRITE);
  const read = watch(far, EVFILT_READ);
  write.activations = 0;
  world.write(far, 5000);
  write.activations = 0;
  expect(read.activations).toBe(0);
  world.read(near, 5000);
  expect(write.activations).toBe(1);
  expect(read.activations).toBe(0);
  write.activations = 0;
  world.write(near, 'abc');
  expect(write.activations).toBe(0);
  expect(read.activations).toBe(1);
  expect(read.data).toBe(3);
  write.remove();
  world.write(far, 1);
  world.read(near, 1);
  expect(write.activations).toBe(0);
});

test('P102: the WRITE knote of the surviving end becomes one-shot with EV_EOF and leaves the closed end', () => {
  const world = new World();
  const [near, far] = world.pair();
  const knote = watch(far, EVFILT_WRITE);
  const read = watch(far, EVFILT_READ);
  knote.activations = 0;
  world.close(near);
  expect(knote.activations).toBeGreaterThan(0);
  expect(knote.isOneShot).toBe(true);
  expect(hasEof(knote)).toBe(true);
  expect(endOf(near).klist.size).toBe(0);
  // Its own ring is still there: this one stays.
  expect(read.isOneShot).toBe(false);
  expect(endOf(far).klist.size).toBe(1);
  knote.remove();
});

test('P138: low-water marks and other parameters of a registration change nothing', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  const read = new TestKnote(reader, EVFILT_READ);
  const write = new TestKnote(writer, EVFILT_WRITE);
  for (const knote of [read, write]) {
    knote.fflags = NOTE_LOWAT;
    knote.data = 1000;
    expect(knote.register()).toBe(0);
  }
  expect(read.activations).toBe(0);
  world.write(writer, 'a');
  expect(read.activations).toBe(1);
  expect(read.data).toBe(1);
  world.write(writer, 65536 - 1 - 512);
  expect(write.isActive()).toBe(true);
  expect(write.data).toBe(512);
  expect(world.write(writer, 513).result).toBe(512);
  expect(world.write(writer, 1).result).toBe(-EAGAIN);
});
