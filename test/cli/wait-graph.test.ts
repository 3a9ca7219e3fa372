import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BlockedCallRow,
  type Deadlock,
  endersOf,
  findDeadlocks,
  type HeldDescriptor,
  type Holders,
  type LockRow,
} from '../../src/cli/blocked-calls/wait-graph.ts';

const READ = { call: 'read', wait: 'piperd' };
const FLOCK = { call: 'flock', wait: 'lockf' };
const WRITE = { call: 'write', wait: 'pipewr' };

/** A blocked call of a process with one thread, on a pipe named by its inode. */
function blocked(process: number, inode: number, more: Partial<BlockedCallRow> = {}): BlockedCallRow {
  return {
    pid: process,
    process,
    command: 'sh',
    object: `pipes/${inode}`,
    since: 1,
    ino: inode,
    'peer-ino': inode,
    peers: 1,
    inferred: '-',
    until: 'something',
    ...READ,
    ...more,
  };
}

let lastOpenFile = 0;

function held(process: number, inode: number, mode: 'r' | 'w' | 'rw'): HeldDescriptor {
  lastOpenFile++;
  return {
    process,
    inode,
    isReadable: mode.includes('r'),
    isWritable: mode.includes('w'),
    openFile: lastOpenFile,
  };
}

/** Processes with one thread each, unless `threads` says more. */
function holders(descriptors: readonly HeldDescriptor[], more: Partial<Holders> = {}): Holders {
  const threads = new Map<number, readonly number[]>();
  for (let process = 1; process < 100; process++) threads.set(process, [process]);
  return { descriptors, locks: [], threads, hidden: [], inFlight: 0, ...more };
}

function shape(deadlocks: readonly Deadlock[]): [core: number[], behind: number[]][] {
  return deadlocks.map(({ calls, behind }) => [
    calls.map((call) => call.pid),
    behind.map((call) => call.pid),
  ]);
}

/** A lock of a pipe, set by `process`. */
function locked(process: number, ino: number, call = 'flock', opener = process): LockRow {
  const range = { type: 'exclusive', start: 0, end: 'end' } as const;
  return { object: `pipes/${ino}`, ino, call, ...range, process, opener, handle: process, blocked: 1 };
}

describe('locks', () => {
  const open = [held(1, 10, 'rw'), held(1, 20, 'rw'), held(2, 10, 'rw'), held(2, 20, 'rw')];
  const calls = [blocked(1, 20, FLOCK), blocked(2, 10, FLOCK)];

  test('two processes of which each waits for a lock of the other, even if others have the files open', () => {
    const bystander = [held(3, 10, 'rw'), held(3, 20, 'rw')];
    const locks = [locked(1, 10), locked(2, 20)];
    expect(shape(findDeadlocks(calls, holders([...open, ...bystander], { locks })))).toEqual([[[1, 2], []]]);
    expect([...endersOf(calls, holders(open, { locks })).values()]).toEqual([[2], [1]]);
  });

  test('who shares the open file that has the lock can unlock it', () => {
    const child = { ...held(3, 20, 'rw'), openFile: open[3]!.openFile };
    const look = holders([...open, child], { locks: [locked(1, 10), locked(2, 20)] });
    expect(endersOf(calls, look).get(calls[0]!)).toEqual([2, 3]);
    expect(findDeadlocks(calls, look)).toEqual([]);
  });

  test('when the process that locked has gone, the one that opened the file may have the lock', () => {
    const look = holders([...open, held(3, 20, 'rw')], { locks: [locked(1, 10), locked(9, 20, 'flock', 2)] });
    expect(endersOf(calls, look).get(calls[0]!)).toEqual([2]);
  });

  test('when both have gone, whoever has the file open may have it', () => {
    const look = holders([...open, held(3, 20, 'rw')], { locks: [locked(1, 10), locked(9, 20)] });
    expect(endersOf(calls, look).get(calls[0]!)).toEqual([1, 2, 3]);
  });

  test('a lock of fcntl is its process, whoever shares the open file', () => {
    const rows = calls.map((call) => ({ ...call, call: 'fcntl', peers: '-' as const }));
    const child = { ...held(3, 20, 'rw'), openFile: open[3]!.openFile };
    const look = holders([...open, child], {
      locks: [locked(1, 10, 'fcntl'), locked(2, 20, 'fcntl'), locked(3, 20)],
    });
    expect(endersOf(rows, look).get(rows[0]!)).toEqual([2]);
    expect(shape(findDeadlocks(rows, look))).toEqual([[[1, 2], []]]);
  });
});

