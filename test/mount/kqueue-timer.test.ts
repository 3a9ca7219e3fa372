import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { EV_ADD, EV_ONESHOT, EVFILT_TIMER } from '../support/kevent-records.ts';
import { BinaryQueue, TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

/** How late an event may be told on a machine with other work. */
const SLACK_MS = 400;

describeMount('timers of a kqueue', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  /** Blocking reads: they end when a timer does. */
  async function blocking(): Promise<TextQueue> {
    const queue = await TextQueue.open(a);
    await a.setNonBlocking(queue.fd, false);
    return queue;
  }

  /** Waits for the queue `name` to have a pending event, without taking it. */
  async function pending(name: string): Promise<void> {
    await until(async () => (await mount.output(`stat -c %s kqueues/${name}`)) !== '0\n');
  }

  async function named(name: string): Promise<TextQueue> {
    await mount.output(`touch kqueues/${name}`);
    return TextQueue.open(a, `kqueues/${name}`);
  }

  function dataOf(line: string): number {
    return Number(/data=(\d+)/.exec(line)![1]);
  }

  test('K76, K78, K79: a one-shot timer fires once, never early, and shows clear', async () => {
    const queue = await blocking();
    for (const periodMs of [1, 5, 20, 60]) {
      const startMs = performance.now();
      await queue.change(`add timer 7 data=${periodMs} oneshot`);
      expect(await queue.take()).toEqual(['timer 7 data=1 flags=clear,oneshot fflags=0 udata=-']);
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(periodMs);
      expect(await queue.after('delete timer 7')).toEqual(['error timer 7 errno=ENOENT udata=-']);
    }
  });

  test('K27, K79: a timer of 1 ms never fires early', async () => {
    const queue = await blocking();
    for (let round = 0; round < 100; round++) {
      const startMs = performance.now();
      await queue.change('add timer 1 data=1ms oneshot');
      await queue.take();
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(1);
    }
  });

  test('K79: a period of 0 or less is one tick', async () => {
    const queue = await blocking();
    for (const period of [0, -5]) {
      const startMs = performance.now();
      expect(await queue.after(`add timer 1 oneshot data=${period}`)).toHaveLength(1);
      expect(performance.now() - startMs).toBeLessThan(SLACK_MS);
    }
  });

  test('K80, K85: a timer of 100 ms gives 49 or 50 expirations in 5 s, and none before its time', async () => {
    const queue = await blocking();
    const startMs = performance.now();
    await queue.change('add timer 1 data=100', 'add timer 2 data=5s oneshot');
    let total = 0;
    let elapsedMs = 0;
    for (let isOver = false; !isOver;) {
      for (const line of await queue.take()) {
        if (line.startsWith('timer 2 ')) isOver = true;
        else total += dataOf(line);
      }
      elapsedMs = performance.now() - startMs;
      expect(total).toBeLessThanOrEqual(Math.floor(elapsedMs / 100));
    }
    // 50, unless the machine was late by more than a period: those are told too.
    expect(elapsedMs).toBeGreaterThanOrEqual(5000);
    expect(total).toBeGreaterThanOrEqual(49);
    await queue.close();
  });

  test('K80: a timer of 1 ms never gives more expirations than milliseconds have passed, and does not fall behind', async () => {
    const queue = await blocking();
    const startMs = performance.now();
    await queue.change('add timer 1 data=1', 'add timer 2 data=1s oneshot');
    let total = 0;
    for (let isOver = false; !isOver;) {
      for (const line of await queue.take()) {
        if (line.startsWith('timer 2 ')) isOver = true;
        else total += dataOf(line);
      }
      expect(total).toBeLessThanOrEqual(performance.now() - startMs);
    }
    expect(total).toBeGreaterThanOrEqual(999);
    await queue.close();
  });

  test('K77, K86: expirations add up until they are told, and come once', async () => {
    const queue = await named('adds-up');
    const startMs = performance.now();
    await queue.change('add timer 1 data=50ms');
    await until(() => performance.now() - startMs > 220);
    const lines = await queue.take();
    expect(lines).toHaveLength(1);
    expect(dataOf(lines[0]!)).toBeGreaterThanOrEqual(3);
    // What was told is not told again: no more than have been until now, however long the next step takes.
    const later = await queue.take();
    const told = [...lines, ...later].reduce((sum, line) => sum + dataOf(line), 0);
    expect(told).toBeLessThanOrEqual((performance.now() - startMs) / 50);
  });

  test('K81, K82: a new period holds from the next expiry on, and the count stays', async () => {
    const queue = await blocking();
    const startMs = performance.now();
    await queue.change('add timer 1 data=300');
    await queue.change('add timer 1 data=1m udata=slow');
    expect(await queue.take()).toEqual(['timer 1 data=1 flags=clear fflags=0 udata=slow']);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(300);
    expect(performance.now() - startMs).toBeLessThan(5000);
    const kept = await named('kept');
    await kept.change('add timer 1 data=20');
    await pending('kept');
    expect(dataOf((await kept.after('add timer 1 data=1m'))[0]!)).toBeGreaterThanOrEqual(1);
  });

  test('K83, K122: a disabled timer counts on with its period, and tells the sum when it is enabled', async () => {
    const queue = await named('counting');
    const startMs = performance.now();
    await queue.change('add timer 1 data=50', 'disable timer 1');
    await until(() => performance.now() - startMs > 220);
    expect(await queue.take()).toEqual([]);
    const [line] = await queue.after('enable timer 1');
    expect(dataOf(line!)).toBeGreaterThanOrEqual(3);
    expect(dataOf(line!)).toBeLessThanOrEqual((performance.now() - startMs) / 50);
    await queue.close();
  });

  test('K84, K87: kq_calloutmax limits the timers of all queues; delete and close free their places', async () => {
    const other = await mount.driver();
    const used = (await mount.table('knotes')).filter((row) => row['filter'] === 'timer').length;
    await mount.setSysctl('kern.kq_calloutmax', used + 2);
    const [first, second] = [await TextQueue.open(a), await TextQueue.open(other)];
    const refused = 'error timer 3 errno=ENOMEM udata=-';
    expect(await first.after('add timer 1 data=1m')).toEqual([]);
    expect(await second.after('add timer 2 data=1m')).toEqual([]);
    expect(await second.after('add timer 3 data=1m')).toEqual([refused]);
    expect(await first.after('delete timer 1')).toEqual([]);
    expect(await second.after('add timer 3 data=1m')).toEqual([]);
    expect(await first.after('add timer 3 data=1m')).toEqual([refused]);
    other.kill();
    await other.finished();
    await until(async () => (await first.after('add timer 3 data=1m')).length === 0);
    await mount.setSysctl('kern.kq_calloutmax', 4096);
  });

  test('K121: fflags do not matter, and the longest periods are accepted', async () => {
    const queue = await blocking();
    expect(await queue.after('add timer 1 data=1 fflags=0xff oneshot')).toEqual([
      'timer 1 data=1 flags=clear,oneshot fflags=0 udata=-',
    ]);
    await a.setNonBlocking(queue.fd);
    expect(
      await queue.after(`add timer 2 data=${2n ** 62n}`, 'add timer 3 data=9223372036854775807'),
    ).toEqual([]);
    const records = await BinaryQueue.open(a);
    const longest = { ident: 4, filter: EVFILT_TIMER, flags: EV_ADD | EV_ONESHOT, data: 2n ** 63n - 1n };
    expect(await records.after(longest)).toEqual([]);
  });

  test('periods can be given in ms, s and m', async () => {
    const queue = await blocking();
    const startMs = performance.now();
    await queue.change('add timer 1 data=1m', 'add timer 2 data=1s oneshot', 'add timer 3 data=30ms oneshot');
    expect((await queue.take())[0]).toContain('timer 3 data=1 ');
    expect((await queue.take())[0]).toContain('timer 2 data=1 ');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(1000);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });
});
