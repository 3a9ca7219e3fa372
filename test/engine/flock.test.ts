import { describe, expect, test } from 'vitest';

import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EINTR, ENOLCK } from '../../src/kern/errno.ts';
import { user } from '../support/engine.ts';
import { LockWorld } from '../support/locks.ts';

const A = 1;
const B = 2;
const C = 3;

describe('flock', () => {
  test('an exclusive lock excludes every other open file, a shared one only exclusive locks', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    expect(world.tryLock(table, A, true)).toBe(0);
    expect(world.tryLock(table, B, true)).toBe(-EAGAIN);
    expect(world.tryLock(table, B, false)).toBe(-EAGAIN);
    expect(world.unlock(table, A)).toBe(0);
    expect(world.tryLock(table, B, false)).toBe(0);
    expect(world.tryLock(table, C, false)).toBe(0);
    expect(world.tryLock(table, A, true)).toBe(-EAGAIN);
    world.checkInvariants();
  });

  test('locks of two files, and of the two calls, do not meet', () => {
    const world = new LockWorld();
    expect(world.tryLock(world.table('flock'), A, true)).toBe(0);
    expect(world.tryLock(world.table('flock'), B, true)).toBe(0);
    expect(world.tryLock(world.table('fcntl'), C, true)).toBe(0);
  });

  test('a lock that is held already is granted again and counts once', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    for (let times = 0; times < 3; times++) expect(world.tryLock(table, A, true)).toBe(0);
    expect(world.charged(Resource.Locks)).toBe(1);
    world.unlock(table, A);
    expect(world.charged(Resource.Locks)).toBe(0);
    expect(world.registry.tables.size).toBe(0);
  });

  test('unlocking what is not locked succeeds', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    expect(world.unlock(table, B)).toBe(0);
    expect(world.held(table, A)).toBe('x0-inf');
  });

  test('a call that waits gets the lock from the call that unlocks, in order of arrival', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    const second = world.lock(table, B, true);
    const third = world.lock(table, C, true);
    expect([second.waitMessage, third.waitMessage]).toEqual(['lockf', 'lockf']);
    world.unlock(table, A);
    expect([second.result, third.isBlocked]).toEqual([0, true]);
    // Nobody can come between the unlock and the grant.
    expect(world.tryLock(table, A, true)).toBe(-EAGAIN);
    world.unlock(table, B);
    expect(third.result).toBe(0);
    world.checkInvariants();
  });

  test('all shared waiters go on together, past an exclusive one that still has to wait', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    const exclusive = world.lock(table, B, true);
    const shared = [10, 11, 12].map((process) => world.lock(table, process, false));
    expect(world.tryLock(table, A, false)).toBe(0);
    expect(shared.map(({ result }) => result)).toEqual([0, 0, 0]);
    expect(exclusive.isBlocked).toBe(true);
    for (const process of [A, 10, 11]) world.unlock(table, process);
    expect(exclusive.isBlocked).toBe(true);
    world.checkInvariants();
    world.unlock(table, 12);
    expect(exclusive.result).toBe(0);
  });

  test('the only holder converts at once, also while others wait', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, false);
    const waiter = world.lock(table, B, true);
    expect(world.tryLock(table, A, true)).toBe(0);
    expect(world.held(table, A)).toBe('x0-inf');
    expect(waiter.isBlocked).toBe(true);
  });

  test('a conversion that cannot be made gives up the shared lock, whether it waits or not', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, false);
    world.tryLock(table, B, false);
    expect(world.tryLock(table, A, true)).toBe(-EAGAIN);
    expect(world.held(table, A)).toBe('');
    world.tryLock(table, A, false);
    const first = world.lock(table, A, true);
    expect(first.isBlocked).toBe(true);
    // The other may convert now: two that keep what they have would wait for each other.
    expect(world.lock(table, B, true).result).toBe(0);
    world.unlock(table, B);
    expect(first.result).toBe(0);
    world.checkInvariants();
  });

  test('a signal ends a wait and leaves nothing behind', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    const waiter = world.lock(table, B, true);
    waiter.signal();
    expect(waiter.result).toBe(-EINTR);
    world.unlock(table, A);
    expect(world.tryLock(table, C, true)).toBe(0);
    world.checkInvariants();
  });

  test('a signal that comes with the grant leaves the lock with its caller', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    const waiter = world.lock(table, B, true);
    table.unlock(world.fileOf(A));
    waiter.signal();
    expect(waiter.result).toBe(0);
    expect(world.held(table, B)).toBe('x0-inf');

    const other = world.lock(table, C, true);
    // The signal first: the grant finds a caller that is about to leave, and is not lost.
    world.kernel.scheduler.interrupt(other.thread);
    table.unlock(world.fileOf(B));
    world.kernel.scheduler.run();
    expect([other.result, world.held(table, C)]).toEqual([0, 'x0-inf']);
    world.checkInvariants();
  });

  test('the last close unlocks; what waits through the same open file shares its lock', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(table, A, true);
    const [one, two] = [world.lock(table, B, true), world.lock(table, B, true)];
    const other = world.lock(table, C, false);
    world.release(table, A);
    expect([one.result, two.result, other.isBlocked]).toEqual([0, 0, true]);
    world.release(table, B);
    expect(other.result).toBe(0);
    world.checkInvariants();
  });

  test('beyond the quota a lock is ENOLCK, for calls that wait as well, and the next in line goes on', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.tryLock(world.table('flock'), A, true);
    world.tryLock(table, A, true);
    const waiter = world.lock(table, B, true);
    world.kernel.accounts.setLimit(Resource.Locks, () => 1);
    expect(world.tryLock(world.table('flock'), C, true)).toBe(-ENOLCK);
    world.unlock(table, A);
    expect(waiter.result).toBe(-ENOLCK);
    world.checkInvariants();
    world.kernel.accounts.setLimit(Resource.Locks, () => 2);
    expect(world.tryLock(table, C, true)).toBe(0);
  });

  test('a call too many that would wait is EAGAIN', () => {
    const world = new LockWorld();
    const table = world.table('flock');
    world.kernel.accounts.setLimit(Resource.BlockedCalls, () => 0);
    world.tryLock(table, A, true);
    const call = world.spawn(table.lock(world.request(table, B, true), true));
    call.thread.uid = user.uid;
    world.kernel.scheduler.run();
    expect(call.result).toBe(-EAGAIN);
    world.unlock(table, A);
    world.checkInvariants();
    expect(world.tryLock(table, C, true)).toBe(0);
  });
});
