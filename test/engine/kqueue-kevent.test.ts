import { describe, expect, test } from 'vitest';

import { EBADF, EFAULT, EINTR, EINVAL, ENOENT } from '../../src/kern/errno.ts';
import { EV_ONESHOT, EVFILT_PROC, EVFILT_READ, EVFILT_TIMER, EVFILT_USER } from '../../src/kern/klist.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_ENABLE,
  EV_ERROR,
  EV_RECEIPT,
  NOTE_EXIT,
  NOTE_FFCOPY,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

const triggered = { fflags: NOTE_TRIGGER };

/** A kqueue with `count` triggered level events, 0 and up. */
function withReady(
  count: number,
  flags = EV_ADD,
): { world: KqueueWorld; kq: ReturnType<KqueueWorld['kqueue']> } {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  for (let ident = 0; ident < count; ident++) world.must(kq, change(EVFILT_USER, ident, flags, triggered));
  return { world, kq };
}

function users(from: number, to: number): ReturnType<typeof change>[] {
  return Array.from({ length: to - from + 1 }, (_, index) => change(EVFILT_USER, from + index));
}

describe('arguments', () => {
  test('K12: an unreadable timeout is EFAULT before a bad descriptor is EBADF', () => {
    const world = new KqueueWorld();
    const [near] = world.pair();
    expect(world.startKevent(null, { timeout: 'fault' }).result).toBe(-EFAULT);
    expect(world.startKevent(world.kqueue(), { timeout: 'fault' }).result).toBe(-EFAULT);
    expect(world.startKevent(null).result).toBe(-EBADF);
    expect(world.startKevent(near).result).toBe(-EBADF);
  });

  test('K13: changes are read 8 at a time, and a fault keeps the batches before it', () => {
    const { world, kq } = withReady(1);
    const call = world.startKevent(kq, { changes: users(1, 9), unreadableFrom: 8 });
    expect(call.result).toBe(-EFAULT);
    expect(call.events).toEqual([]);
    expect(kqueueOf(kq).knoteCount).toBe(9);
  });

  test('K13: every change is applied before an event is taken', () => {
    const { world, kq } = withReady(1);
    const call = world.startKevent(kq, { changes: [change(EVFILT_USER, 0, EV_DELETE)] });
    expect(call.result).toBe(0);
  });

  test('K14: the top four flag bits of a change are dropped', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    world.must(kq, change(EVFILT_USER, 1, EV_ADD | 0xf000, triggered));
    expect(world.collect(kq)).toMatchObject([{ flags: EV_ADD }]);
  });

  test('K22: a negative number of changes is EINVAL, and nothing is read', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    expect(world.startKevent(kq, { changes: users(1, 3), changeCount: -1 }).result).toBe(-EINVAL);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K23: without room for an event the call returns 0 after its changes, and less than 0 is EINVAL', () => {
    const { world, kq } = withReady(1);
    const timer = change(EVFILT_TIMER, 1, EV_ADD, { data: 10 });
    const call = world.startKevent(kq, { changes: [timer], eventCount: 0, timeout: 10_000 });
    expect(call.result).toBe(0);
    expect(world.kqueues.calloutCount).toBe(1);
    expect(world.startKevent(kq, { eventCount: -1 }).result).toBe(-EINVAL);
  });

  test('K124: with zero changes the change list is never looked at', () => {
    const { world, kq } = withReady(1);
    expect(world.startKevent(kq, { unreadableFrom: -1 }).result).toBe(1);
  });
});

