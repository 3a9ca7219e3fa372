import { expect, test } from 'vitest';

import { EPIPE } from '../../src/kern/errno.ts';
import { type File, Ioctl } from '../../src/kern/file.ts';
import { POLLIN, POLLOUT, Poller } from '../../src/kern/poll.ts';
import { Presence } from '../../src/pipe/end.ts';
import { type Call, endOf, pattern, World } from '../support/engine.ts';

/** A pair whose second file has a blocked write to the first one's full ring. */
function withBlockedWriter(world: World) {
  const [near, far] = world.pair();
  const write = world.writeBuffered(far, pattern(100_000));
  expect(write.isBlocked).toBe(true);
  return { near, far, write };
}

/** Starts a close and lets it run up to its wait; what it woke has not run yet. */
function startClose(world: World, file: File): Call {
  const call = world.spawn(file.ops.close(file));
  world.kernel.scheduler.runOne();
  return call;
}

test('P113: closing an end ends the read that is blocked on the other one', () => {
  const world = new World();
  const [near, far] = world.pair();
  const read = world.read(near, 10);
  expect(read.isBlocked).toBe(true);
  expect(world.close(far).result).toBe(0);
  expect(read.result).toBe(0);
  expect(world.read(near, 10).result).toBe(0);
});

test('P113: a close marks end-of-file first and waits until the operations in progress have left', () => {
  const world = new World();
  const { near, far, write } = withBlockedWriter(world);
  const close = startClose(world, near);
  expect(close.waitMessage).toBe('pipecl');
  expect(endOf(near).endOfFile).toBe(true);
  expect(endOf(near).presence).toBe(Presence.Active);
  expect(world.write(far, 'x').result).toBe(-EPIPE);
  expect(write.result).toBe(65536);
  expect(close.result).toBe(0);
  expect(endOf(near).presence).toBe(Presence.Finalized);
});

test('P113: several operations in progress all leave before the close goes on', () => {
  const world = new World();
  const { near, far, write } = withBlockedWriter(world);
  const second = world.write(far, 10);
  const third = world.write(far, 20_000);
  expect(second.isBlocked && third.isBlocked).toBe(true);
  const close = world.close(near);
  expect(write.result).toBe(65536);
  expect(second.result).toBe(-EPIPE);
  expect(third.result).toBe(-EPIPE);
  expect(close.result).toBe(0);
  expect(endOf(near).busyCount).toBe(0);
});

test('P113: pollers of both rings hear of a close, and the other end is at end-of-file', () => {
  const world = new World();
  const [near, far] = world.pair();
  const heard: string[] = [];
  const target = new Poller(() => heard.push('target'));
  const own = new Poller(() => heard.push('own'));
  endOf(near).pollQueue.record(target);
  endOf(far).pollQueue.record(own);
  world.close(near);
  expect(heard).toEqual(['target', 'own']);
  expect(endOf(far).endOfFile).toBe(true);
  expect(world.write(far, 'x').result).toBe(-EPIPE);
});

test('P113: the SIGIO owner of the other end hears of a close', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.ioctl(far, Ioctl.FIOSETOWN, 500);
  world.ioctl(far, Ioctl.FIOASYNC, 1);
  world.close(near);
  expect(world.host.sigio).toEqual([500]);
});

test('P114: bytes stored in the other end stay readable, those in the closed end are gone', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.write(far, 'abc');
  world.write(near, 'xyz');
  world.close(far);
  expect(endOf(far).ring.count).toBe(0);
  expect(world.read(near, 10).text).toBe('abc');
  expect(world.read(near, 10).result).toBe(0);
});

test('P114: a direct chunk that nobody has read goes with its end', () => {
  const world = new World();
  const [near, far] = world.pair();
  const write = world.write(far, 10_000);
  expect(world.read(near, 1000).result).toBe(1000);
  world.close(near);
  expect(write.result).toBe(1000);
  expect(endOf(near).chunk).toBe(null);
});

test('P115: the memory of a ring returns when its own end closes', () => {
  const world = new World();
  const [near, far] = world.pair();
  expect(world.pipes.budget.usedBytes).toBe(20480);
  world.close(near);
  expect(world.pipes.budget.usedBytes).toBe(4096);
  world.close(far);
  expect(world.pipes.budget.usedBytes).toBe(0);
});

