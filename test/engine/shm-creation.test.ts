import { describe, expect, test } from 'vitest';

import { AssertionFailure } from '../../src/kern/assert.ts';
import { EAGAIN, EEXIST, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC } from '../../src/kern/errno.ts';
import { Creation } from '../../src/shm/creation.ts';
import { IPC_CREAT, IPC_EXCL } from '../../src/shm/flags.ts';
import { findCreated } from '../../src/shm/shmget.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

const CREATE = IPC_CREAT | 0o600;

describe('creation in progress', () => {
  test('S4: no id finds the segment', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const call = world.startGet(5, PAGE, CREATE);
    expect(call.isBlocked).toBe(true);
    expect(world.exists(65536)).toBe(false);
    expect(world.exists(0)).toBe(false);
    expect(world.attach(world.process(), 65536)).toBe(-EINVAL);
    gate.open();
    expect(call.result).toBe(65536);
    expect(world.exists(65536)).toBe(true);
  });

  test('S28: a call that needs the key waits, and finds the same segment', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const creator = world.startGet(5, PAGE, CREATE);
    const others = [
      world.startGet(5, PAGE, CREATE),
      world.startGet(5, 0, 0),
      world.startGet(5, 0, IPC_CREAT | IPC_EXCL),
      world.startGet(5, 2 * PAGE, 0),
    ];
    expect(others.map(({ waitMessage }) => waitMessage)).toEqual([
      'shmwait',
      'shmwait',
      'shmwait',
      'shmwait',
    ]);
    const elsewhere = world.get(6, 0, 0);
    expect(elsewhere).toBe(-ENOENT);
    gate.open();
    expect(creator.result).toBe(65536);
    expect(others.map(({ result }) => result)).toEqual([65536, 65536, -EEXIST, -EINVAL]);
    expect(world.table.usedCount).toBe(1);
  });

  test('S28: IPC_PRIVATE waits for nobody', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const calls = [world.startGet(0, PAGE, 0o600), world.startGet(0, PAGE, 0o600)];
    expect(calls.map(({ waitMessage }) => waitMessage)).toEqual(['host', 'host']);
    gate.open();
    expect(calls.map(({ result }) => result)).toEqual([65536, 65537]);
  });

  test('S28: a signal ends the wait with EINTR, and the creation goes on', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const creator = world.startGet(5, PAGE, CREATE);
    const other = world.startGet(5, PAGE, CREATE);
    other.signal();
    expect(other.result).toBe(-EINTR);
    creator.signal();
    expect(creator.isBlocked).toBe(true);
    gate.open();
    expect(creator.result).toBe(65536);
  });

  test('S28: when the creation fails the next one creates, and who does not create finds nothing', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    Object.assign(world.memory.allocateFault, { error: -EAGAIN });
    const creator = world.startGet(5, PAGE, CREATE);
    const finder = world.startGet(5, PAGE, 0);
    const second = world.startGet(5, 2 * PAGE, CREATE);
    const third = world.startGet(5, 0, IPC_CREAT | IPC_EXCL);
    gate.open();
    expect(creator.result).toBe(-EAGAIN);
    expect(finder.result).toBe(-ENOENT);
    expect(second.result).toBe(-EAGAIN);
    expect(third.result).toBe(-EINVAL);
    world.memory.allocateFault.error = 0;
    expect(world.get(5, 2 * PAGE, CREATE)).toBe(65536);
  });

  test('S29: two creators of one key with IPC_EXCL: one succeeds, one gets EEXIST', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const calls = [1, 2].map(() => world.startGet(5, PAGE, CREATE | IPC_EXCL));
    expect(world.table.usedCount).toBe(1);
    gate.open();
    expect(calls.map(({ result }) => result)).toEqual([65536, -EEXIST]);
  });

  test('S12, S29: pages of a creation under way count against others', () => {
    const world = new ShmWorld();
    world.setLimit('shmmaxpgs', 4);
    const gate = world.closeGate(world.memory);
    const call = world.startGet(1, 3 * PAGE, CREATE);
    expect(world.get(2, 2 * PAGE, CREATE)).toBe(-ENOMEM);
    gate.open();
    expect(call.result).toBe(65536);
  });
});