describe('what is a deadlock', () => {
  const both = [held(1, 10, 'r'), held(1, 20, 'w'), held(2, 20, 'r'), held(2, 10, 'w')];

  test('two processes that read each from what the other writes', () => {
    const calls = [blocked(1, 10), blocked(2, 20)];
    expect(findDeadlocks(calls, holders(both))).toEqual([{ calls, behind: [], doubts: [], isLikely: false }]);
  });

  test('two that write into full pipes, each read by the other', () => {
    const calls = [blocked(1, 20, WRITE), blocked(2, 10, WRITE)];
    expect(shape(findDeadlocks(calls, holders(both)))).toEqual([[[1, 2], []]]);
  });

  test('a process that reads what only it writes', () => {
    expect(shape(findDeadlocks([blocked(1, 10)], holders([held(1, 10, 'rw')])))).toEqual([[[1], []]]);
  });

  test('who waits for a stuck process is behind it, and not part of it', () => {
    const calls = [blocked(1, 10), blocked(2, 20), blocked(3, 30), blocked(4, 40)];
    const chain = [...both, held(1, 30, 'w'), held(3, 40, 'w')];
    expect(shape(findDeadlocks(calls, holders(chain)))).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
    ]);
  });

  test('two deadlocks, and one that waits for both', () => {
    const calls = [1, 2, 3, 4].map((process) => blocked(process, process * 10));
    const two = [
      held(1, 20, 'w'),
      held(2, 10, 'w'),
      held(3, 40, 'w'),
      held(4, 30, 'w'),
      held(1, 50, 'w'),
      held(3, 50, 'w'),
    ];
    expect(shape(findDeadlocks([...calls, blocked(5, 50, { peers: 2 })], holders(two)))).toEqual([
      [[1, 2], [5]],
      [[3, 4], [5]],
    ]);
  });

  test('a process all of whose threads are blocked, each for ever', () => {
    const calls = [blocked(1, 10), { ...blocked(1, 20), pid: 7 }];
    const threads = new Map([[1, [1, 7]]]);
    const own = [held(1, 10, 'w'), held(1, 20, 'w')];
    expect(shape(findDeadlocks(calls, holders(own, { threads })))).toEqual([[[1, 7], []]]);
  });

  test('an open of a pipe that has no name any more, and that nobody has open', () => {
    const opening = blocked(1, 10, { call: 'open', wait: 'fifoor', object: '(removed)', peers: 0 });
    expect(shape(findDeadlocks([opening], holders([])))).toEqual([[[1], []]]);
    // Somebody who has it open can open it again through /proc.
    expect(findDeadlocks([opening], holders([held(2, 10, 'r')]))).toEqual([]);
  });

  test('a segment whose creator waits for one who waits for the segment', () => {
    const calls = [blocked(1, 10), blocked(2, 20, { call: 'open', wait: 'shmwait', object: 'shm/0x1' })];
    expect(shape(findDeadlocks(calls, holders([held(2, 10, 'w'), held(1, 20, 'r')])))).toEqual([
      [[1, 2], []],
    ]);
  });
});

