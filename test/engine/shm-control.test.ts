import { describe, expect, test } from 'vitest';

import { rootCredentials } from '../../src/kern/credentials.ts';
import { EACCES, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM } from '../../src/kern/errno.ts';
import { File } from '../../src/kern/file.ts';
import { EV_ONESHOT, type FilterOps, type Knote, NOTE_ATTRIB, NOTE_DELETE } from '../../src/kern/klist.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { IPC_CREAT, IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK, SHM_UNLOCK } from '../../src/shm/flags.ts';
import type { Segment, SegmentStatus } from '../../src/shm/segment.ts';
import { ipcStat, type SegmentChange, shmctl } from '../../src/shm/shmctl.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

/** The caller's memory: what it holds, or -EFAULT. */
class Argument {
  status: SegmentStatus | null = null;
  readonly change: SegmentChange | null;

  constructor(change: SegmentChange | null = null) {
    this.change = change;
  }

  copyIn(): SegmentChange | number {
    return this.change ?? -EFAULT;
  }

  copyOut(status: SegmentStatus): number {
    this.status = status;
    return 0;
  }
}

const unwritable = { copyIn: () => -EFAULT, copyOut: () => -EFAULT };

describe('shmctl', () => {
  test('S50: IPC_SET reads its argument before it looks for the segment', () => {
    const world = new ShmWorld();
    const process = world.process();
    expect(shmctl(world.shm, process, 99, IPC_SET, new Argument())).toBe(-EFAULT);
    const change = { ownerUid: 1, ownerGid: 2, mode: 0 };
    expect(shmctl(world.shm, process, 99, IPC_SET, new Argument(change))).toBe(-EINVAL);
    expect(shmctl(world.shm, world.process(stranger), world.make(), IPC_SET, new Argument())).toBe(-EFAULT);
  });

  test('S51: an unknown id is EINVAL for every command, and an unknown command for every id', () => {
    const world = new ShmWorld();
    const id = world.make();
    const root = world.process(rootCredentials);
    const argument = new Argument({ ownerUid: 0, ownerGid: 0, mode: 0 });
    for (const command of [IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK, SHM_UNLOCK]) {
      expect(shmctl(world.shm, root, id + 1, command, argument)).toBe(-EINVAL);
      expect(shmctl(world.shm, world.process(), id + 1, command, argument)).toBe(-EINVAL);
    }
    for (const command of [99, -1, 5, 11, 12]) {
      expect(shmctl(world.shm, root, id, command, argument)).toBe(-EINVAL);
      expect(shmctl(world.shm, root, 1, command, argument)).toBe(-EINVAL);
    }
    expect(argument.status).toBe(null);
  });

  test('S51, S52, S54, S55, S58: every command by its number', () => {
    const world = new ShmWorld();
    const id = world.make();
    const root = world.process(rootCredentials);
    world.attach(root, id);
    const argument = new Argument({ ownerUid: 5, ownerGid: 6, mode: 0o1751 });
    expect(shmctl(world.shm, root, id, SHM_LOCK, argument)).toBe(0);
    expect(world.segment(id).isWired).toBe(true);
    expect(shmctl(world.shm, root, id, SHM_UNLOCK, argument)).toBe(0);
    expect(world.segment(id).isWired).toBe(false);
    expect(shmctl(world.shm, root, id, IPC_SET, argument)).toBe(0);
    expect(shmctl(world.shm, root, id, IPC_STAT, argument)).toBe(0);
    expect(argument.status?.permissions).toMatchObject({ ownerUid: 5, ownerGid: 6, mode: 0o751 });
    expect(shmctl(world.shm, root, id, IPC_RMID, argument)).toBe(0);
    expect(world.exists(id)).toBe(false);
  });

  test('S52: IPC_STAT needs read permission, then memory to fill', () => {
    const world = new ShmWorld();
    const id = world.make(PAGE, 0o200);
    expect(ipcStat(world.shm, user, id)).toBe(-EACCES);
    expect(shmctl(world.shm, world.process(), id, IPC_STAT, unwritable)).toBe(-EACCES);
    expect(shmctl(world.shm, world.process(rootCredentials), id, IPC_STAT, unwritable)).toBe(-EFAULT);
    world.set(id, { mode: 0o400 });
    expect(ipcStat(world.shm, user, id)).toMatchObject({ sizeBytes: PAGE });
  });

  test('S53: the mode of a record has nine bits, wired or not, and the record is a copy', () => {
    const world = new ShmWorld();
    world.setLimit('shm_use_phys', 1);
    const id = world.get(3, 10, IPC_CREAT | 0o600, user, true);
    const status = world.status(id);
    expect(status.permissions.mode).toBe(0o600);
    expect(Object.keys(status).sort()).toEqual([
      'attachCount',
      'attachTime',
      'changeTime',
      'creatorPid',
      'detachTime',
      'lastPid',
      'permissions',
      'sizeBytes',
    ]);
    (status.permissions as { mode: number }).mode = 0;
    expect(world.status(id).permissions.mode).toBe(0o600);
    world.set(id, { mode: 0o644 });
    expect(status.permissions.mode).toBe(0);
  });
});

