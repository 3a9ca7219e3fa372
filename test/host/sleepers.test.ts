import { expect, test } from 'vitest';
import { findSleepers, type LookOptions } from '../../src/host/linux/sleepers/sleepers.ts';
import type { ProcessView } from '../../src/host/linux/sleepers/process-view.ts';
import type { Sleeper } from '../../src/kern/sleeper.ts';
import {
  epoll,
  epollWait,
  eventfd,
  idle,
  MINOR,
  mountFile,
  pipe,
  pollfds,
  pollOf,
  type ProcessModel,
  processView,
  syscall,
} from '../support/process-view.ts';
import { lookAtHostileSleepers } from '../simulation/sleepers.ts';
import { Random } from '../support/random.ts';

function look(
  processes: Readonly<Record<number, ProcessModel>>,
  {
    blocked = [],
    view = {},
    ...more
  }: { blocked?: number[]; view?: Partial<ProcessView> } & Partial<Omit<LookOptions, 'view'>> = {},
): Sleeper[] {
  return findSleepers(
    { deviceMinor: MINOR, blocked },
    { architecture: 'x64', ...more, view: { ...processView(processes), ...view } },
  );
}

/** A process with one thread that polls what it has at 3. */
function poller(more: Partial<ProcessModel> = {}, pid = 10): ProcessModel {
  return {
    files: { 3: mountFile(5) },
    threads: { [pid]: pollOf(0x1000, 1) },
    memory: { '0x1000': pollfds(3) },
    ...more,
  };
}

test('a poll without a time limit of a file of the mount: nothing else ends it', () => {
  expect(look({ 10: poller() })).toEqual([
    {
      thread: 10,
      process: 10,
      uid: 0,
      command: 'program10',
      call: 'poll',
      watches: [{ inode: 5, direction: 'in' }],
      held: [5],
      ends: [],
      others: [],
      sleepCount: 8,
    },
  ]);
});

test('the direction follows the events, and for errors the side that the descriptor is open for', () => {
  const watching = (file: Parameters<typeof mountFile>[1], events: string) => {
    const target = mountFile(5, file);
    const files = { 3: target, 4: epoll([3, target, events]) };
    return look({ 10: { files, threads: { 10: epollWait(4) } } })[0]!.watches.map(
      ({ direction }) => direction,
    );
  };
  expect(watching('r', '19')).toEqual(['in']);
  expect(watching('w', '1c')).toEqual(['out']);
  expect(watching('rw', '1d')).toEqual(['in', 'out']);
  expect(watching('rw', '1c')).toEqual(['out']);
  expect(watching('w', '19')).toEqual(['out']);
  expect(watching('r', '18')).toEqual(['in']);
});

test('a time limit, an alarm, timers and children may end it', () => {
  const ends = (more: Partial<ProcessModel>) => look({ 10: poller(more) })[0]!.ends;
  expect(ends({ threads: { 10: pollOf(0x1000, 1, 500) } })).toEqual(['timeout']);
  expect(ends({ caught: 1n << 13n })).toEqual(['timeout']);
  expect(ends({ hasTimers: true })).toEqual(['timeout']);
  expect(ends({ caught: 1n << 28n })).toEqual(['others']);
  expect(ends({ caught: 1n << 16n })).toEqual([]);
  expect(ends({ caught: 1n << 16n, children: '11 ' })).toEqual(['others']);
});