describe('records about changes', () => {
  test('K15: a change that fails stores EV_ERROR and the errno, and the next one is applied', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const failing = change(EVFILT_USER, 5, EV_DELETE, { udata: 77 });
    const call = world.startKevent(kq, { changes: [failing, change(EVFILT_USER, 1)], eventCount: 2 });
    expect(call.result).toBe(1);
    expect(call.events).toMatchObject([
      { ident: 5, filter: EVFILT_USER, flags: EV_ERROR, data: ENOENT, udata: 77 },
    ]);
    expect(kqueueOf(kq).knoteCount).toBe(1);
  });

  test('K16: a receipt is such a record with data 0', () => {
    const world = new KqueueWorld();
    const call = world.startKevent(world.kqueue(), {
      changes: [change(EVFILT_USER, 1, EV_ADD | EV_RECEIPT)],
    });
    expect(call.events).toMatchObject([{ ident: 1, flags: EV_ERROR, data: 0 }]);
  });

  test('K17: after a record the call ends: no events, no waiting', () => {
    const { world, kq } = withReady(1);
    const receipt = change(EVFILT_USER, 9, EV_ADD | EV_RECEIPT);
    const call = world.startKevent(kq, { changes: [receipt], timeout: null });
    expect(call.idents).toEqual([9]);
    expect(world.idents(kq)).toEqual([0]);
  });

  test('K18: an error whose record cannot be stored ends the list with that error', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const changes = [change(EVFILT_USER, 5, EV_DELETE), change(EVFILT_USER, 1)];
    const call = world.startKevent(kq, { changes, isUnwritable: () => true });
    expect(call.result).toBe(-ENOENT);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K19: an error without room fails the call and stores nothing; a receipt is skipped', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const failing = change(EVFILT_USER, 5, EV_DELETE);
    const none = world.startKevent(kq, { changes: [failing], eventCount: 0 });
    expect([none.result, none.events]).toEqual([-ENOENT, []]);
    const receipts = [1, 2, 3].map((ident) => change(EVFILT_USER, ident, EV_ADD | EV_RECEIPT));
    const one = world.startKevent(kq, { changes: receipts, eventCount: 1 });
    expect([one.result, one.idents, kqueueOf(kq).knoteCount]).toEqual([1, [1], 3]);
    const changes = [change(EVFILT_USER, 7, EV_DELETE), failing, change(EVFILT_USER, 8)];
    const full = world.startKevent(kq, { changes, eventCount: 1 });
    expect([full.result, full.events.length, kqueueOf(kq).knoteCount]).toEqual([-ENOENT, 1, 3]);
  });

  test('K20: a receipt that cannot be stored is EFAULT', () => {
    const world = new KqueueWorld();
    const changes = [change(EVFILT_USER, 1, EV_ADD | EV_RECEIPT)];
    expect(world.startKevent(world.kqueue(), { changes, isUnwritable: () => true }).result).toBe(-EFAULT);
  });

  test('K21: fflags in a record: 0 for a new knote, then the caller’s, and its low 24 bits for USER', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const receipt = EV_ADD | EV_RECEIPT;
    const fflagsOf = (filter: number, ident: number, fflags: number) =>
      world.startKevent(kq, { changes: [change(filter, ident, receipt, { fflags })] }).events[0]!.fflags;
    expect(fflagsOf(EVFILT_PROC, 500, NOTE_EXIT)).toBe(0);
    expect(fflagsOf(EVFILT_PROC, 500, NOTE_EXIT)).toBe(NOTE_EXIT);
    expect(fflagsOf(EVFILT_USER, 1, NOTE_FFCOPY | 5)).toBe(0);
    expect(fflagsOf(EVFILT_USER, 1, NOTE_FFCOPY | NOTE_TRIGGER | 6)).toBe(6);
  });
});

