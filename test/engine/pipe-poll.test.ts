import { expect, test } from 'vitest';

import { EVFILT_READ } from '../../src/kern/klist.ts';
import { FREAD, FWRITE, Ioctl } from '../../src/kern/file.ts';
import {
  POLLHUP,
  POLLIN,
  POLLINIGNEOF,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
  Poller,
} from '../../src/kern/poll.ts';
import { endOf, TestKnote, World } from '../support/engine.ts';

/** A poller that counts its notifications. */
function countingPoller(): { poller: Poller; heard: () => number } {
  let count = 0;
  return { poller: new Poller(() => count++), heard: () => count };
}

/** A reader that was there when the only writer left, and one that opened later. */
function earlyAndLateReader(world: World) {
  const { fifo, reader, writer } = world.fifoEnds();
  world.close(writer);
  return { fifo, early: reader, late: world.open(fifo, 'rn') };
}

test('P82: stored bytes make a reader readable, and only the bits that were asked for come back', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  expect(world.poll(reader, POLLIN | POLLRDNORM)).toBe(0);
  world.write(writer, 'a');
  expect(world.poll(reader, POLLRDNORM)).toBe(POLLRDNORM);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN);
  expect(world.poll(reader, POLLIN | POLLRDNORM | POLLPRI)).toBe(POLLIN | POLLRDNORM);
  expect(world.poll(reader, POLLPRI)).toBe(0);
  expect(world.poll(reader, 0)).toBe(0);
});

test('P82: a pending direct chunk makes a reader readable; a descriptor not open for reading never is', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.write(writer, 10000);
  expect(endOf(reader).ring.count).toBe(0);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN);
  expect(world.poll(writer, POLLIN | POLLRDNORM)).toBe(0);
});

test('P83: a ring polls writable from PIPE_BUF free bytes on, though shorter writes would fit', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  expect(world.poll(writer, POLLOUT | POLLWRNORM)).toBe(POLLOUT);
  expect(world.write(writer, 65536 - 511).result).toBe(65536 - 511);
  expect(world.poll(writer, POLLOUT)).toBe(0);
  world.read(reader, 1);
  expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
  expect(world.poll(writer, 0)).toBe(0);
  expect(world.poll(reader, POLLOUT)).toBe(0);
});

test('P83: the threshold follows the PIPE_BUF of the mount', () => {
  const world = new World({ pipeBufBytes: 4096 });
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  world.write(writer, 65536 - 4095);
  expect(world.poll(writer, POLLOUT)).toBe(0);
  world.read(reader, 1);
  expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
});

test('P83: a pending direct chunk keeps every writer from polling writable until it is read', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  const other = world.open(fifo, 'wn');
  world.write(writer, 10000);
  expect(world.poll(other, POLLOUT)).toBe(0);
  world.read(reader, 9999);
  expect(world.poll(other, POLLOUT)).toBe(0);
  world.read(reader, 1);
  expect(world.poll(other, POLLOUT)).toBe(POLLOUT);
});

test('P83: a full ring whose end is being closed polls writable, as the write would not wait', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.writeBuffered(near, new Uint8Array(70000));
  expect(world.poll(near, POLLOUT)).toBe(0);
  const close = world.spawn(far.ops.close(far));
  world.kernel.scheduler.runOne();
  expect(close.waitMessage).toBe('pipecl');
  expect(world.poll(near, POLLOUT)).toBe(POLLOUT);
  // The closing end is at end-of-file, but the end that it writes to is still whole.
  expect(world.poll(far, POLLIN)).toBe(POLLIN);
});

test('P84: a reader whose writers left polls POLLIN if asked, and POLLHUP asked or not', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.close(writer);
  expect(world.poll(reader, 0)).toBe(POLLHUP);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN | POLLHUP);
  expect(world.poll(reader, POLLRDNORM)).toBe(POLLRDNORM | POLLHUP);
  expect(world.poll(reader, POLLPRI)).toBe(POLLHUP);
});

test('P85: POLLINIGNEOF leaves end-of-file out of the answer, but not stored bytes', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.write(writer, 'abc');
  world.close(writer);
  expect(world.poll(reader, POLLIN | POLLINIGNEOF)).toBe(POLLIN);
  world.read(reader, 3);
  expect(world.poll(reader, POLLIN | POLLINIGNEOF)).toBe(0);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN | POLLHUP);
});

test('P86: bytes of a writer that left poll POLLIN and POLLHUP together, and so does the end after them', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.write(writer, 'abc');
  world.close(writer);
  expect(world.poll(reader, POLLIN)).toBe(POLLIN | POLLHUP);
  expect(world.read(reader, 3).text).toBe('abc');
  expect(world.poll(reader, POLLIN)).toBe(POLLIN | POLLHUP);
  expect(world.read(reader, 3).result).toBe(0);
});