describe('IPC_SET', () => {
  test('S54: sets owner, group, mode and change time, and nothing else', () => {
    const world = new ShmWorld();
    const id = world.get(7, 100, IPC_CREAT | 0o600);
    world.host.clock.advance(2_000);
    expect(world.set(id, { ownerUid: 12345, ownerGid: 54321, mode: 0o7640 })).toBe(0);
    expect(world.status(id)).toMatchObject({
      permissions: {
        ownerUid: 12345,
        ownerGid: 54321,
        creatorUid: 1000,
        creatorGid: 1000,
        mode: 0o640,
        key: 7,
      },
      sizeBytes: 100,
      changeTime: { seconds: 3 },
      lastPid: 0,
    });
  });

  test('S54, S87: the creator can take a segment back, the new owner can use it, others are EPERM', () => {
    const world = new ShmWorld();
    const id = world.make();
    expect(world.set(id, { mode: 0o666 }, stranger)).toBe(-EPERM);
    expect(world.set(id, { ownerUid: stranger.uid })).toBe(0);
    expect(world.set(id, { mode: 0o666 }, stranger)).toBe(0);
    expect(world.set(id, { ownerUid: 1000 })).toBe(0);
    expect(world.set(id, { mode: 0o600 }, stranger)).toBe(-EPERM);
    expect(world.set(id, { ownerUid: -1 }, rootCredentials)).toBe(0);
    expect(world.status(id).permissions.ownerUid).toBe(-1);
  });

  test('S54: a refusal changes nothing', () => {
    const world = new ShmWorld();
    const id = world.make();
    const before = world.status(id);
    world.host.clock.advance(1_000);
    expect(world.set(id, { ownerUid: 1, ownerGid: 1, mode: 0 }, stranger)).toBe(-EPERM);
    expect(world.status(id)).toEqual(before);
  });

  test('S54: the bits for others keep what is wired wired', () => {
    const world = new ShmWorld();
    world.setLimit('shm_use_phys', 1);
    const id = world.make();
    world.set(id, { mode: 0 });
    expect(world.segment(id).isWired).toBe(true);
  });
});

describe('IPC_RMID', () => {
  test('S55: frees the key and the id; who is attached keeps the segment', () => {
    const world = new ShmWorld();
    const id = world.get(5, PAGE, IPC_CREAT | 0o600);
    const segment = world.segment(id);
    const process = world.process();
    const address = world.attach(process, id);
    const { changeTime } = segment;
    world.host.clock.advance(1_000);
    expect(world.remove(id)).toBe(0);
    expect(process.space.store(address, 9)).toBe(0);
    expect(process.space.load(address)).toBe(9);
    expect(world.attach(process, id)).toBe(-EINVAL);
    expect(world.exists(id)).toBe(false);
    expect(world.get(5, 0, 0)).toBe(-ENOENT);
    expect(world.remove(id)).toBe(-EINVAL);
    expect([world.table.usedCount, segment.changeTime]).toEqual([1, changeTime]);
    world.detach(process, address);
    expect(world.table.usedCount).toBe(0);
  });

  test('S55: destroys at once what nobody has attached', () => {
    const world = new ShmWorld();
    const id = world.make(2 * PAGE);
    const backing = world.backing(id);
    world.remove(id);
    expect([world.table.usedCount, world.table.committedPages, backing.isFree]).toEqual([0, 0, true]);
  });

  test('S55, S87: others than owner and creator are EPERM', () => {
    const world = new ShmWorld();
    const id = world.make(PAGE, 0o666);
    expect(world.remove(id, stranger)).toBe(-EPERM);
    expect(world.exists(id)).toBe(true);
    expect(world.remove(id, rootCredentials)).toBe(0);
  });

  test('S56: removed and attached, a segment keeps its slot and its pages', () => {
    const world = new ShmWorld();
    world.resize(1);
    const id = world.make(3 * PAGE);
    const process = world.process();
    const address = world.attach(process, id);
    world.remove(id);
    expect(world.get(0, PAGE, 0o600)).toBe(-ENOSPC);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 3]);
    world.detach(process, address);
    expect(world.get(0, PAGE, 0o600)).toBe(131072);
  });
});

test('S54, S55: knotes of a segment hear of IPC_SET and IPC_RMID, and once more at its end', () => {
  const world = new ShmWorld();
  const id = world.make();
  const segment = world.segment(id);
  const hints: number[] = [];
  const knote = watch(segment, hints);
  world.set(id, { mode: 0o644 });
  const process = world.process();
  const address = world.attach(process, id);
  world.remove(id);
  expect(hints).toEqual([NOTE_ATTRIB, NOTE_DELETE]);
  expect(segment.klist.size).toBe(1);
  world.detach(process, address);
  expect(hints).toEqual([NOTE_ATTRIB, NOTE_DELETE, 0]);
  expect([segment.klist.size, knote.flags & EV_ONESHOT]).toEqual([0, EV_ONESHOT]);
});

test('S57: knotes of a lingering segment hear of its removal once', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, IPC_CREAT | 0o600, user, true);
  world.attach(world.process(), id);
  const hints: number[] = [];
  watch(world.segment(id), hints);
  world.remove(id);
  world.remove(id);
  expect(hints).toEqual([NOTE_DELETE]);
});

function watch(segment: Segment, hints: number[]): Knote {
  const filterOps: FilterOps = {
    detach: () => undefined,
    event: (_knote, hint) => {
      hints.push(hint);
      return false;
    },
  };
  const knote: Knote = {
    filter: 0,
    file: new File(0, anonymousPipeOps, user),
    flags: 0,
    fflags: 0,
    savedFflags: 0,
    data: 0,
    filterOps,
    hook: segment,
    klist: null,
    newer: null,
    older: null,
    activate: () => undefined,
  };
  segment.klist.add(knote);
  return knote;
}
