import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver, PendingCall } from '../support/driver-client.ts';
import { FIONREAD, LINUX_POLLIN, LINUX_POLLOUT } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { openEnds, readPattern, statOf } from '../support/pipe-ends.ts';

const EINTR = -4;
const EAGAIN = -11;
const EPIPE = -32;
const MIB = 1024 * 1024;

describeMount('direct writes', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  let c: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b, c] = await Promise.all([mount.driver(), mount.driver(), mount.driver()]);
    // What must not raise SIGPIPE shall end the driver if it does.
    await b.call({ call: 'sigpipe', action: 'default' });
  });
  afterAll(() => mount.stop());

  interface Offered {
    readonly path: string;
    readonly reader: number;
    readonly writer: number;
    readonly write: PendingCall;
  }

  /** A pipe with a write of `count` bytes that waits for a reader. */
  async function offer(name: string, count: number): Promise<Offered> {
    const path = await mount.fifo(name);
    const ends = await openEnds(a, b, path);
    const write = b.begin({ call: 'writePattern', fd: ends.writer, count });
    await mount.untilBlocked(path, 'pipdwt');
    return { path, ...ends, write };
  }

  test('P70: a blocking write waits for its reader from pipe_mindirect bytes on', async () => {
    const path = await mount.fifo('threshold');
    const { reader, writer } = await openEnds(a, b, path);
    expect((await b.writePattern(writer, 8191)).result).toBe(8191);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 8191, direct: 0 });
    expect(await readPattern(a, reader, 10_000)).toEqual([8191, 0]);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 8192 });
    await mount.untilBlocked(path, 'pipdwt');
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, direct: 8192 });
    expect(await readPattern(a, reader, 10_000)).toEqual([8192, 0]);
    expect((await write.promise).result).toBe(8192);
    await b.setNonBlocking(writer);
    expect((await b.writePattern(writer, 8192)).result).toBe(8192);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 8192, direct: 0 });
  });

  test('P28, P70: pipe_mindirect moves the threshold of a mount that is in use', async () => {
    await mount.setSysctl('kern.ipc.pipe_mindirect', 513);
    try {
      const { path, reader, write } = await offer('lower', 513);
      expect(await mount.pipe(path)).toMatchObject({ cnt: 0, direct: 513 });
      expect(await readPattern(a, reader, 1000)).toEqual([513, 0]);
      expect((await write.promise).result).toBe(513);
    } finally {
      await mount.setSysctl('kern.ipc.pipe_mindirect', 8192);
    }
  });

  test('P71: what the ring holds is read before a direct write offers its bytes', async () => {
    const path = await mount.fifo('ring-first');
    const { reader, writer } = await openEnds(a, b, path);
    await b.write(writer, 'ten bytes!');
    const write = b.begin({ call: 'writePattern', fd: writer, count: 10_000 });
    await mount.untilBlocked(path, 'pipdwc');
    expect(await mount.pipe(path)).toMatchObject({ cnt: 10, direct: 0 });
    expect((await a.read(reader, 20_000)).text).toBe('ten bytes!');
    await mount.untilBlocked(path, 'pipdwt');
    expect(await readPattern(a, reader, 20_000)).toEqual([10_000, 0]);
    expect((await write.promise).result).toBe(10_000);
  });

  test('P71: a second direct write waits for the first', async () => {
    const { path, reader, write } = await offer('second', 20_000);
    const other = await c.open(path, 'w');
    const second = c.begin({ call: 'writePattern', fd: other, count: 10_000 });
    await mount.untilBlocked(path, 'pipdww');
    expect(await readPattern(a, reader, 100_000)).toEqual([20_000, 0]);
    expect((await write.promise).result).toBe(20_000);
    expect(await readPattern(a, reader, 100_000)).toEqual([10_000, 0]);
    expect((await second.promise).result).toBe(10_000);
  });

  test('P48, P73: the write ends with the read that takes the last byte of its chunk', async () => {
    const { path, reader, write } = await offer('last-byte', 10_000);
    expect(await readPattern(a, reader, 4000)).toEqual([4000, 0]);
    expect(await readPattern(a, reader, 5999, 4000)).toEqual([5999, 0]);
    expect(await mount.pipe(path)).toMatchObject({ direct: 1, 'blocked-writers': 1 });
    expect(await mount.blockedCount(path, 'pipdwt')).toBe(1);
    expect(write.result).toBeNull();
    expect(await readPattern(a, reader, 4000, 9999)).toEqual([1, 0]);
    expect((await write.promise).result).toBe(10_000);
  });

  test('P72: with pipe_direct_max a long write goes in chunks, and its tail through the ring', async () => {
    await mount.setSysctl('kern.ipc.pipe_direct_max', 65536);
    try {
      const { path, reader, write } = await offer('chunks', 70_000);
      expect(await mount.pipe(path)).toMatchObject({ direct: 65536, size: 65536 });
      expect(await readPattern(a, reader, 65536)).toEqual([65536, 0]);
      expect((await write.promise).result).toBe(70_000);
      expect(await mount.pipe(path)).toMatchObject({ direct: 0, cnt: 4464 });
      expect(await readPattern(a, reader, 65536, 65536)).toEqual([4464, 0]);
    } finally {
      await mount.setSysctl('kern.ipc.pipe_direct_max', MIB);
    }
  });

  test('P72: by default a chunk is the whole request', async () => {
    const { path, reader, write } = await offer('whole', 70_000);
    expect(await mount.pipe(path)).toMatchObject({ direct: 70_000, cnt: 0 });
    expect(await readPattern(a, reader, 100_000)).toEqual([70_000, 0]);
    expect((await write.promise).result).toBe(70_000);
  });

  test('P74: a pending chunk counts for FIONREAD, stat and POLLIN, and there is no POLLOUT', async () => {
    const { path, reader, writer, write } = await offer('pending', 10_000);
    expect(await readPattern(a, reader, 4000)).toEqual([4000, 0]);
    expect(await a.ioctl(reader, FIONREAD)).toMatchObject({ result: 0, value: 6000 });
    expect((await statOf(a, reader)).size).toBe(0);
    expect((await mount.output(`stat -c %s ${path}`)).trim()).toBe('6000');
    expect(await a.poll(reader, LINUX_POLLIN)).toBe(LINUX_POLLIN);
    const watcher = await c.open(path, 'wn');
    expect(await c.poll(watcher, LINUX_POLLOUT)).toBe(0);
    expect(await readPattern(a, reader, 10_000, 4000)).toEqual([6000, 0]);
    expect((await write.promise).result).toBe(10_000);
    expect(await c.poll(watcher, LINUX_POLLOUT)).toBe(LINUX_POLLOUT);
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(LINUX_POLLOUT);
  });

  test('P75: beside an unread chunk a non-blocking write is EAGAIN, and a small blocking one waits', async () => {
    const { path, reader, write } = await offer('beside', 10_000);
    const other = await c.open(path, 'wn');
    expect((await c.write(other, '1')).result).toBe(EAGAIN);
    await c.setNonBlocking(other, false);
    const small = c.begin({ call: 'write', fd: other, text: 'after' });
    await mount.untilBlocked(path, 'pipbww');
    expect(await readPattern(a, reader, 9999)).toEqual([9999, 0]);
    expect(await mount.blockedCount(path, 'pipbww')).toBe(1);
    expect(await readPattern(a, reader, 1, 9999)).toEqual([1, 0]);
    expect((await write.promise).result).toBe(10_000);
    expect((await small.promise).result).toBe(5);
    expect((await a.read(reader, 100)).text).toBe('after');
  });

  test('P76: a signal saves the unread bytes of a chunk in the ring and counts them', async () => {
    const { path, reader, write } = await offer('saved', 20_000);
    expect(await mount.pipe(path)).toMatchObject({ size: 32768, direct: 20_000 });
    expect(await readPattern(a, reader, 5000)).toEqual([5000, 0]);
    b.interrupt();
    expect((await write.promise).result).toBe(20_000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 15_000, direct: 0 });
    expect(await readPattern(a, reader, 20_000, 5000)).toEqual([15_000, 0]);
  });

  test('P76: what a ring cannot hold of an interrupted chunk was not written', async () => {
    const { path, reader, write } = await offer('too-long', 200_000);
    expect(await readPattern(a, reader, 5000)).toEqual([5000, 0]);
    b.interrupt();
    expect((await write.promise).result).toBe(5000 + 65536);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65536, direct: 0 });
    expect(await readPattern(a, reader, 100_000, 5000)).toEqual([65536, 0]);
  });

  test('P71: a direct write that is interrupted before its offer is EINTR', async () => {
    const path = await mount.fifo('not-offered');
    const { reader, writer } = await openEnds(a, b, path);
    await b.write(writer, 'x');
    const write = b.begin({ call: 'writePattern', fd: writer, count: 10_000 });
    await mount.untilBlocked(path, 'pipdwc');
    b.interrupt();
    expect((await write.promise).result).toBe(EINTR);
    expect((await a.read(reader, 100)).text).toBe('x');
  });

  test('P77: when the reader leaves, only bytes that were read count', async () => {
    const { path, reader, write } = await offer('partly-read', 10_000);
    expect(await readPattern(a, reader, 4000)).toEqual([4000, 0]);
    await a.close(reader);
    expect((await write.promise).result).toBe(4000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, direct: 0, state: 'no-reader' });
  });

  test('P77: when the reader leaves without reading, a direct write is EPIPE with SIGPIPE', async () => {
    const path = await mount.fifo('unread');
    const driver = await mount.driver();
    const { reader, writer } = await openEnds(a, driver, path);
    const polite = driver.begin({ call: 'writePattern', fd: writer, count: 10_000 });
    await mount.untilBlocked(path, 'pipdwt');
    await a.close(reader);
    expect((await polite.promise).result).toBe(EPIPE);
    await driver.call({ call: 'sigpipe', action: 'default' });
    const again = await a.open(path, 'rn');
    const ended = driver.begin({ call: 'writePattern', fd: writer, count: 10_000 });
    await mount.untilBlocked(path, 'pipdwt');
    await a.close(again);
    expect((await ended.promise).text).toBe('the driver ended with SIGPIPE');
  });

  test('P78: end-of-file before the offer is EPIPE', async () => {
    const path = await mount.fifo('before-offer');
    const driver = await mount.driver();
    const { reader, writer } = await openEnds(a, driver, path);
    await driver.write(writer, 'x');
    const write = driver.begin({ call: 'writePattern', fd: writer, count: 10_000 });
    await mount.untilBlocked(path, 'pipdwc');
    await a.close(reader);
    expect((await write.promise).result).toBe(EPIPE);
  });

  test('P78: end-of-file after chunks that were read is their count', async () => {
    await mount.setSysctl('kern.ipc.pipe_direct_max', 65536);
    try {
      const { path, reader, write } = await offer('after-chunk', 200_000);
      expect(await readPattern(a, reader, 65536)).toEqual([65536, 0]);
      await mount.untilBlocked(path, 'pipdwt');
      await a.close(reader);
      expect((await write.promise).result).toBe(65536);
    } finally {
      await mount.setSysctl('kern.ipc.pipe_direct_max', MIB);
    }
  });

  test('P72, P73: a write of 3 MiB behaves as one call', async () => {
    const { reader, write } = await offer('3-mib', 3 * MIB);
    for (let offset = 0; offset < 3 * MIB;) {
      const [count, wrong] = await readPattern(a, reader, 200_000, offset);
      expect(wrong).toBe(0);
      expect(count).toBeGreaterThan(0);
      offset += count;
    }
    expect((await write.promise).result).toBe(3 * MIB);
  });

  test('P60, P77: a write of 3 MiB whose reader leaves after the first MiB returns 1 MiB, without SIGPIPE', async () => {
    const { path, reader, write } = await offer('first-mib', 3 * MIB);
    expect(await readPattern(a, reader, MIB)).toEqual([MIB, 0]);
    await mount.untilBlocked(path, 'pipdwt');
    await a.close(reader);
    expect((await write.promise).result).toBe(MIB);
    // The same when the reader has gone before the next part arrives, or meanwhile.
    for (let round = 0; round < 20; round++) {
      const again = await offer(`first-mib-${round}`, 2 * MIB);
      const [count] = await readPattern(a, again.reader, MIB);
      await a.close(again.reader);
      expect(count).toBe(MIB);
      expect((await again.write.promise).result).toBe(MIB);
    }
  });

  test('P39, P59: a direct writer can be killed, and its pipe goes on', async () => {
    const path = await mount.fifo('killed');
    const reader = await a.open(path, 'rw');
    const writer = mount.start(`exec dd if=/dev/zero bs=20000 count=1 status=none of=${path}`);
    await mount.untilBlocked(path, 'pipdwt');
    writer.kill('SIGKILL');
    expect((await writer.finished()).signal).toBe('SIGKILL');
    // What was offered is in the ring, as after any signal.
    expect((await a.read(reader, 100_000)).result).toBe(20_000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, direct: 0, 'blocked-writers': 0 });
  });
});
