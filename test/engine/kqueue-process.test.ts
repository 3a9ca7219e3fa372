import { describe, expect, test } from 'vitest';

import { EACCES, ENOENT, EOPNOTSUPP, ESRCH } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import {
  EV_EOF,
  EV_ONESHOT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_USER,
} from '../../src/kern/klist.ts';
import { POLLIN } from '../../src/kern/poll.ts';
import { ProcessEventKind } from '../../src/kern/process-events.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_ENABLE,
  EV_NODATA,
  NOTE_CHILD,
  NOTE_EXEC,
  NOTE_EXIT,
  NOTE_FORK,
  NOTE_TRACK,
  NOTE_TRACKERR,
} from '../../src/kqueue/kevent.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

const everything = NOTE_EXIT + NOTE_FORK + NOTE_EXEC;

function setUp(...pids: number[]): { world: KqueueWorld; kq: File } {
  const world = new KqueueWorld();
  for (const pid of pids) world.processes.alive.add(pid);
  return { world, kq: world.kqueue() };
}

function proc(pid: number, fflags = 0, flags = EV_ADD): ReturnType<typeof change> {
  return change(EVFILT_PROC, pid, flags, { fflags: fflags >>> 0 });
}

describe('PROC', () => {
  test('K100: an unknown process is ESRCH, an unreaped one is found for NOTE_EXIT only and fires at once', () => {
    const { world, kq } = setUp();
    expect(world.apply(kq, proc(999_999, NOTE_EXIT))).toBe(-ESRCH);
    expect(world.apply(kq, change(EVFILT_PROC, 2n ** 60n))).toBe(-ESRCH);
    world.processes.zombies.set(7, 0x100);
    expect(world.apply(kq, proc(7, NOTE_FORK))).toBe(-ESRCH);
    world.must(kq, proc(7, NOTE_EXIT));
    expect(world.collect(kq)).toMatchObject([{ ident: 7, data: 0x100, fflags: NOTE_EXIT }]);
    expect([kqueueOf(kq).knoteCount, world.kqueues.processes.size]).toEqual([0, 0]);
  });

  test('K101: any process that the host lets the caller see may be watched', () => {
    const { world, kq } = setUp(1, 2);
    world.must(kq, proc(1, everything));
    world.processes.refused.set(2, -EACCES);
    expect(world.apply(kq, proc(2, NOTE_EXIT))).toBe(-EACCES);
    expect(world.kqueues.processes.size).toBe(1);
  });

  test('K101: without the host’s help PROC and SIGNAL are EOPNOTSUPP', () => {
    const world = new KqueueWorld({ processEvents: null });
    const kq = world.kqueue();
    expect(world.apply(kq, proc(500, NOTE_EXIT))).toBe(-EOPNOTSUPP);
    expect(world.apply(kq, change(EVFILT_SIGNAL, 10))).toBe(-EOPNOTSUPP);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K102, K103: notes add up until delivery, and EV_CLEAR is always on', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, everything));
    world.processes.fork(7, 8);
    world.processes.exec(7);
    expect(world.collect(kq)).toMatchObject([{ fflags: 0x6000_0000, flags: EV_ADD | EV_CLEAR }]);
    expect(world.collect(kq)).toEqual([]);
    world.processes.exec(7);
    expect(world.collect(kq)).toMatchObject([{ fflags: NOTE_EXEC }]);
  });

  test('K103: notes that were not asked for are not told', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXEC));
    world.must(world.kqueue(), proc(7, NOTE_FORK));
    world.processes.fork(7, 8);
    expect(world.collect(kq)).toEqual([]);
  });

  test('K104: an exit has the wait status as data, three flags, and ends the knote', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXIT));
    world.processes.exit(7, 0x300);
    const [event] = world.collect(kq);
    expect(event).toMatchObject({ ident: 7, fflags: 0x8000_0000, data: 0x300 });
    expect(event!.flags).toBe(EV_ADD | EV_CLEAR | EV_EOF | EV_NODATA | EV_ONESHOT);
    expect(world.collect(kq)).toEqual([]);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K105: an exit is delivered to a knote that did not ask for it', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_FORK));
    world.processes.exit(7, 9);
    expect(world.collect(kq)).toMatchObject([{ fflags: 0, data: 9 }]);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K106: tracking makes a like knote for each child, over generations', () => {
    const { world, kq } = setUp(7);
    const asked = everything + NOTE_TRACK;
    world.must(kq, change(EVFILT_PROC, 7, EV_ADD, { fflags: asked, udata: 5 }));
    world.processes.fork(7, 8);
    expect(world.collect(kq)).toMatchObject([
      { ident: 8, fflags: NOTE_CHILD, data: 7, udata: 5, flags: EV_ADD | EV_ENABLE | EV_CLEAR },
      { ident: 7, fflags: NOTE_FORK, udata: 5 },
    ]);
    world.processes.fork(8, 9);
    expect(world.collect(kq)).toMatchObject([
      { ident: 9, fflags: NOTE_CHILD, data: 8, udata: 5 },
      { ident: 8, fflags: NOTE_FORK, data: 0 },
    ]);
    for (const pid of [9, 8, 7]) world.processes.exit(pid, pid * 256);
    expect(world.collect(kq)).toMatchObject([
      { ident: 9, fflags: NOTE_EXIT, data: 0x900 },
      { ident: 8, fflags: NOTE_EXIT, data: 0x800 },
      { ident: 7, fflags: NOTE_EXIT, data: 0x700 },
    ]);
    expect([kqueueOf(kq).knoteCount, world.processes.watches.size]).toEqual([0, 0]);
  });

  test('K106: a child that ends before anybody looks has one event with all of it', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXIT + NOTE_TRACK));
    world.processes.fork(7, 8);
    world.processes.exit(8, 0x100);
    expect(world.collect(kq)).toMatchObject([{ ident: 8, fflags: NOTE_EXIT + NOTE_CHILD, data: 0x100 }]);
  });

  test('K106: a child of a knote that is disabled or one-shot is watched all the same', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_TRACK, EV_ADD | EV_DISABLE));
    world.processes.fork(7, 8);
    expect(world.idents(kq)).toEqual([8]);
  });

  test('K107: a child that cannot be tracked shows in its parent’s event', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_TRACK));
    world.processes.refused.set(8, -ESRCH);
    world.processes.fork(7, 8);
    expect(world.collect(kq)).toMatchObject([{ ident: 7, fflags: NOTE_TRACKERR }]);
    expect(kqueueOf(kq).knoteCount).toBe(1);
  });

  test('K108: tracking without NOTE_FORK has an event for the child only', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_TRACK));
    world.processes.fork(7, 8);
    expect(world.idents(kq)).toEqual([8]);
  });

  test('K109: a caller cannot set the internal bit', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXIT, EV_ADD | 0x2000));
    expect(world.collect(kq)).toEqual([]);
  });

  test('K110: a knote can be deleted after its process is gone, and its pending event goes too', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXIT));
    world.processes.exit(7, 0);
    world.must(kq, proc(7, 0, EV_DELETE));
    expect([world.collect(kq), kqueueOf(kq).knoteCount]).toEqual([[], 0]);
    expect(world.apply(kq, proc(7, 0, EV_DELETE))).toBe(-ENOENT);
  });

  test('K122: enabling a PROC knote with zeros leaves what it watches for', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_FORK), proc(7, 0, EV_DISABLE), proc(7, 0, EV_ENABLE));
    world.processes.fork(7, 8);
    expect(world.collect(kq)).toMatchObject([{ fflags: NOTE_FORK }]);
    world.must(kq, proc(7, NOTE_EXEC));
    expect(world.processes.kindsOf(7)).toBe(ProcessEventKind.Exec);
    world.processes.refused.set(7, -EOPNOTSUPP);
    expect(world.apply(kq, proc(7, everything))).toBe(-EOPNOTSUPP);
    world.processes.refused.clear();
    world.processes.exec(7);
    expect(world.collect(kq)).toMatchObject([{ fflags: NOTE_EXEC }]);
    world.must(world.kqueue(), proc(7, NOTE_FORK));
    expect(world.processes.kindsOf(7)).toBe(ProcessEventKind.Exec | ProcessEventKind.Fork);
    // Nor has the change that failed left NOTE_EXIT behind.
    world.processes.exit(7, 0);
    expect(world.collect(kq)).toMatchObject([{ fflags: 0 }]);
  });
});

