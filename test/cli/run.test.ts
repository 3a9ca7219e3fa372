import { describe, expect, test } from 'vitest';
import type { BlockedCallRow, Deadlock, HeldDescriptor } from '../../src/cli/blocked-calls/wait-graph.ts';
import { judgeLook, type RunProcess } from '../../src/cli/test-run/certainty.ts';
import { describeRemains, type Remains } from '../../src/cli/test-run/leaks.ts';

function call(process: number, ino: number, overrides: Partial<BlockedCallRow> = {}): BlockedCallRow {
  return {
    pid: process,
    call: 'read',
    object: `pipes/${ino}`,
    wait: 'piperd',
    since: 1,
    process,
    command: 'p',
    ino,
    'peer-ino': ino,
    peers: 1,
    inferred: '-',
    until: 'data comes',
    ...overrides,
  };
}

function writer(process: number, inode: number): HeldDescriptor {
  return { process, inode, isReadable: false, isWritable: true, openFile: process * 100 + inode };
}

const deadlockOf = (...calls: BlockedCallRow[]): Deadlock => ({
  calls,
  behind: [],
  doubts: [],
  isLikely: false,
});

const asleepIn = (pid: number): RunProcess => ({
  pid,
  threads: [pid],
  waiting: new Set(),
  catchesAlarm: false,
});
const shell: RunProcess = { ...asleepIn(9), waiting: new Set([9]) };
const busy: RunProcess = asleepIn(8);

describe('what a look at the blocked calls means for a run', () => {
  const one = call(1, 11);
  const two = call(2, 12);
  const cycle = deadlockOf(one, two);
  const judge = (
    calls: readonly BlockedCallRow[],
    processes: readonly RunProcess[],
    deadlocks: readonly Deadlock[] = [],
    descriptors: readonly HeldDescriptor[] = [],
  ): ReturnType<typeof judgeLook> =>
    judgeLook({
      deadlocks,
      processes,
      asleep: calls,
      holders: { descriptors, locks: [], threads: new Map(), hidden: [], inFlight: 0 },
    });

  test('calls that wait for each other are a deadlock, even if others are busy', () => {
    const held = [writer(1, 12), writer(2, 11)];
    const verdict = judge([one, two], [asleepIn(1), asleepIn(2), busy], [cycle], held);
    expect(verdict).toEqual({ certain: [cycle], possible: [], standstill: null });
  });

  test('one with a doubt is possible, and one of others than the run is none', () => {
    const doubtful = { ...cycle, doubts: ['1 process could not be looked at'] };
    const held = [writer(1, 12), writer(2, 11)];
    expect(judge([one, two], [asleepIn(1), busy], [doubtful], held)).toMatchObject({
      certain: [],
      possible: [doubtful],
    });
    expect(judge([one, two], [busy], [cycle], held)).toMatchObject({ certain: [], standstill: null });
  });

  test('a likely one is possible, and what sleeps outside does not make a run stand still', () => {
    const likely = { ...cycle, isLikely: true };
    const held = [writer(1, 12), writer(2, 11)];
    const polls = call(2, 12, { call: 'poll', wait: 'pollin', inferred: 'nothing' });
    expect(judge([one, polls], [asleepIn(1), asleepIn(2), shell], [likely], held)).toEqual({
      certain: [],
      possible: [likely],
      standstill: null,
    });
    const outside = call(1, 11, { wait: 'outside', 'peer-ino': '-', inferred: 'nothing' });
    expect(judge([outside], [shell])).toMatchObject({ standstill: null });
  });

  test('who waits for himself waits for visitors, unless the object has no name any more', () => {
    const held = [writer(1, 11)];
    const alone = deadlockOf(one);
    expect(judge([one], [asleepIn(1), busy], [alone], held)).toMatchObject({ certain: [], standstill: null });
    expect(judge([one], [asleepIn(1), shell], [alone], held)).toMatchObject({
      certain: [],
      standstill: [one],
    });
    const removed = call(1, 11, { object: '(removed)' });
    const stuck = deadlockOf(removed);
    expect(judge([removed], [asleepIn(1), busy], [stuck], held)).toMatchObject({ certain: [stuck] });
  });

  test('a run of which nobody can act stands still: opens count, shells that wait for children do not', () => {
    const open = call(1, 11, { call: 'open', wait: 'fifoor', peers: 0 });
    expect(judge([open], [asleepIn(1), shell]).standstill).toEqual([open]);
    expect(judge([open], [asleepIn(1), busy]).standstill).toBeNull();
    expect(judge([], [shell]).standstill).toBeNull();
    // A call of somebody who only looks at the mount from outside.
    expect(judge([call(77, 11)], [shell]).standstill).toBeNull();
  });

  test('what time or an event of the system may end is no standstill: a kqueue, an alarm, another thread', () => {
    const queue = call(1, 11, { wait: 'kqread' });
    expect(judge([queue], [asleepIn(1)]).standstill).toBeNull();
    expect(judge([one], [{ ...asleepIn(1), catchesAlarm: true }]).standstill).toBeNull();
    expect(judge([one], [{ ...asleepIn(1), threads: [1, 3] }]).standstill).toBeNull();
    const alarmed = [{ ...asleepIn(1), catchesAlarm: true }, asleepIn(2)];
    expect(judge([one, two], alarmed, [cycle], [writer(1, 12), writer(2, 11)]).certain).toEqual([]);
  });
});

describe('the list of leaks', () => {
  const nothing: Remains = { pipes: [], segments: [], handles: [], names: [] };

  test('is empty for an empty mount', () => {
    expect(describeRemains(nothing, () => '?')).toEqual([]);
  });

  test('has at most 20 lines of a kind, and says how many more there are', () => {
    const names = Array.from({ length: 23 }, (_, index) => `pipes/${index}`);
    const lines = describeRemains({ ...nothing, names }, () => '?');
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe('3 more of this kind');
  });

  test('escapes names that could steer a terminal', () => {
    expect(describeRemains({ ...nothing, names: ['pipes/a\u001b[2J'] }, () => '?')).toEqual([
      'pipes/a\\033[2J not removed',
    ]);
  });
});
