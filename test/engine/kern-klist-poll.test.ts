import { describe, expect, test } from 'vitest';

import { File, FREAD } from '../../src/kern/file.ts';
import { EV_ONESHOT, EVFILT_READ, type FilterOps, Klist } from '../../src/kern/klist.ts';
import { Poller, PollQueue } from '../../src/kern/poll.ts';
import { anonymousPipeOps } from '../../src/pipe/anonymous.ts';
import { TestKnote, user } from '../support/engine.ts';

/** A knote whose filter says `active`, and remembers its hints. */
function knoteThatIs(active: boolean): { knote: TestKnote; hints: number[] } {
  const knote = new TestKnote(new File(FREAD, anonymousPipeOps, user), EVFILT_READ);
  const hints: number[] = [];
  const filterOps: FilterOps = {
    detach: () => undefined,
    event: (_, hint) => {
      hints.push(hint);
      return active;
    },
  };
  knote.filterOps = filterOps;
  return { knote, hints };
}

describe('klist', () => {
  test('a notification asks every filter with its hint and activates the knotes that are active', () => {
    const list = new Klist();
    const active = knoteThatIs(true);
    const idle = knoteThatIs(false);
    expect(list.size).toBe(0);
    list.notify(1);
    list.add(active.knote);
    list.add(idle.knote);
    list.add(active.knote);
    expect(list.size).toBe(2);
    list.notify(7);
    expect([active.hints, idle.hints]).toEqual([[7], [7]]);
    expect([active.knote.activations, idle.knote.activations]).toEqual([1, 0]);
    expect(active.knote.isOneShot).toBe(false);
  });

  test('a removed knote hears nothing', () => {
    const list = new Klist();
    const { knote, hints } = knoteThatIs(true);
    list.remove(knote);
    list.add(knote);
    list.remove(knote);
    list.notify(0);
    list.clear();
    expect(hints).toEqual([]);
    expect(knote.isOneShot).toBe(false);
  });

  test('clearing makes every knote one-shot, evaluates it once more and lets go of it', () => {
    const list = new Klist();
    const active = knoteThatIs(true);
    const idle = knoteThatIs(false);
    list.clear();
    for (const { knote } of [active, idle]) list.add(knote);
    list.clear();
    expect(list.size).toBe(0);
    expect([active.hints, idle.hints]).toEqual([[0], [0]]);
    expect([active.knote.activations, idle.knote.activations]).toEqual([1, 0]);
    expect([active.knote.flags & EV_ONESHOT, idle.knote.flags & EV_ONESHOT]).toEqual([
      EV_ONESHOT,
      EV_ONESHOT,
    ]);
    list.notify(0);
    list.clear();
    expect(active.knote.activations).toBe(1);
  });

  test('a knote may leave the list while it is being notified', () => {
    const list = new Klist();
    const first = knoteThatIs(true);
    const second = knoteThatIs(true);
    first.knote.activate = () => {
      list.remove(first.knote);
      list.remove(second.knote);
    };
    // Newest first: the first to be visited takes both off.
    list.add(second.knote);
    list.add(first.knote);
    list.notify(0);
    expect(second.knote.activations).toBe(0);
    expect(list.size).toBe(0);
  });
});

describe('poll queues', () => {
  test('a poller hears once, however often it was recorded and notified', () => {
    const queue = new PollQueue();
    let heard = 0;
    const poller = new Poller(() => heard++);
    queue.wakeup();
    expect(poller.isWaiting).toBe(false);
    queue.record(poller);
    queue.record(poller);
    expect([queue.size, poller.isWaiting]).toEqual([1, true]);
    queue.wakeup();
    queue.wakeup();
    expect(heard).toBe(1);
    expect([queue.size, poller.isWaiting]).toEqual([0, false]);
  });

  test('one notification takes a poller off all its queues', () => {
    const queues = [new PollQueue(), new PollQueue(), new PollQueue()] as const;
    let heard = 0;
    const poller = new Poller(() => heard++);
    const other = new Poller(() => (heard += 100));
    for (const queue of queues) queue.record(poller);
    queues[0].record(other);
    queues[1].wakeup();
    expect(heard).toBe(1);
    expect(queues.map((queue) => queue.size)).toEqual([1, 0, 0]);
    queues[0].wakeup();
    expect(heard).toBe(101);
  });

  test('a cancelled poller hears nothing and can be recorded again', () => {
    const queue = new PollQueue();
    let heard = 0;
    const poller = new Poller(() => heard++);
    queue.leave(poller);
    queue.record(poller);
    poller.cancel();
    queue.wakeup();
    expect(heard).toBe(0);
    queue.record(poller);
    queue.wakeup();
    expect(heard).toBe(1);
  });

  test('a poller that polls again within its notification waits for the next one', () => {
    const queue = new PollQueue();
    let heard = 0;
    const poller: Poller = new Poller(() => {
      heard++;
      queue.record(poller);
    });
    queue.record(poller);
    queue.wakeup();
    expect(heard).toBe(1);
    expect(queue.size).toBe(1);
    queue.wakeup();
    expect(heard).toBe(2);
  });
});
