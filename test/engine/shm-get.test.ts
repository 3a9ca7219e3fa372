import { describe, expect, test } from 'vitest';

import { EINVAL, ENOENT, ENOMEM, ENOSPC } from '../../src/kern/errno.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { IPC_CREAT, SHM_RDONLY } from '../../src/shm/flags.ts';
import { NEVER, Segment } from '../../src/shm/segment.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

const CREATE = IPC_CREAT | 0o600;

describe('ids', () => {
  test('S1, S20: the first ids are 65536, 65537, 65538', () => {
    const world = new ShmWorld();
    expect([world.get(1, 1, CREATE), world.get(2, 1, CREATE), world.get(0, 1, 0o600)]).toEqual([
      65536, 65537, 65538,
    ]);
  });

  test('S2: a slot used again has a new id, and after 32768 creations id 0', () => {
    const world = new ShmWorld();
    const ids: number[] = [];
    for (let count = 0; count < 32768; count++) {
      const id = world.make();
      ids.push(id);
      if (count < 32767) world.remove(id);
    }
    expect(ids.slice(0, 3)).toEqual([65536, 131072, 196608]);
    expect(ids[32766]).toBe(0x7fff_0000);
    expect(ids[32767]).toBe(0);
    expect(new Set(ids).size).toBe(32768);
    expect(world.status(0).permissions.sequence).toBe(0);
    const process = world.process();
    expect(world.attach(process, 0)).toBeGreaterThan(0);
    world.exit(process);
    world.remove(0);
    expect(world.make()).toBe(65536);
  });

  test('S3: an id that is old, removed, negative or beyond the table is not found', () => {
    const world = new ShmWorld();
    const old = world.make();
    world.remove(old);
    expect(world.exists(old)).toBe(false);
    expect(world.make()).toBe(131072);
    expect(world.exists(old)).toBe(false);
    for (const id of [
      -1,
      -65536,
      131072 - 2 ** 32,
      131072 + 2 ** 32,
      131072.5,
      NaN,
      Infinity,
      131072 + 128,
      65536 + 128,
      0,
    ]) {
      expect(world.exists(id)).toBe(false);
      expect(world.attach(world.process(), id)).toBe(-EINVAL);
    }
    expect(world.exists(131072)).toBe(true);
  });

  test('S3: with the last slot in creation, id -1 still finds nothing', () => {
    const world = new ShmWorld();
    world.resize(65536);
    for (let slot = 0; slot < 65535; slot++) {
      world.table.insert(new Segment(world.shm, user, { slot, key: 0, mode: 0, lingers: false }));
    }
    const gate = world.closeGate(world.memory);
    const call = world.startGet(7, PAGE, CREATE);
    expect(world.table.findKey(7)?.slot).toBe(65535);
    expect(world.table.find(-1)).toBe(null);
    gate.open();
    expect(call.result).toBe(65536 + 65535);
  });

  test('S5: the slot freed last comes first, once, then the lowest free one', () => {
    const world = new ShmWorld();
    const [a, b] = [world.make(), world.make(), world.make()];
    world.remove(b);
    world.remove(a);
    expect([world.make(), world.make(), world.make()]).toEqual([131072, 131073, 65539]);
  });

  test('S5: the slot freed last comes before lower ones', () => {
    const world = new ShmWorld();
    const ids = [world.make(), world.make(), world.make(), world.make()];
    world.remove(ids[0]!);
    world.remove(ids[2]!);
    world.remove(ids[1]!);
    world.remove(ids[3]!);
    expect([world.make(), world.make(), world.make(), world.make()]).toEqual([
      131075, 131072, 131073, 131074,
    ]);
  });

  test('S6, S7: used segments and committed pages are counted', () => {
    const world = new ShmWorld();
    const ids = [world.make(1), world.make(4097), world.make(1)];
    expect([world.table.usedCount, world.table.committedPages]).toEqual([3, 4]);
    world.remove(ids[1]!);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([2, 2]);
  });

  test('S6, S7: a segment counts from the start of its creation', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    world.startGet(5, 2 * PAGE, CREATE);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 2]);
    gate.open();
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 2]);
  });
});

