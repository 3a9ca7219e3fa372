import { expect, test } from 'vitest';

import { Resource } from '../../src/kern/accounting.ts';
import { EINTR, ENOMEM } from '../../src/kern/errno.ts';
import { EVFILT_WRITE } from '../../src/kern/klist.ts';
import { POLLOUT, Poller } from '../../src/kern/poll.ts';
import { MAXIMUM_SPARE_RINGS } from '../../src/pipe/budget.ts';
import { endOf, pattern, TestKnote, World } from '../support/engine.ts';

const CHUNK_BYTES = 20_000;

test('P16, P17: a ring that finds no memory for its new size keeps the old one, and what is booked is what there is', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const { ring } = endOf(reader);
  world.write(writer, pattern(1000));
  const used = [world.pipes.budget.usedBytes, world.charged(Resource.PipeBytes)];
  world.host.isOutOfMemory = true;
  expect(ring.resize(2 * ring.size)).toBe(-ENOMEM);
  world.host.isOutOfMemory = false;
  expect([world.pipes.budget.usedBytes, world.charged(Resource.PipeBytes)]).toEqual(used);
  expect(world.sysctl('kern.ipc.piperesizefail')).toBe(1);
  expect(world.read(reader, 2000).bytes).toEqual(pattern(1000));
});

test('P5: a ring that the quota holds and the budget does not is charged to nobody', () => {
  const world = new World({ maxPipeKvaBytes: 24_576 });
  world.fifoEnds();
  const used = world.charged(Resource.PipeBytes);
  const { call } = world.startOpen(world.fifo(), 'r');
  expect([call.result, world.charged(Resource.PipeBytes)]).toEqual([-ENOMEM, used]);
});

test('P4: a pair of which only the second ring is refused gives the first one back', () => {
  const world = new World();
  const { account } = endOf(world.pair()[0]).pair;
  const used = account.used(Resource.PipeBytes);
  world.kernel.accounts.setLimit(Resource.PipeBytes, () => used + 16_384 + 4095);
  const { call } = world.startOpen(world.fifo(), 'r');
  expect([call.result, account.used(Resource.PipeBytes)]).toEqual([-ENOMEM, used]);
  expect(world.pipes.pairs.size).toBe(1);
});

test('rings are kept for reuse up to a limit, each under its size', () => {
  const world = new World();
  const pairs = Array.from({ length: MAXIMUM_SPARE_RINGS + 10 }, () => world.pair());
  for (const [, far] of pairs) world.write(far, 1);
  expect(world.pipes.budget.spareCount).toBe(0);
  for (const files of pairs) for (const file of files) world.close(file);
  expect(world.pipes.budget.spareCount).toBe(MAXIMUM_SPARE_RINGS);
  world.host.isOutOfMemory = true;
  const [near, far] = world.pair();
  expect(world.write(far, 'abc').result).toBe(3);
  expect(world.read(near, 10).text).toBe('abc');
  expect(world.pipes.budget.spareCount).toBe(MAXIMUM_SPARE_RINGS - 1);
});

test('P43, P76, P92: a chunk that a signal ends without memory for its rest notifies pollers and knotes of the room', () => {
  const world = new World();
  const { reader, writer } = world.fifoEnds();
  const write = world.write(writer, CHUNK_BYTES);
  const watcher = world.open(endOf(reader).pair.fifo!, 'wn');
  let notified = 0;
  expect(world.poll(watcher, POLLOUT, new Poller(() => notified++))).toBe(0);
  const knote = new TestKnote(watcher, EVFILT_WRITE);
  knote.register();
  expect(knote.activations).toBe(0);
  world.host.isOutOfMemory = true;
  write.signal();
  expect([write.result, notified, knote.activations]).toEqual([-EINTR, 1, 1]);
  expect(world.poll(watcher, POLLOUT)).toBe(POLLOUT);
});

test('P113: who waits to open or to write is charged until the call ends, however it ends', () => {
  const world = new World();
  const fifo = world.fifo();
  const { call } = world.startOpen(fifo, 'r');
  expect(world.charged(Resource.BlockedCalls)).toBe(1);
  call.signal();
  expect([call.result, world.charged(Resource.BlockedCalls)]).toEqual([-EINTR, 0]);
  expect([world.pipes.pairs.size, world.pipes.budget.usedBytes]).toEqual([0, 0]);
});