test('descriptors outside of the mount: those that only the process itself can make ready do not count', () => {
  const own = eventfd();
  const inside = mountFile(5);
  const model = (files: ProcessModel['files']): ProcessModel => ({
    files: { 3: inside, ...files },
    threads: { 10: epollWait(9) },
  });
  const watching = (file: typeof own): ProcessModel => model({ 4: file, 9: epoll([3, inside], [4, file]) });
  expect(look({ 10: watching(own) })[0]!.ends).toEqual([]);
  // A copy of it in another process, as after fork(2).
  const child = { files: { 7: own }, threads: { 20: idle } };
  expect(look({ 10: watching(own), 20: child })[0]!.ends).toEqual(['others']);
  expect(look({ 10: watching(own), 20: { ...child, files: { 7: eventfd() } } })[0]!.ends).toEqual([]);
  expect(
    look(
      { 10: watching(own), 20: { ...child, files: { 7: eventfd() } } },
      { view: { isSameFile: () => null } },
    )[0]!.ends,
  ).toEqual(['others']);
  const selfPipe = pipe(700);
  expect(look({ 10: watching(selfPipe) })[0]!.ends).toEqual([]);
  const writer = { files: { 1: pipe(700) }, threads: { 20: idle } };
  expect(look({ 10: watching(selfPipe), 20: writer })[0]!.ends).toEqual(['others']);
  expect(look({ 20: writer, 10: watching(selfPipe) })[0]!.ends).toEqual(['others']);
  // A FIFO with a name can be opened by anybody.
  expect(look({ 10: watching({ ...selfPipe, link: '/tmp/fifo' }) })[0]!.ends).toEqual(['others']);
  const socket = { ...eventfd(), type: 'other' as const, link: 'socket:[1]' };
  expect(look({ 10: watching(socket) })[0]!.ends).toEqual(['others']);
  const timer = { ...eventfd(), link: 'anon_inode:[timerfd]' };
  expect(look({ 10: watching(timer) })[0]!.ends).toEqual(['others']);
  // A process was left out: it may have a copy.
  expect(look({ 10: watching(own), 20: child }, { enter: (pid) => pid !== 20 })[0]!.ends).toEqual(['others']);
});

test('an epoll whose descriptor leads to another file by now is not known', () => {
  const inside = mountFile(5);
  const files = { 3: mountFile(6), 9: epoll([3, inside]) };
  expect(look({ 10: { files, threads: { 10: epollWait(9) } } })[0]).toMatchObject({
    watches: [],
    ends: ['unknown'],
  });
  // No epoll at all.
  const plain = { 3: inside, 9: eventfd() };
  expect(look({ 10: { files: plain, threads: { 10: epollWait(9) } } })[0]!.ends).toEqual(['unknown']);
});

test('memory that cannot be read leaves the name of the call', () => {
  expect(look({ 10: poller({ memory: {} }) })[0]).toMatchObject({
    call: 'poll',
    watches: [],
    ends: ['unknown'],
  });
  // Who may not trace the process knows the place in the kernel at most.
  const blind = (place: string) =>
    look(
      { 10: poller({ threads: { 10: { syscall: '', wchan: place } } }) },
      {
        view: {
          threadText: (pid, thread, file) =>
            file === 'syscall'
              ? null
              : processView({ 10: poller({ threads: { 10: { syscall: '', wchan: place } } }) }).threadText(
                  pid,
                  thread,
                  file,
                ),
        },
      },
    );
  expect(blind('ep_poll')[0]).toMatchObject({ call: 'epoll_wait', ends: ['others'] });
  expect(blind('do_wait')[0]).toMatchObject({ call: 'wait4', ends: ['others'] });
  expect(blind('0')).toEqual([]);
});

test('threads: idle ones do not count, those that may act do, those that are blocked in the mount are named', () => {
  const inside = mountFile(5);
  const files = { 3: inside, 4: epoll([3, inside]) };
  const model = (...threads: ProcessModel['threads'][number][]): ProcessModel => ({
    files,
    threads: Object.fromEntries([epollWait(4), ...threads].map((thread, index) => [10 + index, thread])),
  });
  const [node] = look({ 10: model(idle, idle) });
  expect(node).toMatchObject({ ends: [], others: [], sleepCount: 24 });
  expect(look({ 10: model({ syscall: 'running\n' }) })[0]!.others).toEqual([11]);
  expect(look({ 10: model({ ...idle, state: 'R (running)' }) })[0]!.others).toEqual([11]);
  expect(look({ 10: model({ ...idle, state: 'T (stopped)' }) })[0]!.others).toEqual([11]);
  const blocked = { syscall: syscall(0, 3, 0x1000, 1), wchan: 'request_wait_answer' };
  expect(look({ 10: model(blocked) }, { blocked: [11] })[0]).toMatchObject({ ends: [], others: [11] });
  const sleeper = { syscall: syscall(230, 0, 0, 0x1000), wchan: 'hrtimer_nanosleep' };
  expect(look({ 10: model(sleeper) }).map(({ call, ends }) => [call, ends])).toEqual([
    ['epoll_wait', ['threads']],
    ['clock_nanosleep', ['timeout']],
  ]);
});

