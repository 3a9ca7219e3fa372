import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { LINUX_POLLIN, LINUX_POLLOUT } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { nextTick, openEnds, openEndsNonBlocking, readPattern, statOf } from '../support/pipe-ends.ts';

const EINTR = -4;
const EAGAIN = -11;
const EPIPE = -32;
const MIB = 1024 * 1024;

// A high pipe_mindirect keeps every write on the buffered path, as short segments do on FreeBSD.
describeMount('writing through the ring', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512', '--sysctl', 'kern.ipc.pipe_mindirect=16M']);
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
    // What must not raise SIGPIPE shall end the driver if it does.
    await b.call({ call: 'sigpipe', action: 'default' });
  });
  afterAll(() => mount.stop());

  /** A pipe with so many bytes of room in a ring of 64 KiB; both descriptors without blocking. */
  async function nearlyFull(
    name: string,
    room: number,
  ): Promise<{ path: string; reader: number; writer: number }> {
    const path = await mount.fifo(name);
    const ends = await openEndsNonBlocking(a, b, path);
    expect((await b.writePattern(ends.writer, 65536)).result).toBe(65536);
    if (room > 0) expect(await readPattern(a, ends.reader, room)).toEqual([room, 0]);
    return { path, ...ends };
  }

  test('P18, P19: a ring grows once at the start of a write, to 64 KiB at most', async () => {
    const path = await mount.fifo('growth');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    expect((await b.writePattern(writer, 16384)).result).toBe(16384);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 16384, size: 16384 });
    expect((await b.writePattern(writer, 1)).result).toBe(1);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 16385, size: 32768 });
    expect((await b.writePattern(writer, 100_000)).result).toBe(49151);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65536, size: 65536 });
    expect((await b.writePattern(writer, 1)).result).toBe(EAGAIN);
    expect(await readPattern(a, reader, 16384)).toEqual([16384, 0]);
  });

  test('P17: the content of a ring that wraps survives its growth in order', async () => {
    const path = await mount.fifo('resize');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    await b.writePattern(writer, 16384);
    expect(await readPattern(a, reader, 10_000)).toEqual([10_000, 0]);
    expect((await b.writePattern(writer, 9000)).result).toBe(9000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 15384, in: 9000, out: 10_000, size: 16384 });
    expect((await b.writePattern(writer, 2000)).result).toBe(2000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 17384, in: 17384, out: 0, size: 32768 });
    expect(await readPattern(a, reader, 6384, 10_000)).toEqual([6384, 0]);
    expect(await readPattern(a, reader, 9000)).toEqual([9000, 0]);
    expect(await readPattern(a, reader, 9000)).toEqual([2000, 0]);
  });

  test('P51, P131: a write whose readers are gone is EPIPE', async () => {
    const path = await mount.fifo('epipe');
    const { reader, writer } = await openEnds(a, a, path);
    await a.close(reader);
    expect((await a.write(writer, 'x')).result).toBe(EPIPE);
    expect((await a.writePattern(writer, 100_000)).result).toBe(EPIPE);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 0, readers: 0, writers: 1, state: 'no-reader' });
  });

  test('P52: EPIPE comes with SIGPIPE, which ends a process that does not ignore it', async () => {
    await mount.fifo('sigpipe');
    const ended = await mount.output(
      'yes > pipes/sigpipe & head -n 2 < pipes/sigpipe; wait $!; echo status $?',
    );
    expect(ended).toBe('y\ny\nstatus 141\n');
    const driver = await mount.driver();
    const { reader, writer } = await openEnds(a, driver, 'pipes/sigpipe');
    await driver.call({ call: 'sigpipe', action: 'default' });
    await a.close(reader);
    expect((await driver.write(writer, 'x')).text).toBe('the driver ended with SIGPIPE');
  });

  test('P52: a process that ignores SIGPIPE sees EPIPE', async () => {
    await mount.fifo('ignored');
    const script = `trap '' PIPE; yes > pipes/ignored & head -n 1 < pipes/ignored; wait $!; echo status $?`;
    const { stdout, stderr } = await mount.sh(script);
    expect(stdout).toBe('y\nstatus 1\n');
    expect(stderr).toContain('Broken pipe');
  });

  test('P54, P58: up to PIPE_BUF a write is stored whole or is EAGAIN', async () => {
    const { path, writer } = await nearlyFull('atomic', 100);
    expect((await b.writePattern(writer, 200)).result).toBe(EAGAIN);
    expect((await b.writePattern(writer, 512)).result).toBe(EAGAIN);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65436 });
    expect((await b.writePattern(writer, 100)).result).toBe(100);
  });

  test('P55, P58: beyond PIPE_BUF a non-blocking write stores what fits', async () => {
    const { path, writer } = await nearlyFull('split', 100);
    expect((await b.writePattern(writer, 513)).result).toBe(100);
    expect((await b.writePattern(writer, 513)).result).toBe(EAGAIN);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65536 });
  });

  test('P54: a blocking write of PIPE_BUF waits for room for all of it', async () => {
    const { path, reader, writer } = await nearlyFull('atomic-wait', 100);
    await b.setNonBlocking(writer, false);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 512 });
    await mount.untilBlocked(path, 'pipewr');
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65436, 'blocked-writers': 1 });
    expect(await readPattern(a, reader, 65436, 100)).toEqual([65436, 0]);
    expect((await write.promise).result).toBe(512);
    expect(await readPattern(a, reader, 1000)).toEqual([512, 0]);
  });

  test('P56: a vectored write is held against PIPE_BUF by its sum', async () => {
    const { path, writer } = await nearlyFull('vector', 300);
    expect((await b.call({ call: 'writev', fd: writer, counts: [200, 200] })).result).toBe(EAGAIN);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65236 });
    expect((await b.call({ call: 'writev', fd: writer, counts: [300, 300] })).result).toBe(300);
  });

  test('P57, P66: a long blocking write shows what it has stored and ends when all of it is', async () => {
    const path = await mount.fifo('long');
    const { reader, writer } = await openEnds(a, b, path);
    const polled = a.begin({ call: 'poll', fds: [{ fd: reader, events: LINUX_POLLIN }], timeoutMs: 10_000 });
    await a.untilPolling();
    const write = b.begin({ call: 'writePattern', fd: writer, count: 200_000 });
    await mount.untilBlocked(path, 'pipewr');
    const { events, elapsedMs } = await polled.promise;
    expect(events).toEqual([LINUX_POLLIN]);
    // Not by the last look that poll takes when its time is over.
    expect(elapsedMs).toBeLessThan(5000);
    expect(write.result).toBeNull();
    let offset = 0;
    while (offset < 200_000) {
      const [count, wrong] = await readPattern(a, reader, 7000, offset);
      expect(wrong).toBe(0);
      expect(count).toBeGreaterThan(0);
      offset += count;
    }
    expect((await write.promise).result).toBe(200_000);
  });

  test('P59: a signal ends a blocked write with its short count, or EINTR when nothing was stored', async () => {
    const path = await mount.fifo('signal');
    const { writer } = await openEnds(a, b, path);
    const partial = b.begin({ call: 'writePattern', fd: writer, count: 100_000 });
    await mount.untilBlocked(path, 'pipewr');
    b.interrupt();
    expect((await partial.promise).result).toBe(65536);
    const nothing = b.begin({ call: 'writePattern', fd: writer, count: 100 });
    await mount.untilBlocked(path, 'pipewr');
    b.interrupt();
    expect((await nothing.promise).result).toBe(EINTR);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 65536, 'blocked-writers': 0 });
  });

  test('P60: when the reader leaves, a blocked write returns what it stored, without SIGPIPE', async () => {
    const path = await mount.fifo('short-count');
    const { reader, writer } = await openEnds(a, b, path);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 100_000 });
    await mount.untilBlocked(path, 'pipewr');
    await a.close(reader);
    expect((await write.promise).result).toBe(65536);
    await b.call({ call: 'sigpipe', action: 'ignore' });
    expect((await b.write(writer, 'x')).result).toBe(EPIPE);
    await b.call({ call: 'sigpipe', action: 'default' });
  });

  test('P60: a write of 3 MiB whose reader leaves in its second MiB returns the count, without SIGPIPE', async () => {
    const path = await mount.fifo('second-part');
    const { reader, writer } = await openEnds(a, b, path);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 3 * MIB });
    for (let offset = 0; offset < MIB;) {
      const [count, wrong] = await readPattern(a, reader, Math.min(65536, MIB - offset), offset);
      expect(wrong).toBe(0);
      offset += count;
    }
    await mount.untilBlocked(path, 'pipewr');
    const stored = Number((await mount.pipe(path))['cnt']);
    expect(stored).toBeGreaterThan(0);
    await a.close(reader);
    expect((await write.promise).result).toBe(MIB + stored);
  });

  test('P57: a write of 3 MiB behaves as one call', async () => {
    const path = await mount.fifo('big-write');
    const { reader, writer } = await openEnds(a, b, path);
    const write = b.begin({ call: 'writePattern', fd: writer, count: 3 * MIB });
    for (let offset = 0; offset < 3 * MIB;) {
      const [count, wrong] = await readPattern(a, reader, MIB, offset);
      expect(wrong).toBe(0);
      expect(count).toBeGreaterThan(0);
      offset += count;
    }
    expect((await write.promise).result).toBe(3 * MIB);
  });

  test('P58: a non-blocking write of 3 MiB stores what fits', async () => {
    const path = await mount.fifo('big-nonblocking');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    expect((await b.writePattern(writer, 3 * MIB)).result).toBe(65536);
    expect(await readPattern(a, reader, 3 * MIB)).toEqual([65536, 0]);
  });

  test('P62, P139: the modify time moves with every write that stored bytes, and only then', async () => {
    const path = await mount.fifo('mtime');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const opened = (await statOf(b, writer)).mtimeMs;
    await nextTick();
    const startMs = Date.now();
    expect((await b.writePattern(writer, 100_000)).result).toBe(65536);
    const stored = (await statOf(b, writer)).mtimeMs;
    expect(stored).toBeGreaterThan(opened);
    expect(stored).toBeGreaterThanOrEqual(startMs - 2);
    expect(stored).toBeLessThanOrEqual(Date.now());
    await nextTick();
    expect((await b.writePattern(writer, 1)).result).toBe(EAGAIN);
    expect((await statOf(b, writer)).mtimeMs).toBe(stored);
    await a.read(reader, 100);
    expect((await statOf(b, writer)).mtimeMs).toBe(stored);
    await b.setNonBlocking(writer, false);
    const interrupted = b.begin({ call: 'writePattern', fd: writer, count: 1000 });
    await mount.untilBlocked(path, 'pipewr');
    b.interrupt();
    expect((await interrupted.promise).result).toBe(100);
    expect((await statOf(b, writer)).mtimeMs).toBeGreaterThan(stored);
  });

  test('P67: the messages sent of an open file are its writes that stored bytes', async () => {
    const path = await mount.fifo('sent');
    const { writer } = await openEndsNonBlocking(a, b, path);
    for (const result of [32768, 32768, EAGAIN]) {
      expect((await b.writePattern(writer, 32768)).result).toBe(result);
    }
    const row = (await mount.table('handles')).find(
      (handle) => handle['path'] === path && handle['mode'] === 'w',
    );
    expect(row).toMatchObject({ 'msgs-in': 0, 'msgs-out': 2 });
  });

  test('P68: readiness goes by the ring as it is, though a write would make it grow', async () => {
    const path = await mount.fifo('pessimist');
    const { writer } = await openEndsNonBlocking(a, b, path);
    await b.writePattern(writer, 16000);
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(0);
    expect((await b.writePattern(writer, 1000)).result).toBe(1000);
    expect(await mount.pipe(path)).toMatchObject({ cnt: 17000, size: 32768 });
    expect(await b.poll(writer, LINUX_POLLOUT)).toBe(LINUX_POLLOUT);
  });
});