describe('what the host is asked for', () => {
  test('K101: exactly what knotes want, and nothing when there are none', () => {
    const { world, kq } = setUp(7);
    const other = world.kqueue();
    const { Exit, Fork, Exec, Signal } = ProcessEventKind;
    world.must(kq, proc(7, NOTE_EXIT));
    expect(world.processes.kindsOf(7)).toBe(Exit);
    world.must(other, proc(7, NOTE_EXEC + NOTE_TRACK));
    expect(world.processes.kindsOf(7)).toBe(Exit | Exec | Fork);
    world.must(kq, proc(7, 0, EV_DELETE));
    expect(world.processes.kindsOf(7)).toBe(Exec | Fork);
    world.closeFile(other);
    expect([world.processes.watches.size, world.kqueues.processes.size]).toEqual([0, 0]);
    world.must(kq, change(EVFILT_SIGNAL, 10), proc(500, NOTE_EXIT));
    expect(world.processes.kindsOf(500)).toBe(Signal | Exit);
    world.must(kq, change(EVFILT_SIGNAL, 10, EV_DELETE));
    expect(world.processes.kindsOf(500)).toBe(Exit);
  });
});

describe('what happened before a call', () => {
  test('K24, K102, K111: a call that does not wait returns what the host had not told yet', () => {
    const { world, kq } = setUp(7);
    world.must(kq, proc(7, NOTE_EXIT), change(EVFILT_SIGNAL, 10));
    world.processes.untold.push(() => {
      world.processes.signal(500, 10);
      world.processes.exit(7, 0x300);
    });
    expect(world.collect(kq)).toMatchObject([
      { filter: EVFILT_SIGNAL, data: 1 },
      { filter: EVFILT_PROC, data: 0x300 },
    ]);
  });

  test('K6: so do poll, and a queue that watches the queue', () => {
    const { world, kq } = setUp(7);
    const outer = world.kqueue();
    world.must(kq, change(EVFILT_SIGNAL, 10));
    world.must(outer, change(EVFILT_READ, world.descriptor(kq)));
    world.processes.untold.push(() => {
      world.processes.signal(500, 10);
    });
    expect(world.collect(outer)).toMatchObject([{ filter: EVFILT_READ, data: 1 }]);
    expect(world.collect(kq)).toHaveLength(1);
    world.processes.untold.push(() => {
      world.processes.signal(500, 10);
    });
    expect(kq.ops.poll(kq, POLLIN, null, kq.credentials)).toBe(POLLIN);
  });

  test('the host is asked for queues that watch processes or other queues, and only while somebody watches one', () => {
    const { world, kq } = setUp(7);
    const [plain, outer] = [world.kqueue(), world.kqueue()];
    /** How often the host is asked when events of each of the queues are collected. */
    const asked = (): number[] =>
      [kq, plain, outer].map((each) => {
        const before = world.processes.catchUps;
        world.collect(each);
        return world.processes.catchUps - before;
      });
    world.must(plain, change(EVFILT_USER, 1));
    world.must(outer, change(EVFILT_READ, world.descriptor(kq)));
    expect(asked()).toEqual([0, 0, 0]);
    world.must(kq, change(EVFILT_SIGNAL, 10));
    expect(asked()).toEqual([1, 0, 1]);
    world.must(kq, change(EVFILT_SIGNAL, 10, EV_DELETE), proc(7, NOTE_EXIT));
    expect(asked()).toEqual([1, 0, 1]);
    // A process that has ended is watched no more.
    world.processes.exit(7, 0);
    expect(asked()).toEqual([0, 0, 0]);
  });

  test('K6: a queue that does not watch other queues any more does not ask', () => {
    const { world, kq } = setUp();
    const outer = world.kqueue();
    const descriptor = world.descriptor(kq);
    world.must(kq, change(EVFILT_SIGNAL, 10));
    world.must(outer, change(EVFILT_READ, descriptor));
    world.must(outer, change(EVFILT_READ, descriptor, EV_DELETE));
    const before = world.processes.catchUps;
    world.collect(outer);
    expect(world.processes.catchUps).toBe(before);
  });
});

