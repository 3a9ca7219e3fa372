import fc from 'fast-check';
import { expect, test } from 'vitest';

import { type Callout, CalloutQueue } from '../../src/kern/callout.ts';
import { FakeClock } from '../support/engine.ts';

function queueAt(nowMs: number): { clock: FakeClock; queue: CalloutQueue; fired: string[] } {
  const clock = new FakeClock();
  clock.nowMs = nowMs;
  return { clock, queue: new CalloutQueue(clock), fired: [] };
}

test('callouts fire in order of their deadlines, equal ones in order of scheduling', () => {
  const { clock, queue, fired } = queueAt(100);
  for (const [name, delayMs] of [
    ['c', 30],
    ['a', 10],
    ['d', 30],
    ['b', 20],
    ['e', 30],
  ] as const) {
    queue.schedule(delayMs, () => fired.push(name));
  }
  expect(queue.nextDeadlineMs()).toBe(110);
  clock.advance(30);
  queue.runExpired();
  expect(fired).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(queue.size).toBe(0);
  expect(queue.nextDeadlineMs()).toBe(Infinity);
});

test('a callout never fires early, not by a fraction of a millisecond', () => {
  const { clock, queue, fired } = queueAt(0.25);
  queue.schedule(1.5, () => fired.push('a'));
  clock.nowMs = 1.7499;
  queue.runExpired();
  expect(fired).toEqual([]);
  clock.nowMs = 1.75;
  queue.runExpired();
  expect(fired).toEqual(['a']);
});

test('what a callout schedules runs in the same call if it is due, else later', () => {
  const { clock, queue, fired } = queueAt(0);
  queue.schedule(5, () => {
    fired.push('first');
    queue.schedule(0, () => fired.push('at once'));
    queue.schedule(1, () => fired.push('later'));
  });
  clock.advance(5);
  queue.runExpired();
  expect(fired).toEqual(['first', 'at once']);
  clock.advance(1);
  queue.runExpired();
  expect(fired).toEqual(['first', 'at once', 'later']);
});

test('a cancelled callout does not fire, and cancelling a fired or cancelled one does nothing', () => {
  const { clock, queue, fired } = queueAt(0);
  const first = queue.schedule(1, () => fired.push('first'));
  const second = queue.schedule(2, () => fired.push('second'));
  const third = queue.schedule(3, () => fired.push('third'));
  queue.cancel(second);
  queue.cancel(second);
  clock.advance(1);
  queue.runExpired();
  queue.cancel(first);
  expect(queue.size).toBe(1);
  expect([first.position, second.position, third.position]).toEqual([-1, -1, 0]);
  clock.advance(9);
  queue.runExpired();
  expect(fired).toEqual(['first', 'third']);
});

test('a callout can cancel another that is due in the same call', () => {
  const { clock, queue, fired } = queueAt(0);
  const victim: { callout?: Callout } = {};
  queue.schedule(1, () => {
    fired.push('first');
    queue.cancel(victim.callout!);
  });
  victim.callout = queue.schedule(1, () => fired.push('victim'));
  clock.advance(1);
  queue.runExpired();
  expect(fired).toEqual(['first']);
});

type Command = { schedule: number } | { cancel: number } | { advance: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ schedule: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ cancel: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ advance: fc.nat(15) }) },
);

test('any mixture of scheduling, cancelling and time agrees with a sorted list', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200, size: 'max' }), (commands) => {
      const clock = new FakeClock();
      const queue = new CalloutQueue(clock);
      const callouts: Callout[] = [];
      let pending: { id: number; deadlineMs: number }[] = [];
      const fired: number[] = [];
      for (const step of commands) {
        if ('schedule' in step) {
          const id = callouts.length;
          callouts.push(queue.schedule(step.schedule, () => fired.push(id)));
          pending.push({ id, deadlineMs: clock.nowMs + step.schedule });
          // A stable sort keeps equal deadlines in order of scheduling.
          pending.sort((a, b) => a.deadlineMs - b.deadlineMs);
        } else if ('cancel' in step) {
          if (callouts.length === 0) continue;
          const id = step.cancel % callouts.length;
          queue.cancel(callouts[id]!);
          pending = pending.filter((entry) => entry.id !== id);
        } else {
          clock.advance(step.advance);
          fired.length = 0;
          queue.runExpired();
          expect(fired).toEqual(pending.filter((e) => e.deadlineMs <= clock.nowMs).map((e) => e.id));
          pending = pending.filter((entry) => entry.deadlineMs > clock.nowMs);
        }
        expect(queue.size).toBe(pending.length);
        expect(queue.nextDeadlineMs()).toBe(pending[0]?.deadlineMs ?? Infinity);
      }
      for (const callout of callouts) {
        expect(callout.position >= 0).toBe(pending.some((entry) => callouts[entry.id] === callout));
      }
    }),
    { numRuns: 300 },
  );
});