describe('keys and limits', () => {
  test('S8: IPC_PRIVATE makes a segment every time', () => {
    const world = new ShmWorld();
    const first = world.get(0, PAGE, 0o600);
    const second = world.get(0, PAGE, 0o600);
    expect(first).toBeGreaterThan(0);
    expect(second).toBeGreaterThan(0);
    expect(second).not.toBe(first);
    expect(world.table.findKey(0)).toBe(null);
  });

  test('S9: an unknown key is ENOENT without IPC_CREAT', () => {
    const world = new ShmWorld();
    expect(world.get(77, PAGE, 0o600)).toBe(-ENOENT);
    expect(world.get(77, 0, 0)).toBe(-ENOENT);
    expect(world.table.usedCount).toBe(0);
  });

  test('S10: a size outside shmmin and shmmax is EINVAL', () => {
    const world = new ShmWorld();
    const shmmax = world.limit('shmmax');
    for (const size of [0, -1, -(2 ** 63), shmmax + 1, 2 ** 63, 2 ** 64 - 1, NaN, Infinity]) {
      expect(world.get(1, size, CREATE)).toBe(-EINVAL);
    }
    expect(world.table.usedCount).toBe(0);
    expect(world.get(1, shmmax, CREATE)).toBe(65536);
    expect(world.get(2, 1, CREATE)).toBe(-ENOMEM);
    world.remove(65536);
    expect(world.get(2, 1, CREATE)).toBe(131072);
  });

  test('S11: without a free slot a creation is ENOSPC', () => {
    const world = new ShmWorld();
    expect(world.resize(2)).toBe(0);
    world.make();
    const second = world.make();
    expect(world.get(3, PAGE, CREATE)).toBe(-ENOSPC);
    world.remove(second);
    expect(world.get(3, PAGE, CREATE)).toBe(131073);
  });

  test('S12: too many pages in all are ENOMEM', () => {
    const world = new ShmWorld();
    world.setLimit('shmmaxpgs', 4);
    expect(world.get(1, 3 * PAGE, CREATE)).toBe(65536);
    expect(world.get(2, 2 * PAGE, CREATE)).toBe(-ENOMEM);
    expect(world.get(2, PAGE + 1, CREATE)).toBe(-ENOMEM);
    expect(world.get(2, PAGE, CREATE)).toBe(65537);
    expect(world.table.committedPages).toBe(4);
  });

  test('S13: a bad size comes before a full table, and that before too many pages', () => {
    const world = new ShmWorld();
    world.resize(1);
    world.setLimit('shmmaxpgs', 4);
    world.make(3 * PAGE);
    expect(world.get(2, 5 * PAGE, CREATE)).toBe(-EINVAL);
    expect(world.get(2, 2 * PAGE, CREATE)).toBe(-ENOSPC);
    world.resize(2);
    expect(world.get(2, 2 * PAGE, CREATE)).toBe(-ENOMEM);
    expect(world.get(2, PAGE, CREATE)).toBe(65537);
  });
});

describe('a new segment', () => {
  test('S14: is as asked, the caller owns it, nobody is attached', () => {
    const world = new ShmWorld();
    world.host.clock.advance(5_000);
    const id = world.get(0x1234, 100, IPC_CREAT | 0o640);
    expect(world.status(id)).toEqual({
      permissions: {
        ownerUid: 1000,
        ownerGid: 1000,
        creatorUid: 1000,
        creatorGid: 1000,
        mode: 0o640,
        sequence: 1,
        key: 0x1234,
      },
      sizeBytes: 100,
      lastPid: 0,
      creatorPid: 500,
      attachCount: 0,
      attachTime: NEVER,
      detachTime: NEVER,
      changeTime: { seconds: 6, nanoseconds: 0 },
    });
  });

  test('S14: its change time is that of the end of the creation', () => {
    const world = new ShmWorld();
    const gate = world.closeGate(world.memory);
    const call = world.startGet(1, 1, CREATE);
    world.host.clock.advance(2_000);
    gate.open();
    expect(world.status(call.result!).changeTime.seconds).toBe(3);
  });

  test('S15: keeps nine bits of the flags', () => {
    const world = new ShmWorld();
    expect(world.status(world.get(1, 1, 0o7777 & ~0o2000)).permissions.mode).toBe(0o777);
    expect(world.status(world.get(2, 1, 0o1000)).permissions.mode).toBe(0);
  });

  test('S16, S17: is full of zeros up to the end of its last page', () => {
    const world = new ShmWorld();
    const id = world.make(100);
    const process = world.process();
    const address = world.attach(process, id);
    const { bytes } = world.backing(id);
    expect(bytes.length).toBe(PAGE);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(process.space.store(address + 4095, 7)).toBe(0);
    expect(process.space.load(address + 4095)).toBe(7);
    expect(process.space.store(address + 4096, 7)).toBeLessThan(0);
    expect(world.status(id).sizeBytes).toBe(100);
  });

  test('S21, S57: one made to linger is found by id after its removal, until the last detach', () => {
    const world = new ShmWorld();
    const id = world.get(9, PAGE, CREATE, user, true);
    const process = world.process();
    const address = world.attach(process, id);
    expect(world.remove(id)).toBe(0);
    expect(world.get(9, 0, 0)).toBe(-ENOENT);
    const second = world.attach(process, id, { flags: SHM_RDONLY });
    expect(second).toBeGreaterThan(address);
    expect(world.status(id)).toMatchObject({ attachCount: 2, permissions: { key: 0 } });
    expect(world.set(id, { mode: 0o644 })).toBe(0);
    expect(world.remove(id)).toBe(0);
    expect(world.detach(process, address)).toBe(0);
    expect(world.exists(id)).toBe(true);
    expect(world.detach(process, second)).toBe(0);
    expect(world.exists(id)).toBe(false);
    expect(world.table.usedCount).toBe(0);
  });

  test('S21, S57: one made to linger that nobody has attached ends with its removal', () => {
    const world = new ShmWorld();
    const id = world.get(9, PAGE, CREATE, user, true);
    world.remove(id);
    expect(world.exists(id)).toBe(false);
    expect(world.memory.live.size).toBe(0);
  });

  test('S21: the bit 040000 in the flags asks for nothing', () => {
    const world = new ShmWorld();
    const id = world.get(9, PAGE, CREATE | 0o40000);
    world.attach(world.process(), id);
    world.remove(id);
    expect(world.exists(id)).toBe(false);
  });

  test('S86: the superuser owns what it makes', () => {
    const world = new ShmWorld();
    const id = world.get(9, PAGE, CREATE, rootCredentials);
    expect(world.status(id).permissions.creatorUid).toBe(0);
    expect(world.remove(id, stranger)).toBeLessThan(0);
  });
});
