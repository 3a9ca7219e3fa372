import { expect, test } from 'vitest';

import { EINVAL, EMFILE, ENOMEM, EPERM } from '../../src/kern/errno.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { HeapMemory } from '../../src/shm/memory.ts';
import { ShmSubsystem } from '../../src/shm/subsystem.ts';
import { FakeHost, user } from '../support/engine.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

const CREATE = IPC_CREAT | 0o600;
const GIB = 2 ** 30;

function limits(world: ShmWorld): [number, number] {
  return [world.limit('shmmaxpgs'), world.limit('shmmax')];
}

/** shmmax on a machine with so much memory. */
function defaultMaximum(memoryBytes: number): number {
  const host: FakeHost = Object.assign(new FakeHost(), { memoryBytes });
  const kernel = new Kernel(host);
  const shm = new ShmSubsystem(kernel, new HeapMemory());
  shm.checkInvariants();
  return kernel.sysctls.get('kern.ipc.shmmax')!.get();
}

test('S76, S78: shmmaxpgs sets both limits, and takes at least 1', () => {
  const world = new ShmWorld();
  expect(world.setLimit('shmmaxpgs', 10)).toBe(0);
  expect(limits(world)).toEqual([10, 40960]);
  for (const value of [0, -1, 2 ** 32, 2 ** 53]) expect(world.setLimit('shmmaxpgs', value)).toBe(-EINVAL);
  expect(limits(world)).toEqual([10, 40960]);
  expect(world.setLimit('shmmaxpgs', 1)).toBe(0);
  expect(limits(world)).toEqual([1, 4096]);
});

test('S77, S78: shmmax is rounded up to a page, sets both limits, and takes at least a page', () => {
  const world = new ShmWorld();
  expect(world.setLimit('shmmax', 4097)).toBe(0);
  expect(limits(world)).toEqual([2, 8192]);
  for (const value of [4095, 0, -4096]) expect(world.setLimit('shmmax', value)).toBe(-EINVAL);
  expect(limits(world)).toEqual([2, 8192]);
  expect(world.setLimit('shmmax', 4096)).toBe(0);
  expect(limits(world)).toEqual([1, 4096]);
});

test('S78: one segment may take all there is', () => {
  const world = new ShmWorld();
  world.setLimit('shmmax', 10 * PAGE - 5);
  expect(world.get(1, 10 * PAGE, CREATE)).toBe(65536);
  expect(world.get(2, 1, CREATE)).toBe(-ENOMEM);
});

test('S79: a huge shmmax is refused, and the largest one is consistent', () => {
  const world = new ShmWorld();
  const before = limits(world);
  for (const value of [2 ** 44, 2 ** 44 - 4095, 2 ** 53 - 1, 2 ** 63]) {
    expect(world.setLimit('shmmax', value)).toBe(-EINVAL);
  }
  expect(limits(world)).toEqual(before);
  expect(world.setLimit('shmmax', 2 ** 44 - 4096)).toBe(0);
  expect(limits(world)).toEqual([2 ** 32 - 1, 2 ** 44 - 4096]);
  expect(world.setLimit('shmmaxpgs', 2 ** 32 - 1)).toBe(0);
  expect(limits(world)).toEqual([2 ** 32 - 1, 2 ** 44 - 4096]);
  expect(world.get(1, PAGE, CREATE)).toBe(65536);
});

test('S80: limits below present use leave segments alone, and refuse new ones', () => {
  const world = new ShmWorld();
  const id = world.make(10 * PAGE);
  world.setLimit('shmmaxpgs', 5);
  expect(world.attach(world.process(), id)).toBeGreaterThan(0);
  expect(world.get(0, PAGE, 0o600)).toBe(-ENOMEM);
  expect(world.get(0, 6 * PAGE, 0o600)).toBe(-EINVAL);
  expect(world.table.committedPages).toBe(10);
});

test('S81: shmseg holds for later attaches, and is an int that is not negative', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  for (let count = 0; count < 3; count++) world.attach(process, id);
  expect(world.setLimit('shmseg', 1)).toBe(0);
  expect(world.status(id).attachCount).toBe(3);
  expect(world.attach(process, id)).toBe(-EMFILE);
  for (const value of [-1, 2 ** 31]) expect(world.setLimit('shmseg', value)).toBe(-EINVAL);
  expect(world.limit('shmseg')).toBe(1);
  expect(world.setLimit('shmseg', 2 ** 31 - 1)).toBe(0);
  expect(world.attach(process, id)).toBeGreaterThan(0);
});

test('S82: shm_use_phys is an int, and anything but 0 wires what comes later', () => {
  const world = new ShmWorld();
  const before = world.make();
  for (const value of [1, -7, 2 ** 31 - 1, -(2 ** 31)]) {
    expect(world.setLimit('shm_use_phys', value)).toBe(0);
    expect(world.limit('shm_use_phys')).toBe(value);
    expect(world.segment(world.make()).isWired).toBe(true);
  }
  for (const value of [2 ** 31, -(2 ** 31) - 1]) expect(world.setLimit('shm_use_phys', value)).toBe(-EINVAL);
  expect(world.segment(before).isWired).toBe(false);
  const process = world.process();
  world.attach(process, before);
  expect(process.space.wiredCount).toBe(1);
  world.setLimit('shm_use_phys', 0);
  expect(world.segment(world.make()).isWired).toBe(false);
});

test('S83: the defaults', () => {
  const world = new ShmWorld();
  const names = ['shmmni', 'shmseg', 'shmmin', 'shmmax', 'shmmaxpgs', 'shm_use_phys'];
  expect(names.map((name) => world.limit(name))).toEqual([128, 128, 1, 8 * GIB, (8 * GIB) / PAGE, 0]);
  expect([world.table.usedCount, world.table.committedPages]).toEqual([0, 0]);
  expect(defaultMaximum(4 * GIB)).toBe(GIB);
  expect(defaultMaximum(16 * 2 ** 20)).toBe(4 * 2 ** 20);
  expect(defaultMaximum(0)).toBe(4 * 2 ** 20);
  expect(defaultMaximum(20 * 2 ** 20 + 4 * PAGE - 1)).toBe(5 * 2 ** 20);
});

test('S83: a configured size is that many pages', () => {
  const world = new ShmWorld();
  expect(world.kernel.sysctls.preset('kern.ipc.shmmaxpgs', 2048)).toBe(0);
  expect(limits(world)).toEqual([2048, 2048 * PAGE]);
});

test('S84: the default is right with any amount of memory', () => {
  expect(defaultMaximum(64 * GIB)).toBe(16 * GIB);
  expect(defaultMaximum(16 * GIB)).toBe(4 * GIB);
  expect(defaultMaximum(2 ** 50)).toBe(2 ** 44 - 4096);
});

test('S76, S77, S81, S82: others than the superuser write nothing, and nobody writes shmmin', () => {
  const world = new ShmWorld();
  for (const name of ['shmmax', 'shmmaxpgs', 'shmseg', 'shm_use_phys', 'shmmni']) {
    const before = world.limit(name);
    expect(world.setLimit(name, 8192, user)).toBe(-EPERM);
    expect(world.limit(name)).toBe(before);
  }
  expect(world.setLimit('shmmin', 2)).toBe(-EPERM);
});
