import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import {
  FIOASYNC,
  FIONREAD,
  FIOSETOWN,
  LINUX_POLLHUP,
  LINUX_POLLIN,
  LINUX_POLLOUT,
  O_RDWR,
} from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { nextTick, readPattern, statOf } from '../support/pipe-ends.ts';
import { until } from '../support/process.ts';

const ENXIO = -6;
const EBADF = -9;
const EAGAIN = -11;
const EPIPE = -32;

interface Pair {
  readonly path: string;
  /** Descriptors of NAME/0 in driver a and NAME/1 in driver b. */
  readonly zero: number;
  readonly one: number;
}

describeMount('pairs', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b] = await Promise.all([mount.driver(), mount.driver()]);
    await b.call({ call: 'sigpipe', action: 'default' });
  });
  afterAll(() => mount.stop());

  /** A new pair with each end open for both directions. */
  async function pair(name: string, mode = 'rw'): Promise<Pair> {
    await mount.output(`mkdir pairs/${name}`);
    const path = `pairs/${name}`;
    return { path, zero: await a.open(`${path}/0`, mode), one: await b.open(`${path}/1`, mode) };
  }

  function used(): Promise<number> {
    return mount.sysctl('kern.ipc.pipekva');
  }

  test('P1: what goes in at one end comes out at the other, both ways', async () => {
    const { zero, one } = await pair('both-ways');
    await a.write(zero, 'ab');
    await b.write(one, 'cd');
    expect((await b.read(one, 10)).text).toBe('ab');
    expect((await a.read(zero, 10)).text).toBe('cd');
  });

  test('P1: two shells talk through one pair', async () => {
    await mount.output('mkdir pairs/shells');
    const answer = `exec 3<> pairs/shells/1; read -r line <&3; echo "you said $line" >&3`;
    const ask = 'exec 3<> pairs/shells/0; echo hello >&3; read -r line <&3; echo "$line"';
    expect(await mount.output(`(${answer}) & (${ask}); wait`)).toBe('you said hello\n');
  });

  test('P3, P15: a pair costs 16384 and 4096 bytes from the mkdir on', async () => {
    const before = await used();
    await mount.output('mkdir pairs/cost');
    expect(await used()).toBe(before + 20480);
    expect(await mount.pipe('pairs/cost/0')).toMatchObject({ size: 16384, state: 'open' });
    expect(await mount.pipe('pairs/cost/1')).toMatchObject({ size: 4096, state: 'open' });
    await mount.output('rmdir pairs/cost');
    expect(await used()).toBe(before);
  });

  test('P9, P63: both ends start with one time, and a write moves the modify time of the other end', async () => {
    const { zero, one } = await pair('times');
    const start = await statOf(a, zero);
    expect(await statOf(b, one)).toMatchObject({
      atimeMs: start.atimeMs,
      mtimeMs: start.atimeMs,
      ctimeMs: start.atimeMs,
    });
    expect(start).toMatchObject({ mtimeMs: start.atimeMs, ctimeMs: start.atimeMs });
    await nextTick();
    await b.write(one, 'x');
    const written = await statOf(a, zero);
    expect(written.mtimeMs).toBeGreaterThan(start.mtimeMs);
    expect(written).toMatchObject({ atimeMs: start.atimeMs, ctimeMs: start.ctimeMs });
    expect((await statOf(b, one)).mtimeMs).toBe(start.mtimeMs);
    await a.read(zero, 1);
    const read = await statOf(a, zero);
    expect(read.atimeMs).toBeGreaterThan(start.atimeMs);
    expect(read).toMatchObject({ mtimeMs: written.mtimeMs, ctimeMs: start.ctimeMs });
  });

  test('P22: the reverse ring starts at 4096 bytes and grows like the other', async () => {
    const { path, zero, one } = await pair('reverse', 'rwn');
    const before = await used();
    expect((await a.writePattern(zero, 5000)).result).toBe(5000);
    expect(await used()).toBe(before + 4096);
    expect(await mount.pipe(`${path}/1`)).toMatchObject({ cnt: 5000, size: 8192 });
    expect((await a.writePattern(zero, 100_000)).result).toBe(65536 - 5000);
    expect(await readPattern(b, one, 5000)).toEqual([5000, 0]);
  });

  test('P110: the table shows what each ring holds', async () => {
    const { path, zero, one } = await pair('info');
    await b.write(one, '0123456789');
    await a.read(zero, 4);
    expect(await mount.pipe(`${path}/0`)).toMatchObject({ cnt: 6, in: 10, out: 4, size: 16384 });
    expect(await mount.pipe(`${path}/1`)).toMatchObject({ cnt: 0, in: 0, out: 0, size: 4096 });
    expect(await mount.output(`stat -c %s ${path}/0`)).toBe('6\n');
    expect((await statOf(a, zero)).size).toBe(0);
    expect((await a.ioctl(zero, FIONREAD)).value).toBe(6);
    expect((await b.ioctl(one, FIONREAD)).value).toBe(0);
  });

  test('P113: closing an end ends a read that waits at the other', async () => {
    const { path, zero, one } = await pair('close-read');
    const read = a.begin({ call: 'read', fd: zero, count: 10 });
    await mount.untilBlocked(`${path}/0`, 'piperd');
    await b.close(one);
    expect((await read.promise).result).toBe(0);
    expect((await a.read(zero, 10)).result).toBe(0);
    expect((await a.write(zero, 'x')).result).toBe(EPIPE);
  });

  test('P50, P113: closing an end ends the write that waits for room in it, and then completes', async () => {
    const { path, zero, one } = await pair('close-write', 'rwn');
    expect((await b.writePattern(one, 65536)).result).toBe(65536);
    await b.setNonBlocking(one, false);
    await b.call({ call: 'sigpipe', action: 'ignore' });
    const write = b.begin({ call: 'write', fd: one, text: 'waits' });
    await mount.untilBlocked(`${path}/1`, 'pipewr');
    const before = await used();
    expect((await a.close(zero)).result).toBe(0);
    expect((await write.promise).result).toBe(EPIPE);
    await b.call({ call: 'sigpipe', action: 'default' });
    expect(await mount.pipe(`${path}/0`)).toMatchObject({ state: 'closed', size: 0 });
    expect(await used()).toBe(before - 65536);
  });

  test('P50, P60: a write that had stored some is its short count when the end closes', async () => {
    await mount.setSysctl('kern.ipc.pipe_mindirect', 1_000_000);
    try {
      const { path, zero, one } = await pair('close-part');
      const write = b.begin({ call: 'writePattern', fd: one, count: 100_000 });
      await mount.untilBlocked(`${path}/1`, 'pipewr');
      await a.close(zero);
      expect((await write.promise).result).toBe(65536);
    } finally {
      await mount.setSysctl('kern.ipc.pipe_mindirect', 8192);
    }
  });

  test('P114: bytes in the ring of the end that closes are lost, bytes in the other stay', async () => {
    const { path, zero, one } = await pair('stay');
    await b.write(one, 'abc');
    await b.close(one);
    expect((await a.read(zero, 10)).text).toBe('abc');
    expect((await a.read(zero, 10)).result).toBe(0);
    expect(await mount.pipe(`${path}/0`)).toMatchObject({ state: 'eof' });
    const lost = await pair('lost');
    await b.write(lost.one, 'abc');
    await a.close(lost.zero);
    expect(await mount.pipe(`${lost.path}/0`)).toMatchObject({ cnt: 0, state: 'closed' });
    expect((await b.read(lost.one, 10)).result).toBe(0);
  });

  test('P115: the memory of a ring is given back when its end closes', async () => {
    const before = await used();
    const { zero, one } = await pair('memory');
    expect(await used()).toBe(before + 20480);
    await a.close(zero);
    expect(await used()).toBe(before + 4096);
    await b.close(one);
    expect(await used()).toBe(before);
  });

  test('P117: a closed end is gone for good, its descriptor too', async () => {
    const { path, zero, one } = await pair('gone');
    expect((await a.close(zero)).result).toBe(0);
    expect((await a.read(zero, 1)).result).toBe(EBADF);
    expect((await a.call({ call: 'open', path: `${path}/0`, flags: O_RDWR })).result).toBe(ENXIO);
    await b.close(one);
    await mount.output(`rmdir ${path}`);
  });

  test('P113, P117: an end closes with its last descriptor, not before', async () => {
    const { path, zero, one } = await pair('last');
    const other = await b.open(`${path}/1`, 'rw');
    await b.close(one);
    await a.setNonBlocking(zero);
    expect((await a.read(zero, 1)).result).toBe(EAGAIN);
    await b.write(other, 'x');
    await b.close(other);
    expect((await a.read(zero, 10)).text).toBe('x');
    expect((await a.read(zero, 10)).result).toBe(0);
  });

  test('P51, P52, P113: writing to a closed end is EPIPE and SIGPIPE', async () => {
    const { path, zero, one } = await pair('sigpipe');
    await b.close(one);
    expect((await a.write(zero, 'x')).result).toBe(EPIPE);
    const script = `exec 3> ${path}/0; printf x >&3; echo survived`;
    const { status, stdout } = await mount.sh(script);
    expect({ status, stdout }).toEqual({ status: null, stdout: '' });
  });

  test('P90: one descriptor polls both directions, and all at once when the other end has closed', async () => {
    const { zero, one } = await pair('poll', 'rwn');
    const both = LINUX_POLLIN | LINUX_POLLOUT;
    expect(await a.poll(zero, both)).toBe(LINUX_POLLOUT);
    await b.write(one, 'x');
    expect(await a.poll(zero, both)).toBe(both);
    await a.read(zero, 1);
    await a.writePattern(zero, 65536);
    expect(await a.poll(zero, both)).toBe(0);
    const polled = a.begin({ call: 'poll', fds: [{ fd: zero, events: both }], timeoutMs: 10_000 });
    await a.untilPolling();
    await b.close(one);
    const { events, elapsedMs } = await polled.promise;
    expect(events).toEqual([both | LINUX_POLLHUP]);
    expect(elapsedMs).toBeLessThan(5000);
  });

  test('P104: FIOASYNC concerns the end that it is set on', async () => {
    const { zero, one } = await pair('async');
    const traps = "trap 'echo io' IO; trap 'echo mark' USR1";
    const shell = mount.start(`${traps}; echo ready; while :; do read -r; done`);
    await until(() => shell.stdout === 'ready\n');
    await a.ioctl(zero, FIOASYNC, 1);
    await a.ioctl(zero, FIOSETOWN, shell.pid);
    await b.ioctl(one, FIOSETOWN, shell.pid);
    await a.write(zero, 'into the ring of the other end');
    await b.read(one, 100);
    process.kill(shell.pid, 'SIGUSR1');
    await until(() => shell.stdout.includes('mark\n'));
    expect(shell.stdout).toBe('ready\nmark\n');
    await b.write(one, 'x');
    await until(() => shell.stdout === 'ready\nmark\nio\n');
  });

  test('P70, P73: long writes go directly from end to end', async () => {
    const { path, zero, one } = await pair('direct');
    const write = b.begin({ call: 'writePattern', fd: one, count: 300_000 });
    await mount.untilBlocked(`${path}/1`, 'pipdwt');
    expect(await mount.pipe(`${path}/0`)).toMatchObject({ direct: 300_000, cnt: 0, 'blocked-writers': 1 });
    expect(await readPattern(a, zero, 300_000)).toEqual([300_000, 0]);
    expect((await write.promise).result).toBe(300_000);
  });
});
