import { expect, test } from 'vitest';

import { AssertionFailure } from '../../src/kern/assert.ts';
import { NEVER } from '../../src/shm/segment.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

test('S63: a fork counts every attachment once more, and changes no time or pid', () => {
  const world = new ShmWorld();
  const [twice, once] = [world.make(), world.make()];
  const parent = world.process();
  world.attach(parent, twice);
  world.attach(parent, twice);
  world.attach(parent, once);
  const before = world.status(twice);
  world.host.clock.advance(1_000);
  const child = world.fork(parent, 501);
  expect(world.status(twice)).toEqual({ ...before, attachCount: 4 });
  expect(world.status(once).attachCount).toBe(2);
  expect(child.map).toBe(parent.map);
  world.fork(child, 502);
  expect(world.status(once).attachCount).toBe(3);
  expect(parent.map?.references).toBe(3);
});

test('S63: a fork of a process without attachments counts nothing', () => {
  const world = new ShmWorld();
  const child = world.fork(world.process(), 501);
  expect(child.map).toBe(null);
  const id = world.make();
  world.attach(child, id);
  expect(world.status(id).attachCount).toBe(1);
});

test('S64: leaving a shared map counts down and sets the detach time; the last pid stays', () => {
  const world = new ShmWorld();
  const id = world.make();
  const parent = world.process();
  const address = world.attach(parent, id);
  const child = world.fork(parent, 501);
  world.host.clock.advance(6_000);
  world.exit(child);
  expect(world.status(id)).toMatchObject({ attachCount: 1, detachTime: { seconds: 7 }, lastPid: 500 });
  expect(parent.map?.references).toBe(1);
  expect(parent.space.store(address, 1)).toBe(0);
  expect(child.attachmentCount).toBe(0);
});

test('S64: a removed segment outlives the exit of one of those that share it', () => {
  const world = new ShmWorld();
  const id = world.make();
  const parent = world.process();
  world.attach(parent, id);
  const child = world.fork(parent, 501);
  world.remove(id);
  world.exit(parent);
  expect(world.table.usedCount).toBe(1);
  world.exit(child);
  expect([world.table.usedCount, world.shm.maps.size]).toEqual([0, 0]);
});

test('S65: the last user of a map detaches all of it at exit, and removed segments go', () => {
  const world = new ShmWorld();
  const [removed, kept] = [world.make(2 * PAGE), world.make()];
  const process = world.process();
  world.attach(process, removed);
  world.attach(process, removed);
  world.attach(process, kept);
  world.remove(removed);
  world.host.clock.advance(6_000);
  world.exit(process);
  expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 1]);
  expect(world.status(kept)).toMatchObject({ attachCount: 0, detachTime: { seconds: 7 }, lastPid: 500 });
  expect(world.shm.maps.size).toBe(0);
});

test('S64, S65: after exec a process has no attachments and can make new ones', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  world.attach(process, id);
  world.exit(process);
  expect(world.status(id).attachCount).toBe(0);
  world.attach(process, id);
  expect(process.attachmentCount).toBe(1);
  expect(world.status(id).attachCount).toBe(1);
});

test('S66: after a fork an attach is of the caller alone', () => {
  const world = new ShmWorld();
  const [first, second] = [world.make(), world.make()];
  const parent = world.process();
  const address = world.attach(parent, first);
  const child = world.fork(parent, 501);
  const later = world.attach(parent, second);
  expect(world.status(second).attachCount).toBe(1);
  expect(world.status(first).attachCount).toBe(2);
  expect(parent.addresses).toEqual([address, later]);
  expect(child.addresses).toEqual([address]);
  world.exit(parent);
  expect(child.space.store(address, 1)).toBe(0);
  expect([first, second].map((id) => world.status(id).attachCount)).toEqual([1, 0]);
});

test('S67: a process that has detached everything exits without touching a segment', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  world.detach(process, world.attach(process, id));
  const before = world.status(id);
  expect(before.detachTime).not.toEqual(NEVER);
  world.host.clock.advance(1_000);
  world.exit(process);
  world.exit(process);
  expect(world.status(id)).toEqual(before);
  expect(world.shm.maps.size).toBe(0);
});

test('S65: a process does not end while an attach of its own is under way', () => {
  const world = new ShmWorld();
  const process = world.process();
  const gate = world.closeGate(process.space);
  world.startAttach(process, world.make());
  expect(() => {
    world.exit(process);
  }).toThrow(AssertionFailure);
  gate.open();
  world.exit(process);
});
