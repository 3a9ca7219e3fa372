import { describe, expect, test } from 'vitest';

import { rootCredentials } from '../../src/kern/credentials.ts';
import { EBUSY, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC, EPERM } from '../../src/kern/errno.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

const CREATE = IPC_CREAT | 0o600;

function makeMany(world: ShmWorld, count: number): number[] {
  return Array.from({ length: count }, () => world.make());
}

test('S68: shmmni below 1 or above 65536 is EINVAL', () => {
  const world = new ShmWorld();
  for (const value of [0, -5, 65537, 1.5, 2 ** 32 + 1]) expect(world.resize(value)).toBe(-EINVAL);
  expect(world.limit('shmmni')).toBe(128);
  for (const value of [1, 65536, 128]) {
    expect(world.resize(value)).toBe(0);
    expect(world.limit('shmmni')).toBe(value);
  }
});

test('S68: shmmni is written by the superuser', () => {
  const world = new ShmWorld();
  expect(world.setLimit('shmmni', 64, user)).toBe(-EPERM);
  expect(world.limit('shmmni')).toBe(128);
});

test('S69: shmmni below a slot in use is EBUSY and changes nothing', () => {
  const world = new ShmWorld();
  const ids = makeMany(world, 5);
  expect(world.resize(4)).toBe(-EBUSY);
  expect(world.limit('shmmni')).toBe(128);
  expect(world.memory.tableSlots).toBe(128);
  expect(world.resize(5)).toBe(0);
  expect(world.get(0, PAGE, 0o600)).toBe(-ENOSPC);
  expect(ids.every((id) => world.exists(id))).toBe(true);
  expect(world.memory.tableSlots).toBe(5);
});

test('S69: a removed segment that is attached, and one in creation, are in use', () => {
  const world = new ShmWorld();
  const [, id] = makeMany(world, 2);
  const process = world.process();
  world.attach(process, id!);
  world.remove(id!);
  expect(world.resize(1)).toBe(-EBUSY);
  world.exit(process);
  expect(world.resize(1)).toBe(0);
});

test('S70: a table that finds no memory is ENOMEM, with the old one intact', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, CREATE);
  Object.assign(world.memory.tableFault, { error: -ENOMEM });
  expect(world.resize(256)).toBe(-ENOMEM);
  expect([world.limit('shmmni'), world.memory.tableSlots]).toEqual([128, 128]);
  expect(world.get(5, 0, 0)).toBe(id);
});

describe('waiting', () => {
  test('S71: a resize waits for creations and attaches under way', () => {
    const world = new ShmWorld();
    const id = world.make();
    const process = world.process();
    const creations = world.closeGate(world.memory);
    const attaches = world.closeGate(process.space);
    const creator = world.startGet(5, PAGE, CREATE);
    const attacher = world.startAttach(process, id);
    const resize = world.startResize(2);
    expect(resize.waitMessage).toBe('shmrealc');
    creations.open();
    expect([creator.result, resize.isBlocked]).toEqual([65537, true]);
    attaches.open();
    expect([attacher.result! > 0, resize.result]).toEqual([true, 0]);
    expect(world.limit('shmmni')).toBe(2);
    expect([world.get(5, 0, 0), world.status(id).attachCount]).toEqual([65537, 1]);
  });

  test('S71: a failed attach wakes a resize too', () => {
    const world = new ShmWorld();
    const process = world.process();
    const gate = world.closeGate(process.space);
    Object.assign(process.space.mapFault, { error: -ENOMEM });
    world.startAttach(process, world.make());
    const resize = world.startResize(2);
    gate.open();
    expect(resize.result).toBe(0);
  });

  test('S69, S71: what was created meanwhile is seen', () => {
    const world = new ShmWorld();
    world.make();
    const gate = world.closeGate(world.memory);
    world.startGet(5, PAGE, CREATE);
    const resize = world.startResize(1);
    gate.open();
    expect([resize.result, world.memory.tableSlots]).toEqual([-EBUSY, 128]);
  });

  test('S71: a signal ends the wait with EINTR, and the table is as it was', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    world.startGet(5, PAGE, CREATE);
    const resize = world.startResize(64);
    resize.signal();
    expect(resize.result).toBe(-EINTR);
    gate.open();
    expect([world.limit('shmmni'), world.memory.tableSlots]).toEqual([128, 128]);
  });

  test('S71: several resizes that wait are all done', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    world.startGet(5, PAGE, CREATE);
    const resizes = [64, 256, 32].map((count) => world.startResize(count));
    gate.open();
    expect(resizes.map(({ result }) => result)).toEqual([0, 0, 0]);
    expect([world.limit('shmmni'), world.memory.tableSlots]).toEqual([32, 32]);
  });

  test('S75: a call that waits for a creation is woken after a resize', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const creator = world.startGet(5, PAGE, CREATE);
    const other = world.startGet(5, 0, 0);
    const resize = world.startResize(64);
    gate.open();
    expect([creator.result, other.result, resize.result]).toEqual([65536, 65536, 0]);
  });

  test('S85: the table is changed without a moment in between', () => {
    const world = new ShmWorld();
    const id = world.get(5, PAGE, CREATE);
    const resize = world.startResize(64);
    expect(resize.result).toBe(0);
    expect(world.get(5, 0, 0)).toBe(id);
  });
});

