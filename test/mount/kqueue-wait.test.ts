import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver, PendingCall } from '../support/driver-client.ts';
import { EPOLLET, LINUX_POLLIN, LINUX_POLLOUT } from '../support/driver-protocol.ts';
import { EV_ADD, EVFILT_USER, NOTE_TRIGGER } from '../support/kevent-records.ts';
import { BinaryQueue, TextQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

const EINTR = -4;
const WAIT_MS = 10_000;

describeMount('waiting for a kqueue', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  let c: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    [a, b, c] = await Promise.all([mount.driver(), mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  /** A named queue that `a` writes to, and its path. */
  async function named(name: string): Promise<{ path: string; queue: TextQueue }> {
    await mount.output(`touch kqueues/${name}`);
    return { path: `kqueues/${name}`, queue: await TextQueue.open(a, `kqueues/${name}`) };
  }

  /** Reads that wait, one in each driver. */
  async function waiters(path: string, drivers: readonly Driver[]): Promise<PendingCall[]> {
    const calls: PendingCall[] = [];
    for (const driver of drivers) {
      const fd = await driver.open(path, 'rw');
      calls.push(driver.begin({ call: 'read', fd, count: 4096 }));
    }
    await mount.untilBlocked(path, 'kqread', drivers.length);
    return calls;
  }

  async function polling(driver: Driver, fd: number): Promise<PendingCall> {
    const call = driver.begin({ call: 'poll', fds: [{ fd, events: LINUX_POLLIN }], timeoutMs: WAIT_MS });
    await driver.untilPolling();
    return call;
  }

  test('K24: a read waits for ever, until an event comes', async () => {
    const { path, queue } = await named('forever');
    const [read] = await waiters(path, [b]);
    await queue.change('add user 1 oneshot trigger');
    expect((await read!.promise).text).toBe('user 1 data=0 flags=oneshot fflags=0 udata=-\n');
  });

  test('K24: a read of records waits too', async () => {
    const fd = await b.open('kqueue.bin', 'rw');
    const queue = await BinaryQueue.open(a);
    const other = await a.open(await mount.fifo('records'), 'rwn');
    expect(await queue.change({ ident: other, filter: -1, flags: EV_ADD })).toBe(1);
    await a.setNonBlocking(queue.fd, false);
    const read = a.begin({ call: 'readHex', fd: queue.fd, count: 64 });
    await mount.untilBlocked('kqueue.bin', 'kqread');
    await mount.output('exec 4<>pipes/records; echo hi >&4');
    expect((await read.promise).result).toBe(32);
    await b.close(fd);
  });

  test('K24, K25: poll with a timeout ends with 0, not before its time', async () => {
    const { queue } = await named('timeout');
    await queue.change('add user 1');
    const fds = [{ fd: queue.fd, events: LINUX_POLLIN }];
    const { result, elapsedMs } = await a.call({ call: 'poll', fds, timeoutMs: 50 });
    expect(result).toBe(0);
    expect(elapsedMs).toBeGreaterThanOrEqual(50);
  });

  test('K29: a signal ends a wait with EINTR', async () => {
    const { path } = await named('signal');
    const [read] = await waiters(path, [b]);
    b.interrupt();
    expect((await read!.promise).result).toBe(EINTR);
    expect(await mount.blockedCount(path, 'kqread')).toBe(0);
  });

  test('K29: kill -9 ends a process that waits in read', async () => {
    const { path, queue } = await named('killed');
    const reader = mount.start(`exec 3<>${path}; echo go; read -r line <&3`);
    await mount.untilBlocked(path, 'kqread');
    reader.kill('SIGKILL');
    expect((await reader.finished()).signal).toBe('SIGKILL');
    await mount.untilBlocked(path, 'kqread', 0);
    expect(await queue.after('add user 1 oneshot trigger')).toHaveLength(1);
  });

  test('K29: kill -9 ends a process that waits in poll', async () => {
    const { path, queue } = await named('killed-polling');
    const driver = await mount.driver();
    await polling(driver, await driver.open(path, 'rw'));
    driver.kill();
    await driver.finished();
    expect(await queue.after('add user 1 oneshot trigger')).toHaveLength(1);
  });

  test('K35: poll and read go on waiting when what was pending is no longer true', async () => {
    const { path, queue } = await named('spurious');
    const [read] = await waiters(path, [b]);
    const polled = await polling(c, await c.open(path, 'rw'));
    await queue.change('add user 1 trigger disable', 'add user 2 clear', 'delete user 1');
    expect([read!.result, polled.result]).toEqual([null, null]);
    await queue.change('modify user 2 trigger');
    expect((await read!.promise).text).toContain('user 2 ');
    c.interrupt();
    await polled.promise;
  });

  test('K123: a waiter that adding something disabled has woken finds nothing and waits on', async () => {
    const { path, queue } = await named('disabled');
    const [read] = await waiters(path, [b]);
    await queue.change('add user 1 trigger disable');
    await mount.untilBlocked(path, 'kqread');
    expect(read!.result).toBeNull();
    await queue.change('enable user 1');
    expect((await read!.promise).text).toContain('user 1 ');
  });

  test('K72, K73: two events release two of three waiters, whatever kq_wakeup_one says', async () => {
    for (const one of [1, 0]) {
      await mount.setSysctl('kern.kq_wakeup_one', one);
      const { path, queue } = await named(`several${one}`);
      const calls = await waiters(path, [b, c, await mount.driver()]);
      await queue.change('add user 1 oneshot trigger');
      await until(() => calls.filter((call) => call.result !== null).length === 1);
      await mount.untilBlocked(path, 'kqread', 2);
      await queue.change('add user 2 oneshot trigger');
      await until(() => calls.filter((call) => call.result !== null).length === 2);
      await queue.change('add user 3 oneshot trigger');
      const texts = await Promise.all(calls.map(async (call) => (await call.promise).text!.split(' ')[1]));
      expect(texts.sort()).toEqual(['1', '2', '3']);
    }
    await mount.setSysctl('kern.kq_wakeup_one', 1);
  });

  test('K9: closing the descriptor elsewhere leaves a waiting read its queue and its events', async () => {
    const { path, queue } = await named('lives-on');
    const pipe = await mount.fifo('lives-on');
    const fd = await a.open(pipe, 'rwn');
    await queue.change(`add read ${pipe}`);
    const [read] = await waiters(path, [b]);
    await queue.close();
    await mount.output(`rm ${path}`);
    await a.write(fd, 'x');
    expect((await read!.promise).text).toBe(`read ${pipe} data=1 flags=- fflags=0 udata=-\n`);
  });

  test('K2, K6: poll says readable while events are pending, and writable always', async () => {
    const { queue } = await named('polled');
    expect(await a.poll(queue.fd, LINUX_POLLIN | LINUX_POLLOUT)).toBe(LINUX_POLLOUT);
    await queue.change('add user 1 clear trigger');
    expect(await a.poll(queue.fd, LINUX_POLLIN | LINUX_POLLOUT)).toBe(LINUX_POLLIN | LINUX_POLLOUT);
    await queue.take();
    expect(await a.poll(queue.fd, LINUX_POLLIN)).toBe(0);
    await queue.change('delete user 9');
    expect(await a.poll(queue.fd, LINUX_POLLIN)).toBe(LINUX_POLLIN);
    await queue.take();
    expect(await a.poll(queue.fd, LINUX_POLLIN)).toBe(0);
  });

  test('K7: poll is woken by an event, select and epoll too', async () => {
    const { path, queue } = await named('woken');
    const fd = await b.open(path, 'rwn');
    const wake = async (call: PendingCall, ident: number) => {
      await b.untilPolling();
      expect(call.result).toBeNull();
      await queue.change(`add user ${ident} clear trigger`);
      const { result, elapsedMs } = await call.promise;
      expect(result).toBe(1);
      expect(elapsedMs).toBeLessThan(WAIT_MS / 2);
      await queue.take();
    };
    await wake(b.begin({ call: 'poll', fds: [{ fd, events: LINUX_POLLIN }], timeoutMs: WAIT_MS }), 1);
    await wake(b.begin({ call: 'select', reads: [fd], writes: [], timeoutMs: WAIT_MS }), 2);
    for (const events of [LINUX_POLLIN, LINUX_POLLIN + EPOLLET]) {
      const { result: epfd } = await b.call({ call: 'epollCreate' });
      expect((await b.call({ call: 'epollAdd', epfd, fd, events })).result).toBe(0);
      await wake(b.begin({ call: 'epollWait', epfd, timeoutMs: WAIT_MS }), events === LINUX_POLLIN ? 3 : 4);
      await b.close(epfd);
    }
  });

  test('K24: write, poll with a timeout and read are kevent', async () => {
    const queue = await BinaryQueue.open(a);
    const period = { ident: 1, filter: -7, flags: EV_ADD, data: 30 };
    await queue.change(period, { ident: 2, filter: EVFILT_USER, flags: EV_ADD });
    expect(await a.poll(queue.fd, LINUX_POLLIN)).toBe(0);
    expect(await a.poll(queue.fd, LINUX_POLLIN, WAIT_MS)).toBe(LINUX_POLLIN);
    expect(await queue.take()).toMatchObject([{ ident: 1n, filter: -7, flags: 0x21 }]);
    await queue.change({ ident: 2, filter: EVFILT_USER, flags: 0, fflags: NOTE_TRIGGER });
    expect(await a.poll(queue.fd, LINUX_POLLIN, WAIT_MS)).toBe(LINUX_POLLIN);
  });

  test('K71: deleting and adding one knote from two processes never stalls', async () => {
    const { path, queue } = await named('contended');
    const other = await TextQueue.open(b, path);
    const hammer = async (side: TextQueue) => {
      for (let round = 0; round < 100; round++) await side.after('add user 1 trigger clear', 'delete user 1');
    };
    const startMs = performance.now();
    await Promise.all([hammer(queue), hammer(other)]);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });
});