test('a process whose threads wait for each other and for the mount has one row', () => {
  const files = { 3: mountFile(5) };
  const blocked = { syscall: syscall(0, 3, 0x1000, 1), wchan: 'request_wait_answer' };
  expect(
    look({ 10: { files, threads: { 10: idle, 11: idle, 12: blocked } } }, { blocked: [12] }),
  ).toMatchObject([{ thread: 10, call: 'futex', watches: [], held: [5], ends: [], others: [12] }]);
});

test('a process that does something while it is looked at, or is blocked in the mount wholly, has no row', () => {
  let reads = 0;
  const model = poller();
  const truth = processView({ 10: model });
  const changing: Partial<ProcessView> = {
    threadText: (pid, thread, file) => {
      const text = truth.threadText(pid, thread, file);
      return file === 'status' ? text!.replace(/(voluntary_ctxt_switches:\t)\d+/, `$1${reads++}`) : text;
    },
  };
  expect(look({ 10: model }, { view: changing })).toEqual([]);
  expect(look({ 10: model }, { blocked: [10] })).toEqual([]);
  expect(look({ 10: model }, { enter: () => false })).toEqual([]);
  expect(look({ 10: poller({ files: { 3: pipe(9) } }) })).toEqual([]);
});

test('[SEC-19] beyond its limits a look leaves processes out: descriptors, threads, users, time', () => {
  const many = (count: number, file = mountFile(5)): ProcessModel['files'] =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [index + 3, file]));
  expect(look({ 10: poller({ files: many(4096) }) })).toHaveLength(1);
  expect(look({ 10: poller({ files: many(4097) }) })).toEqual([]);
  const threads = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [10 + index, idle]));
  expect(look({ 10: poller({ threads }) })).toEqual([]);
  // Five processes with 4,000 descriptors each are more than a user's share, and not more than root's.
  const crowd = (uid: number): Record<number, ProcessModel> =>
    Object.fromEntries(
      [11, 12, 13, 14, 15].map((pid) => [pid, { ...poller({ uid, files: many(4000) }, pid) }]),
    );
  expect(look(crowd(1000))).toHaveLength(4);
  expect(look(crowd(0))).toHaveLength(5);
  // Others are not hidden by them.
  expect(look({ ...crowd(1000), 20: poller({ uid: 1001 }, 20) }).map(({ process }) => process)).toContain(20);
  const small = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [index + 1, poller({ uid: 1000 }, index + 1)]),
  );
  expect(look(small)).toHaveLength(128);
  let nowMs = 0;
  const slow = look(small, { nowMs: () => (nowMs += 10) });
  expect(slow.length).toBeLessThan(40);
  const watched = epoll(
    ...Array.from({ length: 1100 }, (_, index): [number, ReturnType<typeof mountFile>] => [
      index,
      mountFile(5),
    ]),
  );
  expect(
    look({ 10: { files: { 3: mountFile(5), 4: watched }, threads: { 10: epollWait(4) } } })[0]!.ends,
  ).toEqual(['unknown']);
});

test('[SEC-19] processes that answer as they like cannot make a look fail, or take more than its bounds', () => {
  const uids = new Map([
    [10, 0],
    [11, 1000],
    [12, 1000],
    [13, 1001],
  ]);
  let rows = 0;
  for (let seed = 0; seed < 2000; seed++)
    rows += lookAtHostileSleepers(new Random(seed), uids, [5, 6]).length;
  expect(rows).toBeGreaterThan(100);
});
