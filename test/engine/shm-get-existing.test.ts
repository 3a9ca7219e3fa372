import { expect, test } from 'vitest';

import { EACCES, EEXIST, EINVAL } from '../../src/kern/errno.ts';
import { IPC_CREAT, IPC_EXCL } from '../../src/shm/flags.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

const CREATE = IPC_CREAT | 0o600;

test('S22: a removed segment has no key, and its key can be used again', () => {
  const world = new ShmWorld();
  const first = world.get(5, PAGE, CREATE);
  world.attach(world.process(), first);
  expect(world.get(5, PAGE, CREATE)).toBe(first);
  world.remove(first);
  const second = world.get(5, PAGE, CREATE);
  expect(second).toBe(65537);
  expect(world.get(5, 0, 0)).toBe(second);
  expect([...world.table.segments()].map(({ key }) => key)).toEqual([0, 5]);
});

test('S22: keys do not hide each other', () => {
  const world = new ShmWorld();
  const ids = new Map([5, 1, 0xffff_ffff, 3].map((key) => [key, world.get(key, PAGE, CREATE)]));
  for (const [key, id] of ids) expect(world.get(key, 0, 0)).toBe(id);
  world.remove(ids.get(1)!);
  for (const key of [5, 0xffff_ffff, 3]) expect(world.get(key, 0, 0)).toBe(ids.get(key));
});

test('S23: IPC_CREAT with IPC_EXCL is EEXIST before permission and size are looked at', () => {
  const world = new ShmWorld();
  world.get(5, PAGE, CREATE);
  expect(world.get(5, PAGE, CREATE | IPC_EXCL)).toBe(-EEXIST);
  expect(world.get(5, PAGE, CREATE | IPC_EXCL, stranger)).toBe(-EEXIST);
  expect(world.get(5, 2 * PAGE, CREATE | IPC_EXCL, stranger)).toBe(-EEXIST);
  expect(world.get(5, 0, IPC_CREAT | IPC_EXCL)).toBe(-EEXIST);
});

test('S24: IPC_EXCL alone is ignored', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, CREATE);
  expect(world.get(5, PAGE, IPC_EXCL)).toBe(id);
  expect(world.get(5, PAGE, IPC_CREAT)).toBe(id);
});

test('S25, S89: only owner-read and owner-write of the mode ask for access', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, CREATE);
  for (const mode of [0, 0o044, 0o022, 0o177]) expect(world.get(5, 0, mode, stranger)).toBe(id);
  for (const mode of [0o400, 0o200, 0o600, 0o444]) expect(world.get(5, 0, mode, stranger)).toBe(-EACCES);
  expect(world.get(5, 0, 0o600)).toBe(id);
});

test('S25, S26: no permission comes before a size that is too large', () => {
  const world = new ShmWorld();
  world.get(5, 100, CREATE);
  expect(world.get(5, 101, 0o400, stranger)).toBe(-EACCES);
  expect(world.get(5, 101, 0, stranger)).toBe(-EINVAL);
});

test('S26: a size above the exact one is EINVAL, 0 fits', () => {
  const world = new ShmWorld();
  const id = world.get(5, 100, CREATE);
  expect(world.get(5, 100, 0)).toBe(id);
  expect(world.get(5, 101, 0)).toBe(-EINVAL);
  expect(world.get(5, 0, 0)).toBe(id);
  expect(world.get(5, 1, 0)).toBe(id);
  expect(world.get(5, -1, 0)).toBe(-EINVAL);
  expect(world.get(5, 2 ** 63, 0)).toBe(-EINVAL);
});

test('S27: finding a segment changes nothing in it', () => {
  const world = new ShmWorld();
  const id = world.get(5, 100, IPC_CREAT | 0o666);
  const before = world.status(id);
  world.host.clock.advance(10_000);
  expect(world.get(5, 50, IPC_CREAT | 0o600, stranger)).toBe(id);
  expect(world.status(id)).toEqual(before);
  expect(world.table.usedCount).toBe(1);
});

test('S30: a key is found in every slot of the table, and a resize never takes it away', () => {
  const world = new ShmWorld();
  world.resize(3);
  for (let key = 1; key <= 3; key++) world.get(key, PAGE, CREATE);
  expect(world.resize(2)).toBeLessThan(0);
  expect([1, 2, 3].map((key) => world.get(key, 0, 0))).toEqual([65536, 65537, 65538]);
});