describe('failures', () => {
  test('S20: no memory is the error of the memory, and nothing is kept', () => {
    const world = new ShmWorld();
    Object.assign(world.memory.allocateFault, { error: -ENOMEM });
    expect(world.get(5, PAGE, CREATE)).toBe(-ENOMEM);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([0, 0]);
    expect(world.get(5, 0, 0)).toBe(-ENOENT);
    world.memory.allocateFault.error = 0;
    expect(world.get(5, PAGE, CREATE)).toBe(65536);
  });

  test('S5, S20: a failed creation frees its slot, which is the next to be taken', () => {
    const world = new ShmWorld();
    const [a, b] = [world.make(), world.make()];
    world.remove(a);
    const gate = world.closeGate(world.memory);
    Object.assign(world.memory.allocateFault, { error: -ENOMEM, after: 1 });
    const calls = [world.startGet(1, PAGE, CREATE), world.startGet(2, PAGE, CREATE)];
    gate.open();
    expect(calls.map(({ result }) => result)).toEqual([131072, -ENOMEM]);
    world.memory.allocateFault.error = 0;
    world.remove(b);
    expect(world.make()).toBe(131073);
    expect(world.make()).toBe(65538);
  });

  test('S18, S19: a failure to wire discards the segment with that error and leaves the counts as before', () => {
    const world = new ShmWorld();
    const kept = world.make(3 * PAGE);
    const used = world.make(5 * PAGE);
    world.remove(used);
    world.setLimit('shm_use_phys', 1);
    Object.assign(world.memory.lockFault, { error: -EAGAIN });
    expect(world.get(5, 2 * PAGE, CREATE)).toBe(-EAGAIN);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 3]);
    expect(world.memory.live.size).toBe(1);
    expect(world.get(5, 0, 0)).toBe(-ENOENT);
    world.memory.lockFault.error = 0;
    expect(world.get(5, 2 * PAGE, CREATE)).toBe(131073);
    expect(world.table.committedPages).toBe(5);
    expect(world.segment(kept).isWired).toBe(false);
    expect(world.segment(131073).isWired).toBe(true);
  });

  test('S19, S71: a failure to wire wakes a resize that waits', () => {
    const world = new ShmWorld();
    world.setLimit('shm_use_phys', 1);
    Object.assign(world.memory.lockFault, { error: -ENOMEM });
    const gate = world.closeGate(world.memory);
    const creator = world.startGet(5, PAGE, CREATE);
    const resize = world.startResize(64);
    expect(resize.waitMessage).toBe('shmrealc');
    gate.open();
    expect([creator.result, resize.result]).toEqual([-ENOMEM, 0]);
    expect(world.limit('shmmni')).toBe(64);
  });

  test('S18: whether to wire is settled when the creation begins', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const before = world.startGet(1, PAGE, CREATE);
    world.setLimit('shm_use_phys', 1);
    const after = world.startGet(2, PAGE, CREATE);
    gate.open();
    expect(world.backing(before.result!).isLocked).toBe(false);
    expect(world.backing(after.result!).isLocked).toBe(true);
  });
});