describe('what is none', () => {
  const both = [held(1, 20, 'w'), held(2, 10, 'w')];
  const calls = [blocked(1, 10), blocked(2, 20)];

  test('a cycle with a way out: somebody else could end one of the waits', () => {
    expect(findDeadlocks(calls, holders([...both, held(3, 10, 'w')]))).toEqual([]);
    expect(findDeadlocks(calls, holders([...both, held(3, 10, 'r')]))).toHaveLength(1);
  });

  test('the way out is two steps away', () => {
    const more = [...both, held(3, 10, 'w'), held(4, 30, 'w')];
    expect(findDeadlocks([...calls, blocked(3, 30)], holders(more))).toEqual([]);
    expect(findDeadlocks([...calls, blocked(3, 30), blocked(4, 20)], holders(more))).toHaveLength(1);
  });

  test('a thread that is not blocked', () => {
    const threads = new Map([
      [1, [1]],
      [2, [2, 8]],
    ]);
    expect(findDeadlocks(calls, holders(both, { threads }))).toEqual([]);
  });

  test('a process that has not been found', () => {
    expect(findDeadlocks(calls, holders(both, { threads: new Map([[1, [1]]]) }))).toEqual([]);
  });

  test('a process that the server has not looked up yet', () => {
    expect(findDeadlocks([calls[0]!, { ...calls[1]!, process: '-' }], holders(both))).toEqual([]);
  });

  test.each([
    ['an open, which anybody can end', { call: 'open', wait: 'fifoor', peers: 0 }],
    ['a first write that awaits a reader', { wait: 'fifoow', peers: 0 }],
    ['a read that awaits the first writer', { peers: 0 }],
    ['a kqueue, which a timer can end', { wait: 'kqread', 'peer-ino': '-', peers: '-' }],
    ['a wait that nobody knows', { wait: 'new' }],
  ] as const)('%s', (_, more) => {
    expect(findDeadlocks([calls[0]!, blocked(2, 20, more)], holders(both))).toEqual([]);
  });
});

describe('what may be none', () => {
  const both = [held(1, 20, 'w'), held(2, 10, 'w')];
  const calls = [blocked(1, 10), blocked(2, 20)];

  test.each([
    ['1 process could not be looked at', { hidden: [7] }],
    ['2 processes could not be looked at', { hidden: [7, 8] }],
    ['on their way through a socket', { inFlight: 1 }],
  ])('%s', (words, more) => {
    const [deadlock] = findDeadlocks(calls, holders(both, more));
    expect(deadlock!.doubts).toEqual([expect.stringContaining(words)]);
  });

  test('an open file that no process was seen to have', () => {
    const [deadlock] = findDeadlocks([blocked(1, 10, { peers: 2 }), calls[1]!], holders(both));
    expect(deadlock!.doubts).toEqual([expect.stringContaining('who has pipes/10 open')]);
    // Another descriptor of the same open file does not account for it.
    const again = [...both, both[1]!];
    expect(findDeadlocks([blocked(1, 10, { peers: 2 }), calls[1]!], holders(again))[0]!.doubts).toHaveLength(
      1,
    );
    const other = [...both, held(2, 10, 'w')];
    expect(findDeadlocks([blocked(1, 10, { peers: 2 }), calls[1]!], holders(other))[0]!.doubts).toEqual([]);
  });
});

const PROCESSES = 6;
const INODES = 4;
const anyCall = fc.record({
  process: fc.integer({ min: 1, max: PROCESSES }),
  inode: fc.integer({ min: 1, max: INODES }),
  kind: fc.constantFrom(READ, WRITE, { call: 'open', wait: 'fifoor' }, { call: 'read', wait: 'kqread' }),
  isSecondThread: fc.boolean(),
});
const anyDescriptor = fc.record({
  process: fc.integer({ min: 1, max: PROCESSES }),
  inode: fc.integer({ min: 1, max: INODES }),
  mode: fc.constantFrom('r', 'w', 'rw'),
});