test('P87: a reader that opened after the last writer left polls no end-of-file until one comes and goes', () => {
  const world = new World();
  const { fifo, early, late } = earlyAndLateReader(world);
  expect(world.poll(early, POLLIN)).toBe(POLLIN | POLLHUP);
  expect(world.poll(late, POLLIN)).toBe(0);
  expect(world.poll(late, POLLRDNORM)).toBe(0);
  world.close(world.open(fifo, 'w'));
  expect(world.poll(late, POLLIN)).toBe(POLLIN | POLLHUP);
});

test('P87: a reader that opened beside a writer polls its end-of-file', () => {
  const world = new World();
  const { fifo, writer } = world.fifoEnds();
  const second = world.open(fifo, 'rn');
  world.close(writer);
  expect(world.poll(second, POLLIN)).toBe(POLLIN | POLLHUP);
});

test('P88: the late reader gets no POLLHUP whatever it asks for (PB9 corrected)', () => {
  const world = new World();
  const { early, late } = earlyAndLateReader(world);
  expect(world.poll(late, 0)).toBe(0);
  expect(world.poll(late, POLLOUT)).toBe(0);
  expect(world.poll(late, POLLPRI)).toBe(0);
  expect(world.poll(early, 0)).toBe(POLLHUP);
});

test('P89: a writer whose readers left polls POLLHUP, and POLLOUT if asked, full ring or not', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  world.write(writer, 65536);
  world.close(reader);
  expect(world.poll(writer, POLLOUT)).toBe(POLLOUT | POLLHUP);
  expect(world.poll(writer, POLLIN)).toBe(POLLHUP);
});

test('P90: an end of a pair whose peer is closed polls all three bits', () => {
  const world = new World();
  const [near, far] = world.pair();
  expect(world.poll(near, POLLIN | POLLOUT)).toBe(POLLOUT);
  world.close(far);
  expect(world.poll(near, POLLIN | POLLOUT)).toBe(POLLIN | POLLOUT | POLLHUP);
  expect(world.poll(near, POLLIN | POLLOUT | POLLINIGNEOF)).toBe(POLLOUT);
});

test('P91: a poller of a full ring hears once PIPE_BUF bytes are free', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  world.write(writer, 65536);
  const { poller, heard } = countingPoller();
  expect(world.poll(writer, POLLOUT, poller)).toBe(0);
  world.read(reader, 511);
  expect(heard()).toBe(0);
  world.read(reader, 1);
  expect(heard()).toBe(1);
  expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
});

test('P91: a poller of a pair waits on its own ring and on the one it writes to, and hears once', () => {
  const world = new World();
  const [near, far] = world.pair();
  for (const rouse of [() => world.write(far, 'x'), () => world.read(far, 4096)]) {
    world.write(near, new Uint8Array(512));
    const { poller, heard } = countingPoller();
    world.poll(near, POLLPRI, poller);
    rouse();
    expect(heard()).toBe(1);
    expect(poller.isWaiting).toBe(false);
    rouse();
    expect(heard()).toBe(1);
  }
});

test.each([
  ['reading', FREAD, 1, 0],
  ['writing', FWRITE, 0, 1],
  ['both', FREAD | FWRITE, 1, 1],
])(
  'P91 a poller of a descriptor open for %s waits on the rings that this concerns',
  (_, flags, own, target) => {
    const world = new World();
    const [near, far] = world.pair();
    const { poller } = countingPoller();
    near.flags = flags;
    world.poll(near, POLLPRI, poller);
    expect([endOf(near).pollQueue.size, endOf(far).pollQueue.size]).toEqual([own, target]);
  },
);

test('P91: nobody waits on an end that is closed', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.close(far);
  world.poll(near, POLLPRI, countingPoller().poller);
  expect([endOf(near).pollQueue.size, endOf(far).pollQueue.size]).toEqual([1, 0]);
});

test('P92: a notification reaches pollers, then the SIGIO owner, then knotes', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const order: string[] = [];
  const knote = new TestKnote(reader, EVFILT_READ);
  knote.activate = () => order.push(`knote after ${world.host.sigio.length} signal`);
  knote.register();
  world.ioctl(reader, Ioctl.FIOSETOWN, 500);
  world.ioctl(reader, Ioctl.FIOASYNC, 1);
  const poller = new Poller(() => order.push(`poller after ${world.host.sigio.length} signals`));
  world.poll(reader, POLLIN, poller);
  world.write(writer, 'a');
  expect(order).toEqual(['poller after 0 signals', 'knote after 1 signal']);
  expect(world.host.sigio).toEqual([500]);
});

test('P92: there is no SIGIO without async mode, or without an owner', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  world.ioctl(reader, Ioctl.FIOASYNC, 1);
  world.write(writer, 'a');
  expect(world.host.sigio).toEqual([]);
  world.ioctl(reader, Ioctl.FIOSETOWN, 500);
  world.ioctl(reader, Ioctl.FIOASYNC, 0);
  world.write(writer, 'a');
  expect(world.host.sigio).toEqual([]);
});
