import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver, PendingCall } from '../support/driver-client.ts';
import { LINUX_POLLIN, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { openEnds, openEndsNonBlocking } from '../support/pipe-ends.ts';

const EINTR = -4;
const ENXIO = -6;
const EAGAIN = -11;
const EEXIST = -17;
const EPIPE = -32;

describeMount('opening and closing a named pipe', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  let c: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b, c] = await Promise.all([mount.driver(), mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  function beginOpen(driver: Driver, path: string, flags: number): PendingCall {
    return driver.begin({ call: 'open', path, flags });
  }

  /** A reader or writer that waits in open(2) for the other side. */
  async function waitingOpen(driver: Driver, path: string, flags: number): Promise<PendingCall> {
    const opened = beginOpen(driver, path, flags);
    await mount.untilBlocked(path, flags === O_WRONLY ? 'fifoow' : 'fifoor');
    return opened;
  }

  test('P121: the first open makes the pipe, and the counts start there', async () => {
    const path = await mount.fifo('first');
    expect(await mount.pipe(path)).toMatchObject({ size: 0, readers: 0, writers: 0, state: 'closed' });
    const fd = await a.open(path, 'rn');
    expect(await mount.pipe(path)).toMatchObject({ size: 16384, readers: 1, writers: 0, state: 'no-writer' });
    await a.close(fd);
  });

  test('P121: a pipe cannot be opened for execution', async () => {
    const path = await mount.fifo('program');
    const { status, stderr } = await mount.sh(`chmod +x ${path}; env ${path}`);
    expect(status).toBe(126);
    expect(stderr).toContain('Invalid argument');
    expect(await mount.pipe(path)).toMatchObject({ state: 'closed', readers: 0, writers: 0 });
  });

  test('P122: a new reader mends a pipe that was broken', async () => {
    const path = await mount.fifo('mended');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await a.close(reader);
    expect((await b.write(writer, 'x')).result).toBe(EPIPE);
    const again = await a.open(path, 'rn');
    expect((await b.write(writer, 'y')).result).toBe(1);
    expect((await a.read(again, 10)).text).toBe('y');
  });

  test('P123: opening for writing without blocking is ENXIO while nobody reads, and keeps nothing', async () => {
    const path = await mount.fifo('enxio');
    const before = await mount.sysctl('kern.ipc.pipekva');
    const flags = O_WRONLY | O_NONBLOCK;
    expect((await b.call({ call: 'open', path, flags })).result).toBe(ENXIO);
    expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before);
    expect(await mount.pipe(path)).toMatchObject({ writers: 0, state: 'closed' });
    await a.open(path, 'rn');
    expect((await b.call({ call: 'open', path, flags })).result).toBeGreaterThan(0);
  });

  test('P124: a new writer lifts end-of-file', async () => {
    const path = await mount.fifo('lifted');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await b.close(writer);
    expect((await a.read(reader, 1)).result).toBe(0);
    expect(await mount.pipe(path)).toMatchObject({ state: 'eof' });
    await b.open(path, 'w');
    expect((await a.read(reader, 1)).result).toBe(EAGAIN);
    expect(await mount.pipe(path)).toMatchObject({ state: 'open' });
  });

  test('P125, P132: a reader waits in open for a writer, even for one that has gone again', async () => {
    const path = await mount.fifo('reader-waits');
    const opened = await waitingOpen(a, path, O_RDONLY);
    // One process, one write, all in a row: the reader's open may return only after it is gone.
    await mount.output(`printf x > ${path}`);
    const fd = (await opened.promise).result;
    expect(fd).toBeGreaterThan(0);
    expect((await a.read(fd, 10)).text).toBe('x');
    expect((await a.read(fd, 10)).result).toBe(0);
  });

  test('P126: a writer waits in open for a reader, even for one that has gone again', async () => {
    const path = await mount.fifo('writer-waits');
    const opened = await waitingOpen(b, path, O_WRONLY);
    await mount.output(`exec 3<> ${path}`);
    const fd = (await opened.promise).result;
    expect(fd).toBeGreaterThan(0);
    expect((await b.write(fd, 'x')).result).toBe(EPIPE);
  });

  test('P127: a reader that waits in open counts already', async () => {
    const path = await mount.fifo('counted');
    const opened = await waitingOpen(a, path, O_RDONLY);
    expect(await mount.pipe(path)).toMatchObject({ readers: 1, writers: 0 });
    const writer = await b.open(path, 'wn');
    expect(writer).toBeGreaterThan(0);
    expect((await opened.promise).result).toBeGreaterThan(0);
    expect(await mount.pipe(path)).toMatchObject({ readers: 1, writers: 1, state: 'open' });
  });

  test('P128, P135: a non-blocking reader opens at once, and before any writer its read is EAGAIN', async () => {
    const path = await mount.fifo('early');
    const fd = await a.open(path, 'rn');
    expect((await a.read(fd, 1)).result).toBe(EAGAIN);
    expect(await a.poll(fd, LINUX_POLLIN)).toBe(0);
    await b.close(await b.open(path, 'wn'));
    expect((await a.read(fd, 1)).result).toBe(0);
  });

  test('P129: O_RDWR opens at once, with and without O_NONBLOCK', async () => {
    const path = await mount.fifo('both');
    expect(await a.open(path, 'rw')).toBeGreaterThan(0);
    expect(await a.open(path, 'rwn')).toBeGreaterThan(0);
    expect(await mount.pipe(path)).toMatchObject({ readers: 2, writers: 2 });
  });

  test('P130: a signal ends an open that waits, which counts no more and leaves no pipe', async () => {
    const path = await mount.fifo('interrupted');
    const before = await mount.sysctl('kern.ipc.pipekva');
    for (const flags of [O_RDONLY, O_WRONLY]) {
      const opened = await waitingOpen(a, path, flags);
      expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before + 20480);
      a.interrupt();
      expect((await opened.promise).result).toBe(EINTR);
      expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before);
      expect(await mount.pipe(path)).toMatchObject({ readers: 0, writers: 0, state: 'closed' });
    }
  });

  test('P130: an interrupted open leaves the one beside it waiting', async () => {
    const path = await mount.fifo('interrupted-last');
    const opened = await waitingOpen(a, path, O_RDONLY);
    const other = beginOpen(c, path, O_RDONLY);
    await mount.untilBlocked(path, 'fifoor', 2);
    expect(await mount.pipe(path)).toMatchObject({ readers: 2 });
    a.interrupt();
    expect((await opened.promise).result).toBe(EINTR);
    expect(await mount.pipe(path)).toMatchObject({ readers: 1 });
    expect(other.result).toBeNull();
    await b.open(path, 'wn');
    expect((await other.promise).result).toBeGreaterThan(0);
    expect(await mount.pipe(path)).toMatchObject({ readers: 1, writers: 1, state: 'open' });
  });

  test('P39, P130: a process that waits in open can be killed', async () => {
    const path = await mount.fifo('open-killed');
    const reader = mount.start(`exec cat ${path}`);
    await mount.untilBlocked(path, 'fifoor');
    reader.kill('SIGKILL');
    expect((await reader.finished()).signal).toBe('SIGKILL');
    expect(await mount.pipe(path)).toMatchObject({ readers: 0, state: 'closed' });
  });

  test('P131: the last reader that leaves ends a write that waits', async () => {
    const path = await mount.fifo('last-reader');
    const { reader, writer } = await openEnds(a, b, path);
    const second = await c.open(path, 'rn');
    await b.setNonBlocking(writer);
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    await b.setNonBlocking(writer, false);
    const write = b.begin({ call: 'write', fd: writer, text: 'blocked' });
    await mount.untilBlocked(path, 'pipewr');
    await a.close(reader);
    expect(await mount.blockedCount(path, 'pipewr')).toBe(1);
    await c.close(second);
    expect((await write.promise).result).toBe(EPIPE);
  });

  test('P132: the last writer that leaves ends a read that waits', async () => {
    const path = await mount.fifo('last-writer');
    const { reader, writer } = await openEnds(a, b, path);
    const second = await c.open(path, 'wn');
    const read = a.begin({ call: 'read', fd: reader, count: 10 });
    await mount.untilBlocked(path, 'piperd');
    await b.close(writer);
    expect(await mount.blockedCount(path, 'piperd')).toBe(1);
    await c.close(second);
    expect((await read.promise).result).toBe(0);
  });

  test('P119, P133: with the last descriptor the pipe goes, with unread bytes and its memory', async () => {
    const path = await mount.fifo('lost');
    const before = await mount.sysctl('kern.ipc.pipekva');
    const fd = await a.open(path, 'rwn');
    expect((await a.writePattern(fd, 30_000)).result).toBe(30_000);
    expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before + 32768 + 4096);
    await a.close(fd);
    expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before);
    const { reader } = await openEndsNonBlocking(a, b, path);
    expect((await a.read(reader, 100)).result).toBe(EAGAIN);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, size: 16384 });
  });

  test('P134: while one side stays, bytes persist, and another writer goes on behind them', async () => {
    const path = await mount.fifo('persist');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await b.write(writer, 'abc');
    await b.close(writer);
    const second = await c.open(path, 'w');
    await c.write(second, 'def');
    expect((await a.read(reader, 3)).text).toBe('abc');
    expect((await a.read(reader, 10)).text).toBe('def');
    expect((await a.read(reader, 10)).result).toBe(EAGAIN);
  });

  test('P136: a reader that came after the writers is not at end-of-file for read either', async () => {
    const path = await mount.fifo('late');
    const { reader: first, writer } = await openEndsNonBlocking(a, b, path);
    await b.close(writer);
    const late = await a.open(path, 'rn');
    expect((await a.read(first, 1)).result).toBe(0);
    expect((await a.read(late, 1)).result).toBe(EAGAIN);
    await a.setNonBlocking(late, false);
    const read = a.begin({ call: 'read', fd: late, count: 1 });
    await mount.untilBlocked(path, 'piperd');
    await mount.output(`exec 3> ${path}`);
    expect((await read.promise).result).toBe(0);
  });

  test('P125, P126: the open that makes the name returns at once, and its writer meets the reader in write', async () => {
    const path = 'pipes/made-by-open';
    const flags = O_WRONLY | O_CREAT | O_EXCL;
    const { result: writer } = await b.call({ call: 'open', path, flags });
    expect(writer).toBeGreaterThan(0);
    expect((await b.call({ call: 'open', path, flags })).result).toBe(EEXIST);
    const write = b.begin({ call: 'write', fd: writer, text: 'met' });
    await mount.untilBlocked(path, 'fifoow');
    expect(await mount.output(`head -c 3 ${path}`)).toBe('met');
    expect((await write.promise).result).toBe(3);
  });

  test('P133: a pipe without a name lives on in its open files', async () => {
    const path = await mount.fifo('unlinked');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const before = await mount.sysctl('kern.ipc.pipekva');
    await mount.output(`rm ${path}`);
    await b.write(writer, 'still');
    expect((await a.read(reader, 10)).text).toBe('still');
    await a.close(reader);
    await b.close(writer);
    expect(await mount.sysctl('kern.ipc.pipekva')).toBe(before - 20480);
  });
});
