import { expect, test } from 'vitest';
import { memoryGroups } from '../../src/host/linux/memory/memory-cgroups.ts';
import { MemoryRoom } from '../../src/host/memory-room.ts';

const MIB = 1024 ** 2;

/** A room with one limit, time that a test moves, and a collector that gives back what it is told to. */
function roomOf(state: { roomBytes: number; garbageBytes?: number; looks?: number; collections?: number }) {
  let nowMs = 0;
  const limit = {
    roomBytes: () => {
      state.looks = (state.looks ?? 0) + 1;
      return state.roomBytes;
    },
  };
  const collect = (): void => {
    state.collections = (state.collections ?? 0) + 1;
    state.roomBytes += state.garbageBytes ?? 0;
    state.garbageBytes = 0;
    nowMs += 10;
  };
  const room = new MemoryRoom([{ roomBytes: () => Infinity }, limit], collect, () => nowMs);
  return { room, pass: (ms: number) => (nowMs += ms) };
}

test('small requests are given until the nearest limit, large ones leave room for them', () => {
  const state = { roomBytes: 20 * MIB };
  const { room } = roomOf(state);
  expect(room.has(MIB)).toBe(true);
  expect(room.has(9 * MIB)).toBe(false);
  state.roomBytes = 10 * MIB;
  expect(room.has(16_384)).toBe(false);
  expect(room.has(16_383)).toBe(true);
  state.roomBytes = 0;
  expect(room.has(16_384)).toBe(false);
});

test('a large request gets what has been freed, as long as half of the room for small ones is left', () => {
  const state = { roomBytes: 8 * MIB, reusableBytes: MIB };
  const limit = { roomBytes: () => state.roomBytes, reusableBytes: () => state.reusableBytes };
  const room = new MemoryRoom([{ roomBytes: () => Infinity }, limit], () => undefined);
  expect(room.has(64 * 1024)).toBe(true);
  expect(room.has(MIB)).toBe(false);
  state.roomBytes = 6 * MIB;
  expect(room.has(64 * 1024)).toBe(false);
});

test('small requests are given from a credit: a part of the room, for a moment', () => {
  const state = { roomBytes: 4 * MIB, looks: 0 };
  const { room, pass } = roomOf(state);
  for (let index = 0; index < 100; index++) expect(room.has(100)).toBe(true);
  expect(state.looks).toBe(1);
  state.roomBytes = -1;
  pass(100);
  expect(room.has(100)).toBe(false);
  // What the credit of one look gives is less than the room that was seen.
  state.roomBytes = MIB;
  let given = 0;
  while (state.looks < 5 && room.has(1000)) given += 1000;
  expect(given).toBeLessThan(MIB / 2);
  expect(given).toBeGreaterThan(MIB / 8);
});

test('garbage is collected before a refusal, and not again at once', () => {
  const state = { roomBytes: 0, garbageBytes: 30 * MIB, collections: 0 };
  const { room, pass } = roomOf(state);
  expect(room.has(MIB)).toBe(true);
  expect(state.collections).toBe(1);
  state.roomBytes = 0;
  expect(room.has(MIB)).toBe(false);
  expect(state.collections).toBe(1);
  pass(31);
  expect(room.has(MIB)).toBe(false);
  expect(state.collections).toBe(2);
  // In vain: it is left alone for longer.
  pass(31);
  expect(room.has(MIB)).toBe(false);
  expect(state.collections).toBe(2);
  pass(200);
  state.garbageBytes = 30 * MIB;
  expect(room.has(MIB)).toBe(true);
  expect(state.collections).toBe(3);
});

test('where what the program needs for itself is nearly used up, the collector is left alone', () => {
  const state = { roomBytes: -20 * MIB, garbageBytes: 100 * MIB, collections: 0 };
  expect(roomOf(state).room.has(1)).toBe(false);
  expect(state.collections).toBe(0);
});

const FIRST = '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n';
const SECOND = '41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n';
const directories = (membership: string, mountinfo: string): string[] =>
  memoryGroups(membership, mountinfo).map(({ directory, limit }) => `${directory}/${limit}`);

test('groups of both versions are found, with those around them', () => {
  expect(directories('4:cpu,memory:/a/b\n3:cpu:/c\n0::/\n', FIRST)).toEqual([
    '/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes',
    '/sys/fs/cgroup/memory/a/memory.limit_in_bytes',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
  ]);
  expect(directories('0::/user.slice/x.scope\n', SECOND)).toEqual([
    '/sys/fs/cgroup/user.slice/x.scope/memory.max',
    '/sys/fs/cgroup/user.slice/memory.max',
    '/sys/fs/cgroup/memory.max',
  ]);
  expect(directories('1:cpu:/\n', FIRST)).toEqual([]);
});

test('in a container the mount begins at the group', () => {
  const inside = FIRST.replace(' / ', ' /docker/1 ');
  expect(directories('4:memory:/docker/1/x\n', inside)).toEqual([
    '/sys/fs/cgroup/memory/x/memory.limit_in_bytes',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
  ]);
  expect(directories('4:memory:/\n', inside)).toEqual(['/sys/fs/cgroup/memory/memory.limit_in_bytes']);
});