describe('waiting', () => {
  test('K24, K25: a timeout starts after the changes, passes in full, and is no error', () => {
    const world = new KqueueWorld();
    const call = world.startKevent(world.kqueue(), { changes: users(1, 2), timeout: 50 });
    expect(call.waitMessage).toBe('kqread');
    world.advance(49.9);
    expect(call.isBlocked).toBe(true);
    world.advance(0.1);
    expect(call.result).toBe(0);
  });

  test('K24: without a timeout a call waits for ever, and with a zero one not at all', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    expect(world.startKevent(kq, { timeout: 0 }).result).toBe(0);
    const call = world.startKevent(kq, { timeout: null });
    world.advance(10 ** 9);
    expect(call.isBlocked).toBe(true);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered));
    expect(call.idents).toEqual([1]);
  });

  test('K26: a negative timeout polls, and nanoseconds have no range', () => {
    const { world, kq } = withReady(1);
    expect(world.startKevent(kq, { timeout: { seconds: -1, nanoseconds: 0 } }).result).toBe(1);
    const empty = world.kqueue();
    expect(world.startKevent(empty, { timeout: { seconds: -1, nanoseconds: 0 } }).result).toBe(0);
    const call = world.startKevent(empty, { timeout: { seconds: 0, nanoseconds: 3_000_000_000 } });
    world.advance(2999);
    expect(call.isBlocked).toBe(true);
    world.advance(1);
    expect(call.result).toBe(0);
  });

  test('K27: a wait of 1 ms lasts no less', () => {
    const world = new KqueueWorld();
    const call = world.startKevent(world.kqueue(), { timeout: 1 });
    world.advance(0.999);
    expect(call.isBlocked).toBe(true);
    world.advance(0.002);
    expect(call.result).toBe(0);
  });

  test('K28: a timeout of 48 hours is waited out', () => {
    const world = new KqueueWorld();
    const hourMs = 3_600_000;
    const call = world.startKevent(world.kqueue(), { timeout: 48 * hourMs });
    for (let hour = 0; hour < 47; hour++) {
      world.advance(hourMs);
      expect(world.kernel.callouts.nextDeadlineMs() - world.host.clock.nowMs).toBeLessThanOrEqual(
        24 * hourMs,
      );
      expect(call.isBlocked).toBe(true);
    }
    world.advance(hourMs);
    expect(call.result).toBe(0);
  });

  test('K29: a signal ends a wait with EINTR, but not a call that finds events', () => {
    const { world, kq } = withReady(1);
    const waiting = world.startKevent(world.kqueue(), { timeout: null });
    waiting.signal();
    expect(waiting.result).toBe(-EINTR);
    const call = world.keventCall(kq, { timeout: null, eventCount: 10 });
    call.thread.interrupted = true;
    world.startCall(call);
    expect(call.result).toBe(1);
  });

  test('K34: a call with an event does not wait for more', () => {
    const { world, kq } = withReady(1);
    expect(world.startKevent(kq, { eventCount: 10, timeout: null }).result).toBe(1);
  });

  test('K35: a knote that is no longer true does not end a wait', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const [near, far] = world.pair();
    world.must(kq, change(EVFILT_READ, world.descriptor(near)));
    world.write(far, 'abc');
    world.read(near, 3);
    const call = world.startKevent(kq, { timeout: 100 });
    expect([call.isBlocked, kqueueOf(kq).count]).toEqual([true, 0]);
    world.write(far, 'abc');
    expect(call.result).toBe(1);
    world.read(near, 3);
    const timed = world.startKevent(kq, { timeout: 100 });
    world.advance(100);
    expect(timed.result).toBe(0);
  });

  test('K35: a disabled knote does not end a wait, and one woken for nothing waits only the rest', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    const call = world.startKevent(kq, { timeout: 100 });
    world.advance(60);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_DISABLE, triggered));
    expect(call.isBlocked).toBe(true);
    world.advance(39);
    expect(call.isBlocked).toBe(true);
    world.advance(1);
    expect(call.result).toBe(0);
  });

  test('K36: spurious wake-ups neither end a call nor stop it; the log tells of them once', () => {
    const world = new KqueueWorld();
    const kq = world.kqueue();
    world.tune('kern.kq_checkloop', 1000);
    const call = world.startKevent(kq, { timeout: null });
    const enable = change(EVFILT_USER, 1, EV_ENABLE, triggered);
    world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_DISABLE));
    for (let round = 0; round < 2500; round++) {
      world.kernel.scheduler.enqueue(world.keventCall(kq, { changes: [enable], eventCount: 0 }).thread);
      world.kernel.scheduler.enqueue(
        world.keventCall(kq, { changes: [change(EVFILT_USER, 1, EV_DISABLE)], eventCount: 0 }).thread,
      );
      world.kernel.scheduler.run();
    }
    expect(call.isBlocked).toBe(true);
    expect(world.host.logged.length).toBe(1);
    world.must(kq, enable);
    expect(call.idents).toEqual([1]);
  });
});

describe('collecting', () => {
  test('K30: events that cannot be stored are EFAULT and are there again', () => {
    const { world, kq } = withReady(3, EV_ADD | EV_ONESHOT);
    world.must(kq, change(EVFILT_USER, 3, EV_ADD | EV_CLEAR, { ...triggered, data: 4 }));
    expect(world.startKevent(kq, { isUnwritable: () => true }).result).toBe(-EFAULT);
    kqueueOf(kq).checkInvariants();
    expect(kqueueOf(kq).count).toBe(4);
    expect(world.collect(kq)).toMatchObject([
      { ident: 0 },
      { ident: 1 },
      { ident: 2 },
      { ident: 3, data: 4 },
    ]);
    expect(world.collect(kq)).toEqual([]);
  });

  test('K30: batches that were stored before the fault are the result', () => {
    const { world, kq } = withReady(20, EV_ADD | EV_ONESHOT);
    const call = world.startKevent(kq, { isUnwritable: (stored) => stored >= 8 });
    expect([call.result, call.events.length]).toEqual([8, 8]);
    expect(world.idents(kq)).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  test('K31: batches go on until no more are ready', () => {
    const { world, kq } = withReady(10);
    expect(world.idents(kq, 20)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const many = withReady(24);
    expect(many.world.idents(many.kq, 30).length).toBe(24);
    expect(many.world.idents(many.kq, 24).length).toBe(24);
  });

  test('K32: short lists go round fairly', () => {
    const { world, kq } = withReady(10);
    const rounds = [world.idents(kq, 4), world.idents(kq, 4), world.idents(kq, 4)];
    expect(rounds).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 0, 1],
    ]);
  });

  test('K33: no level-triggered knote comes twice from one call', () => {
    const { world, kq } = withReady(1);
    expect(world.idents(kq, 100)).toEqual([0]);
    const eight = withReady(8);
    expect(eight.world.idents(eight.kq, 100)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
