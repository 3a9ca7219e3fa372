import { expect, test } from 'vitest';

import { Resource } from '../../src/kern/accounting.ts';
import { EACCES, EAGAIN, EINTR, EMFILE, EINVAL, ENOMEM, ENOSPC } from '../../src/kern/errno.ts';
import { Creation } from '../../src/shm/creation.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

const KEY = 0x1234;
const CREATE = IPC_CREAT | 0o600;

function usageOf(world: ShmWorld): number[] {
  const { committedPages, usedCount } = world.table;
  return [committedPages, usedCount, world.charged(Resource.Segments), world.charged(Resource.SegmentBytes)];
}

test('S12, S18, S19: a segment whose memory or wiring fails leaves no page, slot, byte or key behind', () => {
  const world = new ShmWorld();
  const before = usageOf(world);
  Object.assign(world.memory.allocateFault, { error: -ENOMEM, times: 1 });
  expect(world.get(KEY, 3 * PAGE, CREATE)).toBe(-ENOMEM);
  expect(usageOf(world)).toEqual(before);
  world.setLimit('shm_use_phys', 1);
  Object.assign(world.memory.lockFault, { error: -EAGAIN, times: 1 });
  expect(world.get(KEY, 3 * PAGE, CREATE)).toBe(-EAGAIN);
  expect(usageOf(world)).toEqual(before);
  expect(world.memory.livePages).toBe(0);
  expect(world.get(KEY, PAGE, CREATE)).toBeGreaterThan(0);
});

test('S18: a creation whose size fails is charged for what it had booked before, and can take another size', () => {
  const world = new ShmWorld();
  const creation = Creation.begin(world.shm, user, { key: KEY, mode: 0o600 }) as Creation;
  expect(creation.segment.book(2 * PAGE)).toBe(true);
  Object.assign(world.memory.allocateFault, { error: -ENOMEM, times: 1 });
  expect(world.now(creation.setSize(5 * PAGE))).toBe(-ENOMEM);
  expect([creation.segment.bookedBytes, world.charged(Resource.SegmentBytes)]).toEqual([2 * PAGE, 2 * PAGE]);
  expect([creation.segment.sizeBytes, world.table.committedPages, world.shm.callsUnderWay]).toEqual([
    0, 0, 0,
  ]);
  expect(world.now(creation.setSize(PAGE))).toBeGreaterThan(0);
  expect(world.charged(Resource.SegmentBytes)).toBe(PAGE);
});

test('S10, S12: a size that limits or the quota refuse changes nothing', () => {
  const world = new ShmWorld();
  world.setLimit('shmmaxpgs', 4);
  const creation = Creation.begin(world.shm, user, { key: KEY, mode: 0o600 }) as Creation;
  expect(world.now(creation.setSize(0))).toBe(-EINVAL);
  world.make(2 * PAGE);
  expect(world.now(creation.setSize(3 * PAGE))).toBe(-ENOMEM);
  world.kernel.accounts.setLimit(Resource.SegmentBytes, () => 2 * PAGE);
  expect(world.now(creation.setSize(PAGE))).toBe(-ENOMEM);
  expect(usageOf(world)).toEqual([2, 2, 2, 2 * PAGE]);
  creation.abandon();
  expect(usageOf(world)).toEqual([2, 1, 1, 2 * PAGE]);
});

test('S11: a segment beyond the quota of segments takes no slot and no key', () => {
  const world = new ShmWorld();
  world.kernel.accounts.setLimit(Resource.Segments, () => 0);
  expect(world.get(KEY, PAGE, CREATE)).toBe(-ENOSPC);
  expect(usageOf(world)).toEqual([0, 0, 0, 0]);
  world.kernel.accounts.setLimit(Resource.Segments, () => 1);
  expect(world.get(KEY, PAGE, CREATE)).toBe(65_536);
});

test('S33, S40, S41: an attach that fails, wherever, is not under way any more and counts nothing', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const segment = world.table.find(id)!;
  const counts = (): number[] => [
    ...[segment.attachCount, segment.attachesUnderWay, process.attachesUnderWay, process.attachmentCount],
    ...[world.shm.callsUnderWay, process.space.mappings.size],
  ];
  const nothing = [0, 0, 0, 0, 0, 0];
  Object.assign(process.space.mapFault, { error: -ENOMEM, times: 1 });
  expect([world.attach(process, id), counts()]).toEqual([-ENOMEM, nothing]);
  world.setLimit('shm_use_phys', 1);
  Object.assign(process.space.wireFault, { error: -EAGAIN, times: 1 });
  expect([world.attach(process, id), counts()]).toEqual([-EAGAIN, nothing]);
  world.setLimit('shmseg', 0);
  expect([world.attach(process, id), counts()]).toEqual([-EMFILE, nothing]);
  world.setLimit('shmseg', 1);
  expect([world.attach(process, id, { address: 5 }), counts()]).toEqual([-EINVAL, nothing]);
  expect(world.attach(world.process({ uid: 9, gid: 9, pid: 9 }), id)).toBe(-EACCES);
  process.space.gate = world.kernel.channel('space');
  const attach = world.startAttach(process, id);
  expect(counts()).toEqual([1, 1, 1, 1, 1, 0]);
  attach.signal();
  expect([attach.result, counts()]).toEqual([-ENOMEM, nothing]);
  process.space.gate = null;
  expect(world.attach(process, id)).toBeGreaterThan(0);
});

test('S28, S70, S71: a wait that a signal ends is charged to nobody, and the table that it asked for is given up', () => {
  const world = new ShmWorld();
  world.memory.gate = world.kernel.channel('memory');
  const creator = world.startGet(KEY, PAGE, CREATE);
  const waiter = world.startGet(KEY, PAGE, 0);
  const resize = world.call(world.kernel.sysctls.change('kern.ipc.shmmni', 7, { uid: 0, gid: 0, pid: 1 }));
  expect([waiter.waitMessage, resize.waitMessage]).toEqual(['shmwait', 'shmrealc']);
  expect(world.charged(Resource.BlockedCalls)).toBe(2);
  const slots = world.memory.tableSlots;
  waiter.signal();
  resize.signal();
  expect([waiter.result, resize.result]).toEqual([-EINTR, -EINTR]);
  expect([world.charged(Resource.BlockedCalls), world.memory.tableSlots]).toEqual([0, slots - 7]);
  world.memory.gate.wakeup();
  world.kernel.scheduler.run();
  expect(creator.result).toBeGreaterThan(0);
});
