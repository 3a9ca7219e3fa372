import { describe, expect, test } from 'vitest';

import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EDEADLK, ENOLCK } from '../../src/kern/errno.ts';
import { changeRanges } from '../../src/kern/lock-ranges.ts';
import { LockWorld } from '../support/locks.ts';

const A = 1;
const B = 2;
const C = 3;

describe('ranges of one owner', () => {
  test('neighbours of one type become one range, of two types they stay two', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [10, 19]);
    world.tryLock(table, A, true, [20, 29]);
    expect(world.held(table, A)).toBe('x10-29');
    world.tryLock(table, A, false, [30, 39]);
    expect(world.held(table, A)).toBe('x10-29 s30-39');
    world.tryLock(table, A, false, [0, 9]);
    world.tryLock(table, A, false, [10, 29]);
    expect(world.held(table, A)).toBe('s0-39');
    expect(world.charged(Resource.Locks)).toBe(1);
    world.checkInvariants();
  });

  test('a lock within another type of lock, and an unlock within a lock, cut it', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, Infinity]);
    world.tryLock(table, A, false, [10, 19]);
    expect(world.held(table, A)).toBe('x0-9 s10-19 x20-inf');
    world.unlock(table, A, [15, 24]);
    expect(world.held(table, A)).toBe('x0-9 s10-14 x25-inf');
    world.unlock(table, A, [0, 0]);
    expect(world.held(table, A)).toBe('x1-9 s10-14 x25-inf');
    world.unlock(table, A, [100, Infinity]);
    expect(world.held(table, A)).toBe('x1-9 s10-14 x25-99');
    world.checkInvariants();
  });

  test('what is cut keeps its own type where the other side merges', () => {
    const shared = { start: 0, end: 9, isExclusive: false };
    const exclusive = { start: 10, end: 19, isExclusive: true };
    const wanted = { start: 5, end: 12, isExclusive: false };
    expect(changeRanges([shared, exclusive], wanted, true)).toEqual([
      { start: 0, end: 12, isExclusive: false },
      { start: 13, end: 19, isExclusive: true },
    ]);
  });
});

describe('ranges of several owners', () => {
  test('only overlapping bytes conflict, and F_GETLK names the first range that does', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 9]);
    world.tryLock(table, A, false, [100, Infinity]);
    expect(world.tryLock(table, B, true, [9, 9])).toBe(-EAGAIN);
    expect(world.tryLock(table, B, true, [10, 99])).toBe(0);
    expect(world.tryLock(table, B, false, [500, 600])).toBe(0);
    const found = table.conflictOf(world.request(table, B, true, [5, 200]));
    expect([found?.holder.pid, found?.range]).toEqual([A, { start: 0, end: 9, isExclusive: true }]);
    expect(table.conflictOf(world.request(table, B, false, [200, 300]))).toBe(null);
    expect(table.conflictOf(world.request(table, A, true, [0, 5]))).toBe(null);
  });

  test('a wait that cannot begin keeps what the owner has', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, false, [0, 9]);
    world.tryLock(table, B, false, [0, 9]);
    expect(world.tryLock(table, A, true, [0, 9])).toBe(-EAGAIN);
    expect(world.held(table, A)).toBe('s0-9');
  });

  test('an unlock lets those go on whose bytes are free, and nobody else', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 99]);
    const low = world.lock(table, B, true, [0, 9]);
    const high = world.lock(table, C, true, [90, 99]);
    world.unlock(table, A, [80, 99]);
    expect([low.isBlocked, high.result]).toEqual([true, 0]);
    world.checkInvariants();
    world.tryLock(table, A, false, [0, 9]);
    expect(low.isBlocked).toBe(true);
    world.unlock(table, A);
    expect(low.result).toBe(0);
  });

  test('a grant that converts lets others go on', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 9]);
    world.tryLock(table, B, true, [20, 29]);
    const reader = world.lock(table, C, false, [20, 29]);
    const converter = world.lock(table, B, false, [0, 29]);
    world.unlock(table, A);
    expect([converter.result, reader.result]).toEqual([0, 0]);
    expect([world.held(table, B), world.held(table, C)]).toEqual(['s0-29', 's20-29']);
    world.checkInvariants();
  });

  test('thousands of grants that each let the next go on need no stack', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    const count = 2500;
    world.tryLock(table, count, true, [0, 0]);
    for (let process = 0; process < count; process++) {
      world.tryLock(table, process, true, [2 * process + 2, 2 * process + 2]);
    }
    const calls = Array.from({ length: count - 1 }, (_, process) =>
      world.lock(table, process + 1, false, [2 * process + 2, 2 * process + 4]),
    );
    const first = world.lock(table, 0, false, [0, 2]);
    world.unlock(table, count);
    expect([first, ...calls].every(({ result }) => result === 0)).toBe(true);
  });

  test('a close of the owner ends its locks, the end of the open file those that are left', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 0]);
    world.tryLock(table, B, true, [1, 1]);
    const waiter = world.lock(table, C, true, [0, 1]);
    world.unlock(table, A);
    expect(waiter.isBlocked).toBe(true);
    world.release(table, B);
    expect(waiter.result).toBe(0);
    world.checkInvariants();
  });

  test('an unlock that needs a range more than the quota holds is ENOLCK and changes nothing', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 99]);
    world.kernel.accounts.setLimit(Resource.Locks, () => 1);
    expect(world.unlock(table, A, [10, 19])).toBe(-ENOLCK);
    expect(world.held(table, A)).toBe('x0-99');
    expect(world.unlock(table, A, [50, 99])).toBe(0);
    expect(world.tryLock(table, B, false, [60, 60])).toBe(-ENOLCK);
    expect(world.tryLock(table, A, false, [0, 49])).toBe(0);
    world.checkInvariants();
  });
});

describe('deadlocks', () => {
  test('a wait that would close a circle is EDEADLK, over several files too', () => {
    const world = new LockWorld();
    const [one, two] = [world.table('fcntl'), world.table('fcntl')];
    world.tryLock(one, A, true);
    world.tryLock(two, B, true);
    world.tryLock(two, C, true, [0, 0]);
    const waiting = world.lock(two, A, true);
    expect(world.lock(one, B, true).result).toBe(-EDEADLK);
    expect([world.held(two, B), waiting.isBlocked]).toEqual(['x0-inf', true]);
    world.unlock(two, B);
    expect(waiting.result).toBe(0);
    expect(world.registry.waiters.size).toBe(0);
  });

  test('a circle is found behind any of those in the way, not only the first', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, B, false, [0, 9]);
    world.tryLock(table, C, false, [0, 9]);
    world.tryLock(table, A, true, [50, 50]);
    const waiting = world.lock(table, C, true, [50, 50]);
    expect(world.lock(table, A, true, [0, 9]).result).toBe(-EDEADLK);
    world.unlock(table, A);
    expect(waiting.result).toBe(0);
  });

  test('a wait for somebody who waits for another is none', () => {
    const world = new LockWorld();
    const table = world.table('fcntl');
    world.tryLock(table, A, true, [0, 0]);
    world.tryLock(table, B, true, [1, 1]);
    const one = world.lock(table, B, true, [0, 0]);
    const two = world.lock(table, C, true, [1, 1]);
    expect([one.isBlocked, two.isBlocked]).toEqual([true, true]);
    // Its owner has been interrupted: the edge is gone.
    one.signal();
    expect(world.lock(table, A, true, [1, 1]).isBlocked).toBe(true);
  });
});