describe('a creation whose size comes later', () => {
  function begin(world: ShmWorld, key = 5): Creation {
    const creation = Creation.begin(world.shm, user, { key, mode: 0o4640 });
    if (typeof creation === 'number') throw new Error(`there is a slot: ${creation}`);
    world.check();
    return creation;
  }

  test('S4, S28: holds its key and a slot, and others wait until it has its size', () => {
    const world = new ShmWorld();
    const creation = begin(world);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 0]);
    const other = world.startGet(5, 0, 0);
    expect(other.isBlocked).toBe(true);
    expect(world.now(creation.setSize(100))).toBe(65536);
    expect(creation.isPending).toBe(false);
    expect(other.result).toBe(65536);
    expect(world.status(65536)).toMatchObject({ sizeBytes: 100, permissions: { mode: 0o640, key: 5 } });
  });

  test('S10, S12: a size that is refused leaves it waiting for another', () => {
    const world = new ShmWorld();
    world.setLimit('shmmaxpgs', 4);
    const taken = world.make(2 * PAGE);
    const creation = begin(world);
    expect(world.now(creation.setSize(0))).toBe(-EINVAL);
    expect(world.now(creation.setSize(4 * PAGE + 1))).toBe(-EINVAL);
    expect(world.now(creation.setSize(2 * PAGE + 1))).toBe(-ENOMEM);
    expect([creation.isPending, world.table.committedPages]).toEqual([true, 2]);
    world.remove(taken);
    expect(world.now(creation.setSize(2 * PAGE + 1))).toBe(65537);
    expect(world.table.committedPages).toBe(3);
  });

  test('S18, S19: memory that cannot be had or wired leaves it without pages, waiting for another try', () => {
    const world = new ShmWorld();
    const creation = begin(world);
    Object.assign(world.memory.allocateFault, { error: -ENOMEM, times: 1 });
    expect(world.now(creation.setSize(3 * PAGE))).toBe(-ENOMEM);
    expect([creation.isPending, creation.segment.sizeBytes, world.table.committedPages]).toEqual([
      true,
      0,
      0,
    ]);
    world.setLimit('shm_use_phys', 1);
    Object.assign(world.memory.lockFault, { error: -EAGAIN, times: 1 });
    expect(world.now(creation.setSize(3 * PAGE))).toBe(-EAGAIN);
    expect([creation.isPending, world.table.committedPages, world.memory.live.size]).toEqual([true, 0, 0]);
    expect(world.now(creation.setSize(2 * PAGE))).toBe(65536);
    expect([world.table.committedPages, world.segment(65536).isWired]).toEqual([2, true]);
  });

  test('S28: when it is abandoned nothing is left, and who waits looks again', () => {
    const world = new ShmWorld();
    const creation = begin(world);
    const finder = world.startGet(5, 0, 0);
    const creator = world.startGet(5, PAGE, CREATE, stranger);
    creation.abandon();
    world.kernel.scheduler.run();
    world.check();
    expect(creation.isPending).toBe(false);
    expect(finder.result).toBe(-ENOENT);
    expect(creator.result).toBe(65536);
    expect(world.table.usedCount).toBe(1);
    expect(() => {
      creation.abandon();
    }).toThrow(AssertionFailure);
  });

  test('S11: without a free slot there is none', () => {
    const world = new ShmWorld();
    world.resize(1);
    begin(world);
    expect(Creation.begin(world.shm, user, { key: 6, mode: 0 })).toBe(-ENOSPC);
  });

  test('S71: does not hold up a resize that leaves its slot', () => {
    const world = new ShmWorld();
    const creation = begin(world);
    expect(world.resize(1)).toBe(0);
    expect(world.now(creation.setSize(1))).toBe(65536);
  });

  test('S28: findCreated waits for it too', () => {
    const world = new ShmWorld();
    const creation = begin(world);
    let found: unknown;
    const call = world.call(
      (function* () {
        found = yield* findCreated(world.shm, 5);
        return 0;
      })(),
    );
    expect(call.isBlocked).toBe(true);
    world.now(creation.setSize(1));
    expect(found).toBe(creation.segment);
    const interrupted = begin(world, 6);
    const waiting = world.call(findCreated(world.shm, 6) as Generator<undefined, number, 0 | 1 | 2>);
    waiting.signal();
    expect(waiting.result).toBe(-EINTR);
    interrupted.abandon();
  });
});