test('generated graphs: as a search through all sets of processes has it', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(anyCall, {
        maxLength: 10,
        selector: (call) => call.process * 2 + Number(call.isSecondThread),
      }),
      fc.array(anyDescriptor, { maxLength: 14 }),
      fc.subarray([1, 2, 3, 4, 5, 6]),
      (generated, opened, withSecondThread) => {
        const calls = generated
          .filter(({ process, isSecondThread }) => !isSecondThread || withSecondThread.includes(process))
          .map(({ process, inode, kind, isSecondThread }) =>
            blocked(process, inode, { ...kind, pid: isSecondThread ? process + 50 : process }),
          );
        const threads = new Map<number, number[]>();
        for (let process = 1; process <= PROCESSES; process++) {
          threads.set(process, withSecondThread.includes(process) ? [process, process + 50] : [process]);
        }
        const seen = holders(
          opened.map(({ process, inode, mode }) => held(process, inode, mode as 'r')),
          { threads },
        );
        const found = findDeadlocks(calls, seen);

        // A set is closed when none of its processes can be woken from outside of it.
        const isClosed = (set: ReadonlySet<number>): boolean =>
          [...set].every((process) =>
            threads.get(process)!.every((thread) => {
              const call = calls.find((candidate) => candidate.pid === thread);
              if (call === undefined || !['piperd', 'pipewr'].includes(call.wait)) return false;
              return opened.every(
                ({ process: holder, inode, mode }) =>
                  inode !== call.ino || !mode.includes(call.wait === 'piperd' ? 'w' : 'r') || set.has(holder),
              );
            }),
          );
        const closed: Set<number>[] = [];
        for (let bits = 1; bits < 2 ** PROCESSES; bits++) {
          const set = new Set([1, 2, 3, 4, 5, 6].filter((process) => (bits & (1 << (process - 1))) !== 0));
          if (isClosed(set)) closed.push(set);
        }
        const smallest = closed.filter(
          (set) =>
            !closed.some((other) => other.size < set.size && [...other].every((process) => set.has(process))),
        );
        const cores = found.map(({ calls: own }) => [...new Set(own.map((call) => call.process as number))]);
        const text = (sets: Iterable<number>[]): string[] => sets.map((set) => [...set].sort().join()).sort();
        expect(text(cores)).toEqual(text(smallest));
        // Everything that is stuck at all is in a deadlock or behind one.
        const stuck = new Set(closed.flatMap((set) => [...set]));
        const named = found
          .flatMap(({ calls: own, behind }) => [...own, ...behind])
          .map((call) => call.process);
        expect([...new Set(named)].sort()).toEqual([...stuck].sort());
      },
    ),
    { numRuns: 3000 },
  );
});

test('who could end a wait: each process once, in order', () => {
  const seen = holders([
    held(9, 10, 'w'),
    held(3, 10, 'rw'),
    held(9, 10, 'w'),
    held(4, 10, 'r'),
    held(5, 11, 'w'),
  ]);
  const [read, write] = [blocked(1, 10), blocked(1, 10, WRITE)];
  expect([...endersOf([read, write], seen)]).toEqual([
    [read, [3, 9]],
    [write, [3, 4]],
  ]);
});

test('long chains and large knots are done in time', () => {
  const count = 20_000;
  const threads = new Map<number, number[]>();
  const calls: BlockedCallRow[] = [];
  const descriptors: HeldDescriptor[] = [];
  for (let process = 1; process <= count; process++) {
    threads.set(process, [process]);
    calls.push(blocked(process, process));
    descriptors.push(held((process % count) + 1, process, 'w'));
  }
  const [deadlock, ...others] = findDeadlocks(calls, {
    descriptors,
    threads,
    hidden: [],
    inFlight: 0,
    locks: [],
  });
  expect([deadlock!.calls.length, others.length]).toEqual([count, 0]);
  expect(
    findDeadlocks(calls, {
      descriptors: [...descriptors, held(99_999, 1, 'w')],
      threads,
      hidden: [],
      inFlight: 0,
      locks: [],
    }),
  ).toEqual([]);
});
