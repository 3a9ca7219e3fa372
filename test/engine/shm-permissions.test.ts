import { expect, test } from 'vitest';

import type { Credentials } from '../../src/kern/credentials.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { EACCES, EPERM } from '../../src/kern/errno.ts';
import { IPC_CREAT, IPC_READ, IPC_WRITE, SHM_RDONLY } from '../../src/shm/flags.ts';
import { type IpcPermissions, mayAccess, mayControl } from '../../src/shm/permissions.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

const groupMember: Credentials = { uid: 1001, gid: 1000, pid: 501 };

function permissions(mode: number): IpcPermissions {
  return { ownerUid: 10, ownerGid: 20, creatorUid: 30, creatorGid: 40, mode };
}

function caller(uid: number, gid: number, groups?: number[]): Credentials {
  return groups === undefined ? { uid, gid, pid: 1 } : { uid, gid, pid: 1, groups };
}

/** The access that a caller has, as `rw`, `r`, `w` or nothing. */
function access(mode: number, credentials: Credentials): string {
  const read = mayAccess(permissions(mode), credentials, IPC_READ);
  const write = mayAccess(permissions(mode), credentials, IPC_WRITE);
  const both = mayAccess(permissions(mode), credentials, IPC_READ | IPC_WRITE);
  expect(both).toBe(read && write);
  return (read ? 'r' : '') + (write ? 'w' : '');
}

test('S86: the superuser passes every check', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, IPC_CREAT);
  const root = world.process(rootCredentials);
  expect(world.attach(root, id)).toBeGreaterThan(0);
  expect(world.get(5, 0, 0o600, rootCredentials)).toBe(id);
  expect(world.set(id, { mode: 0 }, rootCredentials)).toBe(0);
  expect(world.remove(id, rootCredentials)).toBe(0);
  expect(access(0, caller(0, 99))).toBe('rw');
});

test('S87: control is for owner and creator, whatever the mode and the group', () => {
  const world = new ShmWorld();
  const id = world.make(PAGE, 0o660);
  expect(world.remove(id, groupMember)).toBe(-EPERM);
  expect(world.set(id, { mode: 0 }, groupMember)).toBe(-EPERM);
  for (const [uid, result] of [
    [10, true],
    [30, true],
    [0, true],
    [20, false],
    [11, false],
  ] as const) {
    expect(mayControl(permissions(0o777), caller(uid, 20, [40]))).toBe(result);
  }
  world.set(id, { ownerUid: stranger.uid, mode: 0 });
  expect(world.set(id, { mode: 0o600 })).toBe(0);
  expect(world.remove(id, stranger)).toBe(0);
});

test('S88: exactly one class is tested, and all that is wanted must be there', () => {
  const world = new ShmWorld();
  const id = world.make(PAGE, 0o066);
  expect(world.attach(world.process(), id)).toBe(-EACCES);
  expect(world.attach(world.process(groupMember), id)).toBeGreaterThan(0);
  const forOthers = world.make(PAGE, 0o606);
  expect(world.attach(world.process(groupMember), forOthers, { flags: SHM_RDONLY })).toBe(-EACCES);
  expect(world.attach(world.process(stranger), forOthers)).toBeGreaterThan(0);
  const half = world.make(PAGE, 0o400);
  expect(world.attach(world.process(), half)).toBe(-EACCES);
  expect(world.attach(world.process(), half, { flags: SHM_RDONLY })).toBeGreaterThan(0);
});

test('S88: the class of owner and creator comes first, then that of their groups, then others', () => {
  const owner = caller(10, 99);
  const creator = caller(30, 99);
  const inGroup = [caller(11, 20), caller(11, 40), caller(11, 99, [1, 20]), caller(11, 99, [40])];
  const others = [
    caller(11, 10),
    caller(11, 99, [10, 30]),
    caller(11, 99, []),
    caller(20, 30),
    caller(11, 99),
  ];
  for (const credentials of [owner, creator]) {
    expect([0o600, 0o400, 0o200, 0o177, 0o066].map((mode) => access(mode, credentials))).toEqual([
      'rw',
      'r',
      'w',
      '',
      '',
    ]);
    expect(access(0o066, { ...credentials, gid: 20, groups: [40] })).toBe('');
  }
  for (const credentials of inGroup) {
    expect([0o060, 0o040, 0o020, 0o717, 0o606].map((mode) => access(mode, credentials))).toEqual([
      'rw',
      'r',
      'w',
      '',
      '',
    ]);
  }
  for (const credentials of others) {
    expect([0o006, 0o004, 0o002, 0o771, 0o660].map((mode) => access(mode, credentials))).toEqual([
      'rw',
      'r',
      'w',
      '',
      '',
    ]);
  }
});

test('S88: a change of group changes the class', () => {
  const world = new ShmWorld();
  const id = world.make(PAGE, 0o060);
  expect(world.attach(world.process(stranger), id)).toBe(-EACCES);
  world.set(id, { ownerGid: stranger.gid });
  expect(world.attach(world.process(stranger), id)).toBeGreaterThan(0);
  expect(world.attach(world.process(groupMember), id)).toBeGreaterThan(0);
  expect(world.attach(world.process({ ...stranger, gid: 3, groups: [1000] }), id)).toBeGreaterThan(0);
});

test('S89: wanting no access succeeds for anyone', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, IPC_CREAT);
  expect(world.get(5, 0, 0, stranger)).toBe(id);
  expect(mayAccess(permissions(0), caller(11, 99), 0)).toBe(true);
  expect(mayAccess(permissions(0), caller(11, 99), 0o177)).toBe(true);
});

test('S90: execute bits are kept and shown, and never tested', () => {
  const world = new ShmWorld();
  const id = world.get(5, PAGE, IPC_CREAT | 0o111);
  expect(world.status(id).permissions.mode).toBe(0o111);
  expect(world.attach(world.process(user), id, { flags: SHM_RDONLY })).toBe(-EACCES);
  expect(world.get(5, 0, 0o111, stranger)).toBe(id);
  world.set(id, { mode: 0o751 });
  expect(world.status(id).permissions.mode).toBe(0o751);
  expect(access(0o666, caller(11, 99))).toBe('rw');
});
