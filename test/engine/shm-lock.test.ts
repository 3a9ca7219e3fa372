import { expect, test } from 'vitest';

import { rootCredentials } from '../../src/kern/credentials.ts';
import { EAGAIN, EFAULT, EINVAL, EIO, ENOMEM, EPERM } from '../../src/kern/errno.ts';
import { ShmWorld, type TestProcess } from '../support/shm.ts';

/** A segment that a root process has attached `count` times. */
function attached(count: number): { world: ShmWorld; id: number; root: TestProcess } {
  const world = new ShmWorld();
  const id = world.make();
  const root = world.process(rootCredentials);
  for (let attachment = 0; attachment < count; attachment++) world.attach(root, id);
  return { world, id, root };
}

test('S58: locking and unlocking are for the superuser', () => {
  const { world, id } = attached(1);
  const owner = world.process();
  world.attach(owner, id);
  expect(world.lock(owner, id)).toBe(-EPERM);
  expect(world.unlock(owner, id)).toBe(-EPERM);
  expect(world.lock(owner, id + 1)).toBe(-EINVAL);
  expect(world.unlock(owner, id + 1)).toBe(-EINVAL);
  expect(world.segment(id).isWired).toBe(false);
});

test('S59: without an attachment of its own the caller succeeds and nothing happens', () => {
  const { world, id, root } = attached(1);
  const other = world.process(rootCredentials);
  expect(world.lock(other, id)).toBe(0);
  expect([world.segment(id).isWired, world.backing(id).lockCalls]).toEqual([false, 0]);
  world.attach(other, world.make());
  expect(world.lock(other, id)).toBe(0);
  expect(world.segment(id).isWired).toBe(false);
  world.lock(root, id);
  expect(world.unlock(other, id)).toBe(0);
  expect([world.segment(id).isWired, world.backing(id).isLocked]).toEqual([true, true]);
});

test('S60: a lock wires memory and mapping, and the second one does nothing', () => {
  const { world, id, root } = attached(1);
  expect([world.lock(root, id), world.lock(root, id)]).toEqual([0, 0]);
  expect(world.segment(id).isWired).toBe(true);
  expect([world.backing(id).isLocked, world.backing(id).lockCalls]).toEqual([true, 1]);
  expect(root.space.wiredCount).toBe(1);
});

test('S60: memory that cannot be wired is EIO, and nothing is wired', () => {
  const { world, id, root } = attached(1);
  Object.assign(world.memory.lockFault, { error: -EAGAIN });
  expect(world.lock(root, id)).toBe(-EIO);
  expect([world.segment(id).isWired, root.space.wiredCount]).toEqual([false, 0]);
  world.memory.lockFault.error = 0;
  expect(world.lock(root, id)).toBe(0);
});

test('S60: a mapping that cannot be wired gives its error, a fault ENOMEM, and the memory is unwired', () => {
  const { world, id, root } = attached(2);
  for (const [error, result] of [
    [-EFAULT, -ENOMEM],
    [-EAGAIN, -EAGAIN],
  ] as const) {
    Object.assign(root.space.wireFault, { error, after: 1 });
    expect(world.lock(root, id)).toBe(result);
    expect(world.segment(id).isWired).toBe(false);
    expect([world.backing(id).isLocked, root.space.wiredCount]).toEqual([false, 0]);
  }
});

test('S61: a lock and an unlock cover every attachment that the caller has of the segment, and no other', () => {
  const { world, id, root } = attached(3);
  world.attach(root, world.make());
  expect(world.lock(root, id)).toBe(0);
  expect(root.space.wiredCount).toBe(3);
  expect(world.unlock(root, id)).toBe(0);
  expect(root.space.wiredCount).toBe(0);
});

test('S62: an unlock unwires memory and mapping, and of a segment not wired does nothing', () => {
  const { world, id, root } = attached(1);
  expect(world.unlock(root, id)).toBe(0);
  expect(world.backing(id).unlockCalls).toBe(0);
  world.lock(root, id);
  expect(world.unlock(root, id)).toBe(0);
  expect([world.segment(id).isWired, world.backing(id).isLocked, root.space.wiredCount]).toEqual([
    false,
    false,
    0,
  ]);
});

test('S62: a mapping that cannot be unwired is EIO, the segment stays tagged, and the call can be repeated', () => {
  const { world, id, root } = attached(2);
  world.lock(root, id);
  Object.assign(root.space.unwireFault, { error: -ENOMEM, after: 1 });
  expect(world.unlock(root, id)).toBe(-EIO);
  expect(world.segment(id).isWired).toBe(true);
  root.space.unwireFault.error = 0;
  expect(world.unlock(root, id)).toBe(0);
  expect([world.segment(id).isWired, root.space.wiredCount]).toEqual([false, 0]);
});

test('S59, S66: a lock takes a map of its own after a fork, and wires nothing of the relatives', () => {
  const { world, id, root } = attached(1);
  const child = world.fork(root, 501);
  expect(world.lock(child, id)).toBe(0);
  expect([child.space.wiredCount, root.space.wiredCount]).toEqual([1, 0]);
  expect(child.map).not.toBe(root.map);
});

test('S62: destroying a wired segment gives its memory back', () => {
  const { world, id, root } = attached(1);
  world.lock(root, id);
  const backing = world.backing(id);
  world.remove(id);
  world.exit(root);
  expect(backing.isFree).toBe(true);
});
