import { describe, expect, test } from 'vitest';

import { ENOENT, ENOMEM } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import { EV_ONESHOT, EVFILT_TIMER, EVFILT_VNODE } from '../../src/kern/klist.ts';
import { attachVnode } from '../../src/vfs/vnode-filters.ts';
import { LONGEST_PERIOD_MS } from '../../src/kqueue/filters/timer.ts';
import { EV_ADD, EV_CLEAR, EV_DELETE, EV_DISABLE, EV_ENABLE, NOTE_WRITE } from '../../src/kqueue/kevent.ts';
import { change, FakeNode, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

function setUp(): { world: KqueueWorld; kq: File } {
  const world = new KqueueWorld();
  return { world, kq: world.kqueue() };
}

function timer(data: number | bigint, flags = EV_ADD, ident = 1): ReturnType<typeof change> {
  return change(EVFILT_TIMER, ident, flags, { data });
}

/** Expirations reported now. */
function expirations(world: KqueueWorld, kq: File): number | bigint {
  return world.collect(kq)[0]?.data ?? 0;
}

describe('timers', () => {
  test('K76: a timer has an ident of the caller’s choice, and EV_CLEAR always on', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(20, EV_ADD, 7));
    world.advance(20);
    expect(world.collect(kq)).toMatchObject([{ ident: 7, data: 1, flags: EV_ADD | EV_CLEAR, fflags: 0 }]);
  });

  test('K77, K86: an event counts the expirations since the last, and does not come before the next', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(20));
    world.advance(110);
    expect(expirations(world, kq)).toBe(5);
    expect(world.collect(kq)).toEqual([]);
    world.advance(9);
    expect(world.collect(kq)).toEqual([]);
    world.advance(1);
    expect(expirations(world, kq)).toBe(1);
  });

  test('K78: a one-shot timer fires once and is gone', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(10, EV_ADD | EV_ONESHOT));
    world.advance(100);
    expect(expirations(world, kq)).toBe(1);
    expect(world.apply(kq, timer(0, EV_DELETE))).toBe(-ENOENT);
    expect(world.kqueues.calloutCount).toBe(0);
  });

  test('K79: a timer never fires early', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(1));
    for (let step = 1; step <= 5000; step++) {
      world.advance(0.13);
      expect(kqueueOf(kq).count).toBe(step * 0.13 >= 1 - 1e-9 ? 1 : 0);
      if (kqueueOf(kq).count === 1) break;
    }
    expect(expirations(world, kq)).toBe(1);
  });

  test.each([0, -5, -(2n ** 62n)])('K79 a period of %s is one tick', (data) => {
    const { world, kq } = setUp();
    world.must(kq, timer(data));
    expect(world.collect(kq)).toEqual([]);
    world.advance(2);
    expect(Number(expirations(world, kq))).toBeGreaterThanOrEqual(1);
  });

  test('K80: a periodic timer does not drift, however late it is noticed', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(100));
    let total = 0;
    for (let elapsed = 0; elapsed < 5000; elapsed += 7.3) {
      world.advance(7.3);
      total += Number(expirations(world, kq));
    }
    expect(total).toBe(50);
    world.advance(100_000);
    expect(expirations(world, kq)).toBe(1000);
  });

  test('K81: a new period holds from the next expiry on', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(500));
    world.advance(100);
    world.must(kq, timer(50));
    world.advance(399);
    expect(world.collect(kq)).toEqual([]);
    world.advance(1);
    expect(expirations(world, kq)).toBe(1);
    world.advance(150);
    expect(expirations(world, kq)).toBe(3);
  });

  test('[SEC-17] K77 timers whose events nobody collects do nothing until somebody does', () => {
    const { world, kq } = setUp();
    const { callouts } = world.kernel;
    for (let ident = 1; ident <= 3; ident++) world.must(kq, timer(1, EV_ADD, ident));
    expect(callouts.size).toBe(3);
    world.advance(1);
    expect([callouts.size, kqueueOf(kq).count]).toEqual([0, 3]);
    world.advance(999.5);
    expect(world.collect(kq).map(({ data }) => data)).toEqual([1000, 1000, 1000]);
    expect(callouts.size).toBe(3);
    world.advance(0.5);
    expect(world.collect(kq).map(({ data }) => data)).toEqual([1, 1, 1]);
    world.must(kq, change(EVFILT_TIMER, 1, EV_DISABLE), timer(1, EV_DELETE, 2));
    world.advance(10);
    expect([callouts.size, kqueueOf(kq).count]).toEqual([0, 1]);
    world.must(kq, change(EVFILT_TIMER, 1, EV_ENABLE));
    expect(world.collect(kq).map(({ data }) => data)).toEqual([10, 10]);
    expect(callouts.size).toBe(2);
  });

  test('K81: expirations that nobody has collected have the period that was', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(10));
    world.advance(10);
    world.advance(95);
    world.must(kq, timer(1000));
    world.advance(5 + 999);
    expect(expirations(world, kq)).toBe(11);
    world.advance(1);
    expect(expirations(world, kq)).toBe(1);
  });

  test('K77: a look just before the clock takes nothing away, and nothing comes twice', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(10));
    // The time has come, and the callout has not run.
    world.host.clock.advance(10);
    const [knote] = kqueueOf(kq).knotes();
    knote!.evaluate();
    expect(expirations(world, kq)).toBe(1);
    world.advance(0);
    expect(world.collect(kq)).toEqual([]);
    expect(kqueueOf(kq).count).toBe(0);
    world.advance(10);
    expect(expirations(world, kq)).toBe(1);
  });

  test('K82: a modification keeps the expirations not yet delivered', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(10));
    world.advance(30);
    world.must(kq, timer(1000));
    expect(expirations(world, kq)).toBe(3);
  });

  test('K83: a disabled timer goes on counting', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(20), timer(20, EV_DISABLE));
    world.advance(100);
    expect(world.collect(kq)).toEqual([]);
    world.must(kq, timer(20, EV_ENABLE));
    expect(expirations(world, kq)).toBe(5);
  });

  test('K84: a deleted timer stops and frees its place, and so do those of a closed kqueue', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(20), timer(20, EV_ADD, 2));
    expect([world.kqueues.calloutCount, world.kernel.callouts.size]).toEqual([2, 2]);
    world.must(kq, timer(0, EV_DELETE));
    expect([world.kqueues.calloutCount, world.kernel.callouts.size]).toEqual([1, 1]);
    world.advance(100);
    expect(world.idents(kq)).toEqual([2]);
    world.closeFile(kq);
    expect([world.kqueues.calloutCount, world.kernel.callouts.size]).toEqual([0, 0]);
  });

  test('K85: no expiry is lost, whatever is done with the timer meanwhile', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(3));
    let total = 0;
    for (let step = 0; step < 3000; step++) {
      world.advance(step % 5);
      if (step % 3 === 0) world.must(kq, timer(3, EV_DISABLE));
      if (step % 3 === 1) world.must(kq, timer(3, EV_ENABLE));
      if (step % 2 === 0) total += Number(expirations(world, kq));
    }
    world.must(kq, timer(3, EV_ENABLE));
    total += Number(expirations(world, kq));
    expect(total).toBe(2000);
  });

  test('K87: one timer more than kq_calloutmax, over all kqueues, is ENOMEM', () => {
    const { world, kq } = setUp();
    const other = world.kqueue();
    world.tune('kern.kq_calloutmax', 2);
    world.must(kq, timer(10), timer(10));
    world.must(other, timer(10));
    expect(world.apply(kq, timer(10, EV_ADD, 2))).toBe(-ENOMEM);
    expect(kqueueOf(kq).knoteCount).toBe(1);
    world.must(other, timer(0, EV_DELETE));
    world.must(kq, timer(10, EV_ADD, 2));
  });

  test('K121: timers ignore fflags', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 20, fflags: 0xff }));
    world.advance(20);
    expect(world.collect(kq)).toMatchObject([{ data: 1, fflags: 0 }]);
  });

  test('K121: a period beyond the range is accepted and saturates', () => {
    const { world, kq } = setUp();
    world.must(kq, timer(2n ** 62n));
    expect(world.kernel.callouts.nextDeadlineMs()).toBe(world.host.clock.nowMs + LONGEST_PERIOD_MS);
    world.advance(LONGEST_PERIOD_MS - 1);
    expect(world.collect(kq)).toEqual([]);
  });
});

describe('changes without EV_ADD', () => {
  test('K122: enabling and disabling with zeros leaves the period as it was', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 100, udata: 4 }));
    world.must(kq, timer(0, EV_DISABLE), timer(0, EV_ENABLE));
    world.advance(350);
    expect(world.collect(kq)).toMatchObject([{ data: 3, udata: 4 }]);
  });

  test('K122: and it leaves the notes of a VNODE knote', () => {
    const { world, kq } = setUp();
    const node = new FakeNode();
    const [file] = world.pair();
    file.ops = { ...file.ops, kqfilter: (_file, knote) => attachVnode(node, knote) };
    const fd = world.descriptor(file);
    world.must(kq, change(EVFILT_VNODE, fd, EV_ADD | EV_CLEAR, { fflags: NOTE_WRITE, udata: 3 }));
    world.must(kq, change(EVFILT_VNODE, fd, EV_DISABLE), change(EVFILT_VNODE, fd, EV_ENABLE));
    node.klist.notify(NOTE_WRITE);
    expect(world.collect(kq)).toMatchObject([{ fflags: NOTE_WRITE, udata: 3 }]);
  });
});
