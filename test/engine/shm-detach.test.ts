import { expect, test } from 'vitest';

import { AssertionFailure } from '../../src/kern/assert.ts';
import { EINVAL } from '../../src/kern/errno.ts';
import { privateMap } from '../../src/shm/attachments.ts';
import { detach } from '../../src/shm/shmat.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

test('S45: a detach needs the exact address of an attachment of the caller', () => {
  const world = new ShmWorld();
  const id = world.make(3 * PAGE);
  const process = world.process();
  expect(world.detach(process, 0)).toBe(-EINVAL);
  const address = world.attach(process, id);
  for (const wrong of [address + PAGE, address - PAGE, address + 1, 0, -1]) {
    expect(world.detach(process, wrong)).toBe(-EINVAL);
  }
  expect(world.detach(world.process(), address)).toBe(-EINVAL);
  expect(world.status(id).attachCount).toBe(1);
  expect(world.detach(process, address)).toBe(0);
  expect(world.detach(process, address)).toBe(-EINVAL);
});

test('S46: a detach unmaps, counts down and sets the detach time', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const [first, second] = [world.attach(process, id), world.attach(process, id)];
  world.host.clock.advance(3_000);
  world.detach(process, first);
  expect(process.addresses).toEqual([second]);
  expect([...process.space.mappings.keys()]).toEqual([second]);
  expect(world.status(id)).toMatchObject({
    attachCount: 1,
    detachTime: { seconds: 4, nanoseconds: 0 },
    attachTime: { seconds: 1 },
    changeTime: { seconds: 1 },
  });
  world.detach(process, second);
  expect(world.exists(id)).toBe(true);
});

test('S46: the last detach of a removed segment destroys it', () => {
  const world = new ShmWorld();
  const id = world.make(5 * PAGE);
  const [a, b] = [world.process(), world.process()];
  const [first, second] = [world.attach(a, id), world.attach(b, id)];
  const backing = world.backing(id);
  world.remove(id);
  world.detach(a, first);
  expect([world.table.usedCount, world.table.committedPages, backing.isFree]).toEqual([1, 5, false]);
  world.detach(b, second);
  expect([world.table.usedCount, world.table.committedPages, backing.isFree]).toEqual([0, 0, true]);
});

test('S47: a detach records the caller as the last pid', () => {
  const world = new ShmWorld();
  const id = world.make();
  const parent = world.process();
  const address = world.attach(parent, id);
  const child = world.fork(parent, 501);
  expect(world.status(id).lastPid).toBe(500);
  world.detach(child, address);
  expect(world.status(id).lastPid).toBe(501);
});

test('S48: after a fork a detach is of the caller alone', () => {
  const world = new ShmWorld();
  const [first, second] = [world.make(), world.make()];
  const parent = world.process();
  const addresses = [world.attach(parent, first), world.attach(parent, second)];
  const child = world.fork(parent, 501);
  expect(world.detach(child, addresses[0]!)).toBe(0);
  expect([first, second].map((id) => world.status(id).attachCount)).toEqual([1, 2]);
  expect(parent.addresses).toEqual(addresses);
  expect(child.addresses).toEqual([addresses[1]]);
  expect(parent.space.store(addresses[0]!, 1)).toBe(0);
  expect(world.detach(parent, addresses[0]!)).toBe(0);
  expect(world.status(first).attachCount).toBe(0);
});

test('S49: un-sharing a map copies every entry and moves one reference', () => {
  const world = new ShmWorld();
  const parent = world.process();
  for (let count = 0; count < 3; count++) world.attach(parent, world.make());
  const shared = parent.map!;
  const children = [world.fork(parent, 501), world.fork(parent, 502)];
  expect([shared.references, world.shm.maps.size]).toEqual([3, 1]);
  const own = privateMap(world.shm, children[0]!);
  world.check();
  expect([own.references, shared.references, world.shm.maps.size]).toEqual([1, 2, 2]);
  expect([...own.attachments]).toEqual([...shared.attachments]);
  expect(privateMap(world.shm, children[0]!)).toBe(own);
  expect(children[1]!.map).toBe(shared);
});

test('S45: an attachment that is the caller’s no more cannot be detached by name', () => {
  const world = new ShmWorld();
  const process = world.process();
  const address = world.attach(process, world.make());
  const [attachment] = process.attachments();
  detach(world.shm, process, attachment!);
  expect(process.space.mappings.has(address)).toBe(false);
  expect(() => {
    detach(world.shm, process, attachment!);
  }).toThrow(AssertionFailure);
});
