import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver, PendingCall } from '../support/driver-client.ts';
import {
  type DriverResult,
  EPOLLET,
  LINUX_POLLHUP,
  LINUX_POLLIN,
  LINUX_POLLOUT,
  LINUX_POLLRDNORM,
  LINUX_POLLWRNORM,
} from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Ends, openEndsNonBlocking, readPattern } from '../support/pipe-ends.ts';

const EAGAIN = -11;
const BOTH = LINUX_POLLIN | LINUX_POLLOUT;
const WAIT_MS = 10_000;

describeMount('poll, select and epoll on pipes', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  /** A pipe with `cnt` bytes in it; the reader in `a`, the writer in `b`, both without blocking. */
  async function holding(name: string, cnt: number): Promise<Ends & { path: string }> {
    const path = await mount.fifo(name);
    const ends = await openEndsNonBlocking(a, b, path);
    if (cnt > 0) expect((await b.writePattern(ends.writer, cnt)).result).toBe(cnt);
    return { path, ...ends };
  }

  /** A pipe whose ring of 64 KiB is full. */
  async function full(name: string): Promise<Ends & { path: string }> {
    return holding(name, 65536);
  }

  async function epoll(driver: Driver, fd: number, events: number): Promise<number> {
    const { result: epfd } = await driver.call({ call: 'epollCreate' });
    expect((await driver.call({ call: 'epollAdd', epfd, fd, events })).result).toBe(0);
    return epfd;
  }

  /** The events of one descriptor in an epoll set, at once. */
  async function epollNow(driver: Driver, epfd: number): Promise<number> {
    const { events } = await driver.call({ call: 'epollWait', epfd, timeoutMs: 0 });
    return events?.[1] ?? 0;
  }

  async function waiting(driver: Driver, call: PendingCall): Promise<PendingCall> {
    await driver.untilPolling();
    expect(call.result).toBeNull();
    return call;
  }

  function beginPoll(driver: Driver, fd: number, events: number): Promise<PendingCall> {
    return waiting(driver, driver.begin({ call: 'poll', fds: [{ fd, events }], timeoutMs: WAIT_MS }));
  }

  /** What a waiting call gives that something has woken: poll looks once more when its time is over. */
  async function woken(call: PendingCall): Promise<DriverResult> {
    const result = await call.promise;
    expect(result.elapsedMs).toBeLessThan(WAIT_MS / 2);
    return result;
  }

  function beginEpoll(driver: Driver, epfd: number): Promise<PendingCall> {
    return waiting(driver, driver.begin({ call: 'epollWait', epfd, timeoutMs: WAIT_MS }));
  }

  test('P82: POLLIN and POLLRDNORM mean stored bytes, and only what was asked for is reported', async () => {
    const { reader, writer } = await holding('pollin', 0);
    expect(await a.poll(reader, LINUX_POLLIN | LINUX_POLLRDNORM)).toBe(0);
    await b.write(writer, 'x');
    expect(await a.poll(reader, LINUX_POLLRDNORM)).toBe(LINUX_POLLRDNORM);
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(LINUX_POLLIN);
    expect(await a.poll(reader, BOTH)).toBe(LINUX_POLLIN);
    expect(await b.poll(writer, BOTH)).toBe(LINUX_POLLOUT);
  });

  test('P83: POLLOUT and POLLWRNORM mean 512 bytes of room', async () => {
    const { reader, writer } = await holding('pollout', 65536 - 511);
    expect(await b.poll(writer, LINUX_POLLOUT | LINUX_POLLWRNORM)).toBe(0);
    await a.read(reader, 1);
    expect(await b.poll(writer, LINUX_POLLOUT | LINUX_POLLWRNORM)).toBe(LINUX_POLLOUT | LINUX_POLLWRNORM);
    expect(await b.poll(writer, LINUX_POLLWRNORM)).toBe(LINUX_POLLWRNORM);
  });

  test('P84: when the writers have left a reader gets POLLIN, and POLLHUP unasked', async () => {
    const { reader, writer } = await holding('hup', 0);
    await b.close(writer);
    expect(await a.poll(reader, 0)).toBe(LINUX_POLLHUP);
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    const again = await b.open((await mount.table('pipes')).at(-1)!['path'] as string, 'wn');
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(0);
    await b.close(again);
  });

  test('P86: bytes and a hang-up are reported together, and still after the bytes are read', async () => {
    const { reader, writer } = await holding('data-hup', 3);
    await b.close(writer);
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    expect((await a.read(reader, 10)).result).toBe(3);
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    expect((await a.read(reader, 10)).result).toBe(0);
  });

  test('P87, P88: a reader that came after the writers sees no end-of-file, whatever it asks', async () => {
    const { path, reader: first, writer } = await holding('generation', 0);
    await b.close(writer);
    const second = await a.open(path, 'rn');
    expect(await a.poll(first, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    expect(await a.poll(second, LINUX_POLLIN)).toBe(0);
    expect(await a.poll(second, 0)).toBe(0);
    expect(await a.poll(second, LINUX_POLLOUT)).toBe(0);
    await b.close(await b.open(path, 'wn'));
    expect(await a.poll(second, LINUX_POLLIN)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
  });

  test('P89: when the readers have left a writer gets POLLHUP, and POLLOUT if asked', async () => {
    const { reader, writer } = await full('no-reader');
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(0);
    await a.close(reader);
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(LINUX_POLLOUT | LINUX_POLLHUP);
    expect(await b.poll(writer, 0)).toBe(LINUX_POLLHUP);
  });

  test('P64, P91: poll is woken by bytes', async () => {
    const { reader, writer } = await holding('wake-in', 0);
    const polled = await beginPoll(a, reader, LINUX_POLLIN);
    await b.write(writer, 'x');
    expect(await woken(polled)).toMatchObject({ result: 1, events: [LINUX_POLLIN] });
  });

  test('P46, P91: poll for room is woken by the read that leaves 512 bytes free, no earlier', async () => {
    const { reader, writer } = await full('wake-out');
    const polled = await beginPoll(b, writer, LINUX_POLLOUT);
    await a.read(reader, 100);
    await a.read(reader, 411);
    expect(polled.result).toBeNull();
    await a.read(reader, 1);
    expect(await woken(polled)).toMatchObject({ result: 1, events: [LINUX_POLLOUT] });
  });

  test('P132: poll is woken by the last writer leaving', async () => {
    const { path, reader, writer } = await holding('wake-hup', 0);
    const other = await b.open(path, 'wn');
    const polled = await beginPoll(a, reader, LINUX_POLLIN);
    await b.close(other);
    expect(polled.result).toBeNull();
    await b.close(writer);
    expect((await woken(polled)).events).toEqual([LINUX_POLLIN | LINUX_POLLHUP]);
  });

  test('P131: poll is woken by the last reader leaving', async () => {
    const { reader, writer } = await full('wake-epipe');
    const polled = await beginPoll(b, writer, LINUX_POLLOUT);
    await a.close(reader);
    expect((await woken(polled)).events).toEqual([LINUX_POLLOUT | LINUX_POLLHUP]);
  });

  test('P82: a poll that nothing wakes ends with its time', async () => {
    const { reader } = await holding('timeout', 0);
    const request = { call: 'poll', fds: [{ fd: reader, events: LINUX_POLLIN }], timeoutMs: 50 } as const;
    const { result, elapsedMs } = await a.call(request);
    expect(result).toBe(0);
    expect(elapsedMs).toBeGreaterThanOrEqual(49);
  });

  test('P82, P83, P84: select tells which descriptors are ready, and is woken', async () => {
    const { reader, writer } = await holding('select', 0);
    const { reader: idle } = await holding('select-idle', 0);
    const ready = { call: 'select', reads: [], writes: [writer], timeoutMs: 0 } as const;
    expect((await b.call(ready)).events).toEqual([writer]);
    const reads = [reader, idle];
    const read = { call: 'select', reads, writes: [], timeoutMs: WAIT_MS } as const;
    const first = await waiting(a, a.begin(read));
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    expect((await woken(first)).events).toEqual([reader]);
    expect((await b.call(ready)).events).toEqual([]);
    const room = await waiting(b, b.begin({ ...ready, timeoutMs: WAIT_MS }));
    await a.read(reader, 512);
    expect((await woken(room)).events).toEqual([writer]);
    expect(await readPattern(a, reader, 65536, 512)).toEqual([65024, 0]);
    const end = await waiting(a, a.begin(read));
    await b.close(writer);
    expect((await woken(end)).events).toEqual([reader]);
  });

  test('P64, P82, P84: level-triggered epoll is woken by bytes and hang-up and repeats itself', async () => {
    const { reader, writer } = await holding('epoll', 0);
    const epfd = await epoll(a, reader, LINUX_POLLIN);
    const first = await beginEpoll(a, epfd);
    await b.write(writer, 'x');
    expect((await woken(first)).events).toEqual([reader, LINUX_POLLIN]);
    expect(await epollNow(a, epfd)).toBe(LINUX_POLLIN);
    await a.read(reader, 1);
    expect(await epollNow(a, epfd)).toBe(0);
    const second = await beginEpoll(a, epfd);
    await b.close(writer);
    expect((await woken(second)).events).toEqual([reader, LINUX_POLLIN | LINUX_POLLHUP]);
    expect(await epollNow(a, epfd)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
  });

  test('P46, P83: level-triggered epoll is woken by room', async () => {
    const { reader, writer } = await full('epoll-out');
    const epfd = await epoll(b, writer, LINUX_POLLOUT);
    const waited = await beginEpoll(b, epfd);
    await a.read(reader, 512);
    expect((await woken(waited)).events).toEqual([writer, LINUX_POLLOUT]);
    expect(await epollNow(b, epfd)).toBe(LINUX_POLLOUT);
  });

  test('P64, P84: edge-triggered epoll reports each write once, and the hang-up', async () => {
    const { reader, writer } = await holding('edge', 0);
    const epfd = await epoll(a, reader, LINUX_POLLIN | EPOLLET);
    for (const text of ['one', 'two']) {
      const waited = await beginEpoll(a, epfd);
      await b.write(writer, text);
      expect((await woken(waited)).events).toEqual([reader, LINUX_POLLIN]);
      // The bytes are still there, but nothing has happened since.
      expect(await epollNow(a, epfd)).toBe(0);
    }
    const waited = await beginEpoll(a, epfd);
    await b.close(writer);
    expect((await woken(waited)).events).toEqual([reader, LINUX_POLLIN | LINUX_POLLHUP]);
    expect(await epollNow(a, epfd)).toBe(0);
    expect((await a.read(reader, 10)).text).toBe('onetwo');
  });

  test('P46: edge-triggered epoll reports room from the read on that leaves 512 bytes free', async () => {
    const { reader, writer } = await full('edge-out');
    const epfd = await epoll(b, writer, LINUX_POLLOUT | EPOLLET);
    await a.read(reader, 100);
    expect(await epollNow(b, epfd)).toBe(0);
    const waited = await beginEpoll(b, epfd);
    await a.read(reader, 412);
    expect((await woken(waited)).events).toEqual([writer, LINUX_POLLOUT]);
    expect(await epollNow(b, epfd)).toBe(0);
    await a.read(reader, 10);
    expect(await epollNow(b, epfd)).toBe(LINUX_POLLOUT);
  });

  test('P46: reading the end of the stream tells nobody', async () => {
    const { path, reader, writer } = await holding('edge-eof', 0);
    await b.close(writer);
    const watcher = await a.open(path, 'rn');
    const epfd = await epoll(a, reader, LINUX_POLLIN | EPOLLET);
    expect(await epollNow(a, epfd)).toBe(LINUX_POLLIN | LINUX_POLLHUP);
    expect((await a.read(reader, 10)).result).toBe(0);
    expect((await a.read(watcher, 10)).result).toBe(EAGAIN);
    expect(await epollNow(a, epfd)).toBe(0);
  });

  test('P65: a write that fails for lack of room tells an edge-triggered reader again', async () => {
    const { reader, writer } = await full('edge-eagain');
    const epfd = await epoll(a, reader, LINUX_POLLIN | EPOLLET);
    expect(await epollNow(a, epfd)).toBe(LINUX_POLLIN);
    expect(await epollNow(a, epfd)).toBe(0);
    expect((await b.write(writer, 'x')).result).toBe(EAGAIN);
    expect(await epollNow(a, epfd)).toBe(LINUX_POLLIN);
  });

  test('P122, P124: pollers hear of the other side that opens', async () => {
    const { path, reader, writer } = await full('opens');
    await a.close(reader);
    const epfd = await epoll(b, writer, LINUX_POLLOUT | EPOLLET);
    expect(await epollNow(b, epfd)).toBe(LINUX_POLLOUT | LINUX_POLLHUP);
    const again = await a.open(path, 'rn');
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(0);
    const waited = await beginEpoll(b, epfd);
    expect(await readPattern(a, again, 65536)).toEqual([65536, 0]);
    expect((await woken(waited)).events).toEqual([writer, LINUX_POLLOUT]);
  });

  test('P64: what a write has changed is there for the epoll_wait right behind it', async () => {
    const { reader, writer } = await openEndsNonBlocking(a, a, await mount.fifo('right-behind'));
    for (const events of [LINUX_POLLIN, LINUX_POLLIN | EPOLLET]) {
      const epfd = await epoll(a, reader, events);
      const race = { call: 'epollRace', epfd, reader, writer, rounds: 2000 } as const;
      expect((await a.call(race)).result).toBe(0);
    }
  });

  test('P91: one poll of many pipes is woken by any of them', async () => {
    const all: Ends[] = [];
    for (let index = 0; index < 20; index++) all.push(await holding(`many-${index}`, 0));
    const fds = all.map(({ reader }) => ({ fd: reader, events: LINUX_POLLIN }));
    const polled = await waiting(a, a.begin({ call: 'poll', fds, timeoutMs: WAIT_MS }));
    await b.write(all[13]!.writer, 'x');
    const { result, events } = await woken(polled);
    expect(result).toBe(1);
    expect(events!.indexOf(LINUX_POLLIN)).toBe(13);
  });
});
