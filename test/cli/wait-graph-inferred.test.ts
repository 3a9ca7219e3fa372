import { describe, expect, test } from 'vitest';
import { sleptThrough } from '../../src/cli/blocked-calls/holders.ts';
import {
  type BlockedCallRow,
  findDeadlocks,
  type HeldDescriptor,
  type Holders,
  isCertain,
} from '../../src/cli/blocked-calls/wait-graph.ts';
import { describeDeadlock } from '../../src/cli/blocked-calls/wait-report.ts';

function row(process: number, inode: number, more: Partial<BlockedCallRow> = {}): BlockedCallRow {
  return {
    pid: process,
    process,
    command: 'sh',
    call: 'read',
    object: `pipes/${inode}`,
    wait: 'piperd',
    since: 1,
    ino: inode,
    'peer-ino': inode,
    peers: 1,
    inferred: '-',
    until: 'something',
    ...more,
  };
}

const watching = (process: number, inode: number, more: Partial<BlockedCallRow> = {}): BlockedCallRow =>
  row(process, inode, { call: 'poll', wait: 'pollin', inferred: 'nothing', ...more });

const outside = (process: number, inferred: string, more: Partial<BlockedCallRow> = {}): BlockedCallRow =>
  row(process, 99, {
    call: 'epoll_wait',
    wait: 'outside',
    'peer-ino': '-',
    peers: '-',
    inferred,
    ...more,
  });

let lastOpenFile = 0;

const held = (process: number, inode: number, mode: 'r' | 'w' | 'rw'): HeldDescriptor => ({
  process,
  inode,
  isReadable: mode.includes('r'),
  isWritable: mode.includes('w'),
  openFile: ++lastOpenFile,
});

function holders(descriptors: readonly HeldDescriptor[], more: Partial<Holders> = {}): Holders {
  const threads = new Map<number, readonly number[]>();
  for (let process = 1; process < 20; process++) threads.set(process, [process]);
  return { descriptors, locks: [], threads, hidden: [], inFlight: 0, ...more };
}

/** 1 reads 10 and writes 20, 2 the other way round. */
const both = [held(1, 10, 'r'), held(1, 20, 'w'), held(2, 20, 'r'), held(2, 10, 'w')];

