import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { nextTick, openEnds, openEndsNonBlocking, readPattern, statOf } from '../support/pipe-ends.ts';
import { until } from '../support/process.ts';

const EINTR = -4;
const EAGAIN = -11;
const MIB = 1024 * 1024;

describeMount('reading a pipe', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  test('P2: every descriptor of a named pipe, O_RDWR included, uses the same bytes', async () => {
    const path = await mount.fifo('one-ring');
    const both = await a.open(path, 'rwn');
    const { reader, writer } = await openEndsNonBlocking(b, b, path);
    expect((await a.write(both, 'x')).result).toBe(1);
    expect((await a.read(both, 10)).text).toBe('x');
    await a.write(both, 'from both');
    expect((await b.read(reader, 4)).text).toBe('from');
    expect((await a.read(both, 10)).text).toBe(' both');
    await b.write(writer, 'y');
    expect((await a.read(both, 10)).text).toBe('y');
  });

  test('P33, P34: a read takes what is there up to what was asked, and waits for no more', async () => {
    const path = await mount.fifo('amount');
    const { reader, writer } = await openEnds(a, b, path);
    await b.writePattern(writer, 50);
    expect(await readPattern(a, reader, 20)).toEqual([20, 0]);
    expect(await readPattern(a, reader, 100, 20)).toEqual([30, 0]);
  });

  test('P33, P35: one read crosses the end of the ring, and an empty ring starts again at 0', async () => {
    const path = await mount.fifo('wrap');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await b.writePattern(writer, 16000);
    expect(await readPattern(a, reader, 15900)).toEqual([15900, 0]);
    await b.writePattern(writer, 1000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 1100, out: 15900, in: 616, size: 16384 });
    expect(await readPattern(a, reader, 100, 15900)).toEqual([100, 0]);
    expect(await readPattern(a, reader, 5000)).toEqual([1000, 0]);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, out: 0, in: 0, size: 16384 });
  });

  test('P36, P37: stored bytes come before end-of-file, and end-of-file comes every time', async () => {
    const path = await mount.fifo('eof');
    const { reader, writer } = await openEnds(a, b, path);
    await b.write(writer, 'abc');
    await b.close(writer);
    expect((await a.read(reader, 10)).text).toBe('abc');
    expect((await a.read(reader, 10)).result).toBe(0);
    expect((await a.read(reader, 10)).result).toBe(0);
    await a.setNonBlocking(reader);
    expect((await a.read(reader, 10)).result).toBe(0);
  });

  test('P38: an empty pipe with a writer is EAGAIN for a non-blocking reader', async () => {
    const path = await mount.fifo('eagain');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    expect((await a.read(reader, 1)).result).toBe(EAGAIN);
    await b.write(writer, 'z');
    expect((await a.read(reader, 1)).result).toBe(1);
    expect((await a.read(reader, 1)).result).toBe(EAGAIN);
  });

  test('P38, P39: O_NONBLOCK set by fcntl holds for the next read', async () => {
    const path = await mount.fifo('fcntl');
    const fd = await a.open(path, 'rw');
    await a.setNonBlocking(fd);
    expect((await a.read(fd, 1)).result).toBe(EAGAIN);
    await a.setNonBlocking(fd, false);
    const read = a.begin({ call: 'read', fd, count: 1 });
    await mount.untilBlocked(path, 'piperd');
    a.interrupt();
    expect((await read.promise).result).toBe(EINTR);
  });

  test('P39: a blocked reader can be killed', async () => {
    const path = await mount.fifo('killed');
    const reader = mount.start(`exec cat <> ${path}`);
    await mount.untilBlocked(path, 'piperd');
    reader.kill('SIGKILL');
    expect((await reader.finished()).signal).toBe('SIGKILL');
    await until(async () => (await mount.pipe(path))['state'] === 'closed');
  });

  test('P40, P41: the access time moves with a read of bytes, not with EAGAIN, end-of-file or length 0', async () => {
    const path = await mount.fifo('atime');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const { atimeMs } = await statOf(a, reader);
    await nextTick();
    expect((await a.read(reader, 0)).result).toBe(0);
    expect((await a.read(reader, 5)).result).toBe(EAGAIN);
    expect((await statOf(a, reader)).atimeMs).toBe(atimeMs);
    await b.write(writer, 'abc');
    expect((await a.read(reader, 5)).result).toBe(3);
    const moved = await statOf(a, reader);
    expect(moved.atimeMs).toBeGreaterThan(atimeMs);
    await nextTick();
    await b.close(writer);
    expect((await a.read(reader, 5)).result).toBe(0);
    expect((await statOf(a, reader)).atimeMs).toBe(moved.atimeMs);
  });

  test('P41: an interrupted read leaves the access time', async () => {
    const path = await mount.fifo('atime-eintr');
    const fd = await a.open(path, 'rw');
    const { atimeMs } = await statOf(a, fd);
    await nextTick();
    const read = a.begin({ call: 'read', fd, count: 1 });
    await mount.untilBlocked(path, 'piperd');
    a.interrupt();
    expect((await read.promise).result).toBe(EINTR);
    expect((await statOf(a, fd)).atimeMs).toBe(atimeMs);
  });

  test('P31, P64: a blocked reader keeps no writer out, and the write wakes it', async () => {
    const path = await mount.fifo('wake');
    const { reader, writer } = await openEnds(a, b, path);
    const read = a.begin({ call: 'read', fd: reader, count: 100 });
    await mount.untilBlocked(path, 'piperd');
    expect(await mount.pipe(path)).toMatchObject({ 'blocked-readers': 1, 'blocked-writers': 0 });
    expect((await b.write(writer, '1')).result).toBe(1);
    expect((await read.promise).text).toBe('1');
  });

  test('P47: of three blocked readers one write satisfies one, and the others go on waiting', async () => {
    const path = await mount.fifo('three');
    const writer = await b.open(path, 'rw');
    const readers = [1, 2, 3].map(() => mount.start(`dd bs=100 count=1 if=${path} status=none`));
    await mount.untilBlocked(path, 'piperd', 3);
    for (let left = 2; left >= 0; left--) {
      await b.write(writer, 'five\n');
      await until(
        () => readers.filter((reader) => reader.isFinished).length === 3 - left,
        () => 'one more reader done',
      );
      expect(await mount.blockedCount(path, 'piperd')).toBe(left);
    }
    expect(readers.map((reader) => reader.stdout)).toEqual(['five\n', 'five\n', 'five\n']);
  });

  test('P43: a reader that takes everything resumes the writer that waits', async () => {
    const path = await mount.fifo('drain');
    const { reader, writer } = await openEnds(a, b, path);
    await b.setNonBlocking(writer);
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    await b.setNonBlocking(writer, false);
    const write = b.begin({ call: 'write', fd: writer, text: 'more' });
    await mount.untilBlocked(path, 'pipewr');
    expect(await readPattern(a, reader, 100_000)).toEqual([65536, 0]);
    expect((await write.promise).result).toBe(4);
    expect((await a.read(reader, 10)).text).toBe('more');
  });

  test('P44, P45: on a ring of 64 KiB a writer waits until fewer than 5461 bytes are left', async () => {
    const path = await mount.fifo('hysteresis');
    const { reader, writer } = await openEnds(a, b, path);
    await b.setNonBlocking(writer);
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    await b.setNonBlocking(writer, false);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 100 });
    await mount.untilBlocked(path, 'pipewr');
    expect(await readPattern(a, reader, 60_000)).toEqual([60_000, 0]);
    expect(await readPattern(a, reader, 75, 60_000)).toEqual([75, 0]);
    expect(await mount.blockedCount(path, 'pipewr')).toBe(1);
    expect(write.result).toBeNull();
    expect(await readPattern(a, reader, 1, 60_075)).toEqual([1, 0]);
    expect((await write.promise).result).toBe(100);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 5560, 'blocked-writers': 0 });
  });

  test('P49: the messages received of an open file are its reads that moved bytes', async () => {
    const path = await mount.fifo('received');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await b.write(writer, '123');
    for (const result of [1, 1, 1, EAGAIN]) expect((await a.read(reader, 1)).result).toBe(result);
    await b.close(writer);
    expect((await a.read(reader, 1)).result).toBe(0);
    const row = (await mount.table('handles')).find((handle) => handle['path'] === path);
    expect(row).toMatchObject({ mode: 'r', 'msgs-in': 3, 'msgs-out': 0 });
  });

  test('P33, P48: a read of 3 MiB is one call that takes three waiting chunks', async () => {
    const path = await mount.fifo('big-read');
    const reader = await a.open(path, 'rw');
    const writers = [1, 2, 3].map(() => mount.start(`dd if=/dev/zero bs=1M count=1 status=none of=${path}`));
    await mount.untilBlocked(path, 'pipdwt');
    await mount.untilBlocked(path, 'pipdww', 2);
    const { result } = await a.call({ call: 'readPattern', fd: reader, count: 3 * MIB, offset: 0 });
    expect(result).toBe(3 * MIB);
    for (const writer of writers) expect((await writer.finished()).status).toBe(0);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, direct: 0 });
  });

  test('P33: a read of 3 MiB returns the 1 MiB that is there, and never waits for more', async () => {
    const path = await mount.fifo('short-read');
    const { reader, writer } = await openEnds(a, b, path);
    const write = b.begin({ call: 'writePattern', fd: writer, count: MIB });
    await mount.untilBlocked(path, 'pipdwt');
    expect(await readPattern(a, reader, 3 * MIB)).toEqual([MIB, 0]);
    expect((await write.promise).result).toBe(MIB);
    await b.writePattern(writer, 5000);
    expect(await readPattern(a, reader, 3 * MIB)).toEqual([5000, 0]);
    // The next one finds nothing and waits: only what follows the first byte does not.
    const read = a.begin({ call: 'read', fd: reader, count: 3 * MIB });
    await mount.untilBlocked(path, 'piperd');
    await b.write(writer, 'end');
    expect((await read.promise).text).toBe('end');
  });
});