describe('SIGNAL', () => {
  test('K111: signals sent to the process that opened the kqueue are counted, and EV_CLEAR is on', () => {
    const { world, kq } = setUp(7);
    world.must(kq, change(EVFILT_SIGNAL, 10, EV_ADD, { udata: 3 }));
    for (let sent = 0; sent < 3; sent++) world.processes.signal(500, 10);
    world.processes.signal(500, 12);
    world.processes.signal(7, 10);
    expect(world.collect(kq)).toMatchObject([
      { ident: 10, data: 3, flags: EV_ADD | EV_CLEAR, fflags: 0, udata: 3 },
    ]);
    expect(world.collect(kq)).toEqual([]);
  });

  test('K111: the number is not validated, and the opener counts, not the caller', () => {
    const { world, kq } = setUp(7);
    const credentials = { uid: 1000, gid: 1000, pid: 7 };
    world.startKevent(kq, { changes: [change(EVFILT_SIGNAL, 9999)], eventCount: 0, credentials });
    expect([...world.processes.watches.keys()]).toEqual([500]);
    world.must(kq, change(EVFILT_SIGNAL, 2n ** 60n));
    expect(kqueueOf(kq).knoteCount).toBe(2);
  });

  test('K111: knotes of a process that has ended stay silent and can be deleted', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_SIGNAL, 10));
    world.processes.exit(500, 0);
    expect(world.collect(kq)).toEqual([]);
    world.must(kq, change(EVFILT_SIGNAL, 10, EV_DELETE));
  });
});