describe('likely deadlocks', () => {
  test.each([
    ['two polls', [watching(1, 10), watching(2, 20)]],
    ['a poll and a read', [row(1, 10), watching(2, 20)]],
    ['for room', [row(1, 20, { call: 'write', wait: 'pipewr' }), watching(2, 10, { wait: 'pollout' })]],
  ])('%s that wait for each other', (_, calls) => {
    const [deadlock, ...others] = findDeadlocks(calls, holders(both));
    expect(others).toEqual([]);
    expect(deadlock).toEqual({ calls, behind: [], doubts: [], isLikely: true });
    expect(isCertain(deadlock!)).toBe(false);
    expect(describeDeadlock(deadlock!)).toMatch(
      /^likely deadlock: sh 1 in \w+ of pipes\/\d+ and sh 2 in \w+ of .* wait for each other, and nobody else is seen that could end it$/,
    );
  });

  test.each(['timeout', 'others', 'threads', 'unknown', 'timeout,others'])(
    'what else may end a sleep (%s) makes it none',
    (inferred) => {
      expect(findDeadlocks([row(1, 10), watching(2, 20, { inferred })], holders(both))).toEqual([]);
      // Also in another thread of the process.
      const calls = [row(1, 10), watching(2, 20), outside(2, inferred, { pid: 77 })];
      expect(findDeadlocks(calls, holders(both))).toEqual([]);
    },
  );

  test('a poll ends when any of its files is ready: one holder that can act is enough', () => {
    const calls = [row(1, 10), watching(2, 20), watching(2, 30)];
    const third = [held(2, 30, 'r'), held(3, 30, 'w')];
    expect(findDeadlocks(calls, holders([...both, ...third]))).toEqual([]);
    const stuck = [...calls, row(3, 10)];
    const [deadlock] = findDeadlocks(stuck, holders([...both, ...third]));
    expect(deadlock!.calls.map(({ process }) => process)).toEqual([1, 2, 2, 3]);
  });

  test('a deadlock of blocked calls alone stays certain, also with polls behind it', () => {
    const calls = [row(1, 10), row(2, 20), watching(3, 30)];
    const behind = [held(3, 30, 'r'), held(1, 30, 'w')];
    expect(findDeadlocks(calls, holders([...both, ...behind]))).toEqual([
      { calls: calls.slice(0, 2), behind: [calls[2]], doubts: [], isLikely: false },
    ]);
  });

  test('a doubt makes a likely one possible', () => {
    const calls = [watching(1, 10), watching(2, 20)];
    const [deadlock] = findDeadlocks(calls, holders(both, { hidden: [9] }));
    expect(describeDeadlock(deadlock!)).toMatch(/^possible deadlock: /);
  });

  test('an event loop with a thread that is blocked: the row of the loop vouches for the other threads', () => {
    const threads = new Map([
      [1, [1, 101, 102, 103]],
      [2, [2]],
    ]);
    const blocked = row(1, 10, { pid: 102 });
    const seen = holders(both, { threads });
    const [deadlock] = findDeadlocks([blocked, outside(1, 'nothing'), row(2, 20)], seen);
    expect(deadlock).toMatchObject({ calls: [blocked, row(2, 20)], isLikely: true });
    // Nobody does.
    expect(findDeadlocks([blocked, row(2, 20)], seen)).toEqual([]);
    expect(findDeadlocks([blocked, outside(1, 'threads'), row(2, 20)], seen)).toEqual([]);
    // A process of that number is another one here.
    expect(
      findDeadlocks(
        [blocked, outside(1, 'nothing'), row(2, 20)],
        holders(both, { threads: new Map([[2, [2]]]) }),
      ),
    ).toEqual([]);
  });

  test('an event loop that keeps its pipe open for those who come is in none, unless its name is gone', () => {
    const own = [held(1, 10, 'rw')];
    expect(findDeadlocks([watching(1, 10)], holders(own))).toEqual([]);
    const threaded = [row(1, 10, { pid: 5 }), outside(1, 'nothing')];
    expect(findDeadlocks(threaded, holders(own))).toEqual([]);
    const removed = watching(1, 10, { object: '(removed)' });
    expect(findDeadlocks([removed], holders(own))).toMatchObject([{ isLikely: true }]);
    // One such pipe among others is a way in.
    const calls = [row(1, 10), watching(2, 20), watching(2, 30)];
    expect(findDeadlocks(calls, holders([...both, held(2, 30, 'rw')]))).toEqual([]);
  });

  test('what sleeps outside of the mount and watches nothing in it is in none', () => {
    expect(findDeadlocks([outside(1, 'nothing'), row(2, 20)], holders(both))).toEqual([]);
    // A poll of a kqueue can be ended by anybody.
    const kqueue = watching(2, 20, { 'peer-ino': '-', peers: '-' });
    expect(findDeadlocks([row(1, 10), kqueue], holders(both))).toEqual([]);
    // So can one of a pipe that nobody has open for writing.
    expect(findDeadlocks([row(1, 10), watching(2, 20, { peers: 0 })], holders(both))).toEqual([]);
  });
});

describe('what has slept through a look', () => {
  const times = { lookMs: 100, betweenMs: 50 };
  const later = (call: BlockedCallRow, seconds: number): BlockedCallRow => ({
    ...call,
    since: call.since + seconds,
  });

  test('a blocked call: longer than the look', () => {
    const call = row(1, 10, { since: 0.05 });
    expect(sleptThrough([call], [later(call, 0.1)], times)).toEqual([call]);
    expect(sleptThrough([call], [later(call, 0.05)], times)).toEqual([]);
  });

  test('an inferred row: its time has grown by the time between the readings, however short it was known', () => {
    const call = watching(1, 10, { since: 0 });
    expect(sleptThrough([call], [later(call, 0.05)], times)).toEqual([call]);
    expect(sleptThrough([call], [later(call, 0.02)], times)).toEqual([]);
    expect(sleptThrough([call], [{ ...later(call, 0.05), inferred: 'timeout' }], times)).toEqual([]);
    expect(sleptThrough([call], [{ ...later(call, 0.05), peers: 2 }], times)).toEqual([]);
    expect(sleptThrough([call], [], times)).toEqual([]);
  });

  test('a thread that watches several files has a row for each', () => {
    const calls = [watching(1, 10), watching(1, 20), watching(1, 20, { wait: 'pollout' })];
    const after = calls.map((call) => later(call, 1));
    expect(sleptThrough(calls, after.toReversed(), times)).toEqual(calls);
    expect(sleptThrough(calls, after.slice(1), times)).toEqual(calls.slice(1));
  });
});
