import { describe, expect, test } from 'vitest';

import { EINTR, ENOENT } from '../../src/kern/errno.ts';
import {
  EV_EOF,
  EV_ONESHOT,
  EVFILT_READ,
  EVFILT_SIGNAL,
  EVFILT_USER,
  EVFILT_WRITE,
} from '../../src/kern/klist.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISPATCH,
  EV_ENABLE,
  type Ident,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import { register } from '../../src/kqueue/register.ts';
import { user } from '../support/engine.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

const triggered = { fflags: NOTE_TRIGGER };

function setUp(text = '') {
  const world = new KqueueWorld();
  const [near, far] = world.pair();
  if (text !== '') world.write(far, text);
  return { world, kq: world.kqueue(), near, far, fd: world.descriptor(near) };
}

describe('delivery', () => {
  test('K60: a knote that is no longer true leaves the queue unreported and inactive', () => {
    const { world, kq, near, far, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd));
    world.read(near, 3);
    expect(kqueueOf(kq).count).toBe(1);
    expect(world.collect(kq)).toEqual([]);
    expect(kqueueOf(kq).count).toBe(0);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(kqueueOf(kq).count).toBe(0);
    world.write(far, 'x');
    expect(world.collect(kq)).toMatchObject([{ data: 1 }]);
  });

  test('K60: what a filter queues that is asked, and says no, is delivered in its place', () => {
    const { world, kq, near, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd));
    world.must(kq, change(EVFILT_USER, 7, EV_ADD | EV_CLEAR));
    world.read(near, 3);
    const knote = kqueueOf(kq).find(EVFILT_READ, fd, null)!;
    const ops = knote.filterOps!;
    // As a filter does that finds, when it asks the host, that another file is ready.
    knote.filterOps = {
      ...ops,
      event: (listed, hint) => {
        register(kqueueOf(kq), change(EVFILT_USER, 7, 0, triggered), { credentials: user, openerPid: 0 });
        return ops.event(listed, hint);
      },
    };
    expect(world.collect(kq)).toMatchObject([{ ident: 7 }]);
    expect(kqueueOf(kq).count).toBe(0);
  });

  test('K61: a queued one-shot knote is delivered as it is', () => {
    const { world, kq, near, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_ONESHOT));
    world.read(near, 3);
    // The read has evaluated the filter, whose last word on the data stands.
    expect(world.collect(kq)).toMatchObject([{ ident: fd, data: 0 }]);
  });

  test('K62: EV_ONESHOT deletes the knote with its first delivery', () => {
    const { world, kq, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_ONESHOT));
    expect([world.idents(kq), world.idents(kq)]).toEqual([[fd], []]);
    expect(world.apply(kq, change(EVFILT_READ, fd, EV_DELETE))).toBe(-ENOENT);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K63: EV_CLEAR waits for new activity after a delivery', () => {
    const { world, kq, far, fd } = setUp('abcde');
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_CLEAR));
    expect(world.collect(kq)).toMatchObject([{ data: 5 }]);
    expect(world.collect(kq)).toEqual([]);
    world.write(far, 'x');
    expect(world.collect(kq)).toMatchObject([{ data: 6 }]);
  });

  test('K64: EV_DISPATCH disables on delivery, and enabling looks at the condition anew', () => {
    const { world, kq, near, far, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DISPATCH));
    expect([world.idents(kq), world.idents(kq)]).toEqual([[fd], []]);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.idents(kq)).toEqual([fd]);
    world.read(near, 3);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect([world.idents(kq), kqueueOf(kq).count]).toEqual([[], 0]);
    world.write(far, 'x');
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K65: EV_ONESHOT comes before the others, and CLEAR and DISPATCH combine', () => {
    const { world, kq, far, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_ONESHOT | EV_DISPATCH | EV_CLEAR));
    expect(world.idents(kq)).toEqual([fd]);
    expect(world.apply(kq, change(EVFILT_READ, fd, EV_ENABLE))).toBe(-ENOENT);
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_CLEAR | EV_DISPATCH));
    expect(world.idents(kq)).toEqual([fd]);
    world.write(far, 'x');
    expect(world.idents(kq)).toEqual([]);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.collect(kq)).toMatchObject([{ data: 4 }]);
    expect(world.idents(kq)).toEqual([]);
  });

  test('K66: a level-triggered knote is reported while its condition holds', () => {
    const { world, kq, near, fd } = setUp('abc');
    world.must(kq, change(EVFILT_READ, fd));
    for (let round = 0; round < 3; round++) expect(world.idents(kq)).toEqual([fd]);
    world.read(near, 3);
    expect(world.idents(kq)).toEqual([]);
  });

  test('K67: events come in the order in which their knotes were queued', () => {
    const { world, kq } = setUp();
    for (const ident of [1, 2, 3]) world.must(kq, change(EVFILT_USER, ident));
    for (const ident of [3, 1, 2]) world.must(kq, change(EVFILT_USER, ident, 0, triggered));
    expect(world.idents(kq)).toEqual([3, 1, 2]);
  });

  test('K68: one activity queues the knotes of its object from the newest registration on', () => {
    const { world, kq, near, far, fd } = setUp();
    const numbers = [fd, world.descriptor(near), world.descriptor(near)];
    for (const number of numbers) world.must(kq, change(EVFILT_READ, number));
    world.write(far, 'abc');
    expect(world.idents(kq)).toEqual(numbers.reverse());
  });

  test('K69: an edge knote never misses the last of many writes', () => {
    const { world, kq, near, far, fd } = setUp();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_CLEAR));
    for (let round = 0; round < 20_000; round++) {
      world.write(far, 'ab');
      if (round % 3 === 0) expect(world.collect(kq)).toMatchObject([{ data: 2 }]);
      world.read(near, 2);
    }
    world.write(far, 'abc');
    expect(world.collect(kq)).toMatchObject([{ data: 3 }]);
  });

  test('K66: a pair whose other end is closed gives EV_EOF once and is gone', () => {
    const { world, kq, far, fd } = setUp();
    world.must(kq, change(EVFILT_WRITE, fd));
    world.collect(kq);
    world.closeFile(far);
    expect(world.collect(kq)[0]!.flags & EV_EOF).toBe(EV_EOF);
    expect([world.collect(kq), kqueueOf(kq).knoteCount]).toEqual([[], 0]);
  });

  test('K128: the count is the length of the queue after each kind of delivery', () => {
    const { world, kq, fd, near } = setUp('abc');
    const queue = kqueueOf(kq);
    const check = (count: number) => {
      queue.checkInvariants();
      expect(queue.count).toBe(count);
    };
    for (const flags of [EV_ONESHOT, EV_CLEAR, EV_DISPATCH, 0]) {
      world.must(kq, change(EVFILT_USER, flags, EV_ADD | flags, triggered));
    }
    world.must(kq, change(EVFILT_READ, fd));
    check(5);
    expect(world.idents(kq, 2).length).toBe(2);
    check(3);
    world.read(near, 3);
    check(3);
    expect(world.idents(kq).length).toBe(2);
    check(1);
    expect(world.idents(kq)).toEqual([0]);
    check(1);
    world.must(kq, change(EVFILT_USER, 0, EV_DELETE));
    check(0);
  });
});