test('S72: segments in every slot live on, whichever are free between them', () => {
  const world = new ShmWorld();
  const ids = makeMany(world, 3);
  world.remove(ids[0]!);
  for (const count of [128, 3, 65536, 4]) {
    expect(world.resize(count)).toBe(0);
    expect(world.exists(ids[1]!)).toBe(true);
    expect(world.attach(world.process(), ids[2]!)).toBeGreaterThan(0);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([2, 2]);
  }
});

test('S73: an id removed before a resize stays invalid after it', () => {
  const world = new ShmWorld();
  const id = world.make();
  world.remove(id);
  world.resize(64);
  expect(world.make()).toBe(131072);
  expect(world.exists(id)).toBe(false);
});

test('S73: an id stays invalid also when its slot has been out of the table', () => {
  const world = new ShmWorld();
  const ids = makeMany(world, 3);
  for (const id of ids) world.remove(id);
  world.resize(1);
  world.resize(128);
  expect(makeMany(world, 4)).toEqual([131072, 131073, 131074, 65539]);
  expect(ids.some((id) => world.exists(id))).toBe(false);
});

test('S74: after a resize a new segment takes a slot inside the table', () => {
  const world = new ShmWorld();
  const ids = makeMany(world, 100);
  for (const id of ids.slice(1)) world.remove(id);
  expect(world.resize(50)).toBe(0);
  const id = world.make();
  expect(id & 0xffff).toBe(1);
});

test('S5, S74: the slot freed last is still the next one after a resize that keeps it', () => {
  const world = new ShmWorld();
  const ids = makeMany(world, 5);
  world.remove(ids[1]!);
  world.remove(ids[3]!);
  world.resize(64);
  expect([world.make() & 0xffff, world.make() & 0xffff]).toEqual([3, 1]);
});

test('S68, S74: a table that grows has room in the new slots, in order', () => {
  const world = new ShmWorld();
  world.resize(1);
  world.make();
  world.resize(3);
  expect(makeMany(world, 2)).toEqual([65537, 65538]);
  expect(world.get(0, PAGE, 0o600)).toBe(-ENOSPC);
});

test('S68, S70: a change of a tunable before the mount is made at once', () => {
  const world = new ShmWorld();
  const { sysctls } = world.kernel;
  expect(sysctls.preset('kern.ipc.shmmni', 64)).toBe(0);
  expect(sysctls.preset('kern.ipc.shmmni', 0)).toBe(-EINVAL);
  makeMany(world, 2);
  expect(sysctls.preset('kern.ipc.shmmni', 1)).toBe(-EBUSY);
  expect(sysctls.preset('kern.ipc.shmmin', 1)).toBe(-EPERM);
  expect(world.limit('shmmni')).toBe(64);
  expect(sysctls.write('kern.ipc.shmmni', 5, rootCredentials)).toBe(-EPERM);
  expect(world.setLimit('other', 1)).toBe(-ENOENT);
});