test('P115: memory of a ring that has grown and holds bytes returns too', () => {
  const world = new World();
  const [near, far] = world.pair(true);
  world.write(far, 60_000);
  expect(world.pipes.budget.usedBytes).toBe(65536 + 4096);
  world.close(near);
  expect(world.pipes.budget.usedBytes).toBe(4096);
});

test('P116: a signal does not end the wait of a close', () => {
  const world = new World();
  const { near, write } = withBlockedWriter(world);
  const close = startClose(world, near);
  world.kernel.scheduler.interrupt(close.thread);
  expect(close.waitMessage).toBe('pipecl');
  world.kernel.scheduler.run();
  expect(write.result).toBe(65536);
  expect(close.result).toBe(0);
  expect(endOf(near).presence).toBe(Presence.Finalized);
});

test('P117: a closed end is finished at once and cannot be closed again; its peer goes on', () => {
  const world = new World();
  const [near, far] = world.pair();
  world.write(near, 'abc');
  world.close(near);
  expect(endOf(near).presence).toBe(Presence.Finalized);
  expect(() => world.close(near)).toThrow('an end is closed once');
  expect(endOf(far).presence).toBe(Presence.Active);
  expect(world.poll(far, POLLIN | POLLOUT)).not.toBe(0);
  expect(world.read(far, 3).text).toBe('abc');
});

test('P117: closing a descriptor of a FIFO only counts down until the last one', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds();
  const second = world.open(fifo, 'rn');
  world.close(reader);
  expect([fifo.readers, fifo.writers]).toEqual([1, 1]);
  world.write(writer, 'abc');
  expect(world.read(second, 3).text).toBe('abc');
  world.close(second);
  expect([fifo.readers, fifo.writers]).toEqual([0, 1]);
  expect(fifo.end).not.toBe(null);
  world.close(writer);
  expect(fifo.end).toBe(null);
});

test.each([0, 1] as const)('P118: a pair is finished with both its ends, end %i first', (first) => {
  const world = new World();
  const files = world.pair();
  const destroyed: unknown[] = [];
  world.pipes.policy = { destroyed: (pair) => destroyed.push(pair) };
  world.close(files[first]);
  expect(endOf(files[first]).presence).toBe(Presence.Finalized);
  expect(destroyed).toEqual([]);
  world.close(files[1 - first]!);
  expect(destroyed).toEqual([endOf(files[0]).pair]);
  expect(world.pipes.budget.usedBytes).toBe(0);
});

test('P118: both ends can close at the same time while calls are blocked on them', () => {
  const world = new World();
  const [near, far] = world.pair();
  const reads = [world.read(near, 5), world.read(far, 5)];
  const closes = [world.spawn(near.ops.close(near)), world.spawn(far.ops.close(far))];
  world.kernel.scheduler.run();
  expect(reads.map((read) => read.result)).toEqual([0, 0]);
  expect(closes.map((close) => close.result)).toEqual([0, 0]);
  expect(world.pipes.budget.usedBytes).toBe(0);
});

test('P119: destroying the pipe of a FIFO loses its bytes, its growth and its SIGIO owner', () => {
  const world = new World();
  const { fifo, reader, writer } = world.fifoEnds('rn', 'wn');
  world.ioctl(reader, Ioctl.FIOSETOWN, 500);
  world.ioctl(reader, Ioctl.FIOASYNC, 1);
  world.write(writer, 30_000);
  const oldEnds = fifo.end!.pair.ends;
  world.close(writer);
  world.close(reader);
  expect(oldEnds.map((end) => end.presence)).toEqual([Presence.Finalized, Presence.Finalized]);
  expect(oldEnds[0].owner).toBe(null);
  expect(world.pipes.budget.usedBytes).toBe(0);

  const again = world.open(fifo, 'rn');
  const signals = world.host.sigio.length;
  world.write(world.open(fifo, 'wn'), 'new');
  expect(world.host.sigio.length).toBe(signals);
  expect(world.ioctl(again, Ioctl.FIOGETOWN).value).toBe(0);
  expect(endOf(again).ring.size).toBe(16384);
  expect(world.read(again, 30_000).text).toBe('new');
});