describe('several collectors', () => {
  /** Collectors of one kqueue, asleep. */
  function waiters(count: number, eventCount = 1) {
    const setup = setUp();
    const calls = Array.from({ length: count }, () =>
      setup.world.startKevent(setup.kq, { timeout: null, eventCount }),
    );
    expect(calls.every((call) => call.isBlocked)).toBe(true);
    return { ...setup, calls };
  }

  test('K70: every signal is counted exactly once', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_SIGNAL, 10));
    let total = 0;
    for (let sent = 0; sent < 1000; sent++) {
      world.processes.signal(500, 10);
      if (sent % 7 === 0) total += Number(world.collect(kq)[0]!.data);
    }
    for (const event of world.collect(kq)) total += Number(event.data);
    expect(total).toBe(1000);
  });

  test('K71: deleting and adding one knote again and again never stalls', () => {
    const { world, kq, calls } = waiters(2);
    for (let round = 0; round < 1000; round++) {
      world.must(kq, change(EVFILT_USER, 1), change(EVFILT_USER, 1, EV_DELETE));
    }
    const begun = world.host.clock.nowMs;
    world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_CLEAR, triggered));
    expect(calls.filter((call) => call.result === 1).length).toBe(1);
    expect(world.host.clock.nowMs).toBe(begun);
  });

  test('K72: an event wakes one waiter', () => {
    const { world, kq, calls } = waiters(3);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered));
    expect(calls.map((call) => call.isBlocked)).toEqual([false, true, true]);
  });

  test('K72: with kq_wakeup_one at 0 it wakes all of them', () => {
    const { world, kq, calls } = waiters(3);
    world.tune('kern.kq_wakeup_one', 0);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered));
    expect(calls.map((call) => call.result)).toEqual([1, 1, 1]);
  });

  test('K73: two events release two waiters, in one call or one after the other', () => {
    const { world, kq, calls } = waiters(3);
    const events = [1, 2].map((ident) => change(EVFILT_USER, ident, EV_ADD | EV_CLEAR, triggered));
    world.must(kq, ...events);
    expect(calls.map((call) => call.idents)).toEqual([[1], [2], []]);
  });

  test('K73: an event that a woken call leaves behind wakes another', () => {
    const { world, kq, calls } = waiters(2);
    const text = world.textFile('rw', kqueueOf(kq));
    const reader = world.read(text, 100);
    calls[0]!.signal();
    expect(calls[0]!.result).toBe(-EINTR);
    // The reader has come last; the first to be woken is the other collector, and the failing change's line is the reader's.
    world.write(text, 'delete user 9\nadd user 1 trigger clear\n');
    expect(reader.text).toBe('error user 9 errno=ENOENT udata=-\n');
    expect(calls[1]!.idents).toEqual([1]);
  });

  test('K73: a call that is woken for an event but has something else to say passes the wake-up on', () => {
    const { world, kq } = setUp();
    const text = world.textFile('rw', kqueueOf(kq));
    const reader = world.read(text, 100);
    const other = world.startKevent(kq, { timeout: null });
    expect([reader.isBlocked, other.isBlocked]).toEqual([true, true]);
    world.write(text, 'add user 1 trigger clear\ndelete user 9\n');
    expect(reader.text).toBe('error user 9 errno=ENOENT udata=-\n');
    expect(other.idents).toEqual([1]);
  });

  test('K73: a call that takes a level-triggered event again passes on the one that it was woken for', () => {
    const { world, kq, calls } = waiters(3);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered));
    world.must(kq, change(EVFILT_USER, 2, EV_ADD | EV_CLEAR, triggered));
    expect(calls.map((call) => call.idents)).toEqual([[1], [1], [2]]);
  });

  test('K74: collectors together get every one-shot event exactly once', () => {
    const { world, kq } = setUp();
    const got: Ident[] = [];
    const calls = Array.from({ length: 4 }, () => world.startKevent(kq, { timeout: null, eventCount: 3 }));
    for (let ident = 1; ident <= 1000; ident++) {
      world.must(kq, change(EVFILT_USER, ident, EV_ADD | EV_ONESHOT, triggered));
      calls.forEach((call, index) => {
        if (call.isBlocked) return;
        got.push(...call.idents);
        if (ident % 3 !== 0) calls[index] = world.startKevent(kq, { timeout: null, eventCount: 3 });
        else call.events.length = 0;
      });
    }
    got.push(...world.idents(kq, 2000));
    expect(got.sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
  });
});
