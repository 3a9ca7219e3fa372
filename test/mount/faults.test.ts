import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EAGAIN, EINTR, EIO, EPIPE } from '../../src/kern/errno.ts';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, type Row, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { ControlFile } from '../support/shm-files.ts';

const POLLIN = 1;
const POLLOUT = 4;
const POLLHUP = 16;

describeMount('faults on demand', () => {
  let mount: TestMount;
  let control: ControlFile;
  let driver: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    control = await ControlFile.open(mount, {}, 'ctl');
    driver = await mount.driver();
  });
  afterAll(() => mount.stop());
  afterEach(async () => {
    await control.ask('fault remove all');
    await mount.output(
      'rm -rf pipes/* kqueues/* shm/0x*; for n in pairs/*; do [ -d $n ] && rmdir $n; done; true',
    );
  });

  const add = (fault: string): Promise<number> => control.id(`fault add ${fault}`);
  const faultRow = async (id: number): Promise<Row> => {
    const row = (await mount.table('faults')).find((candidate) => candidate['id'] === id);
    if (row === undefined) throw new Error(`info/faults has no ${id}`);
    return row;
  };
  /** A pipe that the driver has open in both directions. */
  const openPipe = async (mode = 'rw'): Promise<number> => {
    await mount.fifo('q');
    return driver.open('pipes/q', mode);
  };

  test('requests are answered on the same descriptor, and info/faults shows what they have added', async () => {
    const id = await add('pipes/* read short=3 every=2 count=5');
    expect(await control.askAll('fault list\n')).toBe(
      `ok 1\n${id} pipes/* read short=3 every=2 count=5 calls=0 hits=0\n`,
    );
    const fd = await openPipe();
    await driver.write(fd, 'abcdefgh');
    expect((await driver.read(fd, 4)).text).toBe('abcd');
    expect((await driver.read(fd, 4)).text).toBe('efg');
    expect(await faultRow(id)).toEqual({
      id,
      uid: 0,
      object: 'pipes/*',
      call: 'read',
      action: 'short=3',
      schedule: 'every=2',
      pid: '-',
      count: 5,
      calls: 2,
      hits: 1,
      blocked: 0,
      state: 'active',
    });
    expect(await control.ask(`fault remove ${id}`)).toBe('ok');
    expect(await control.ask(`fault remove ${id}`)).toBe(
      `error ENOENT there is no fault ${id}: read info/faults`,
    );
    expect(await control.ask('fault add pipes/* read short')).toMatch(
      /^error EINVAL short takes a number from 1 to 65536/,
    );
    await driver.close(fd);
  });

  test('errno: opens, reads, writes and ioctls of pipes, pairs and kqueues fail with it', async () => {
    await mount.output('mkfifo pipes/q; mkdir pairs/p; touch kqueues/k');
    await add('** open errno=EMFILE');
    for (const path of ['pipes/q', 'pairs/p/0', 'kqueues/k', 'kqueue'])
      expect((await mount.sh(`exec 3<>${path}`)).stderr).toContain('Too many open files');
    await control.ask('fault remove all');
    const fds = await Promise.all(
      ['pipes/q', 'pairs/p/0', 'kqueues/k'].map((path) => driver.open(path, 'rw')),
    );
    await add('** read errno=EIO');
    await add('** write errno=EIO');
    for (const fd of fds) {
      expect((await driver.read(fd, 1)).result).toBe(-EIO);
      expect((await driver.write(fd, 'x')).result).toBe(-EIO);
      await driver.close(fd);
    }
    expect((await mount.sh('echo x > pipes/new')).stderr).toContain('Input/output error');
  });

  test('errno=EPIPE comes with SIGPIPE', async () => {
    await add('pipes/q write errno=EPIPE');
    const { status } = await mount.sh('exec 3<>pipes/q; bash -c "printf x >&3; echo survived"; exit $?');
    expect(status).toBe(141);
  });

  test('errno: attach and size of a segment fail with it, by its file and by shm/ctl', async () => {
    await add('shm/* size errno=ENOSPC count=1');
    expect((await mount.sh('truncate -s 8192 shm/0x77')).stderr).toContain('No space left on device');
    await mount.output('truncate -s 8192 shm/0x77');
    const id = await add('shm/0x00000077 attach errno=EACCES');
    expect((await mount.sh('cat shm/0x77')).stderr).toContain('Permission denied');
    const segment = (await mount.table('shm'))[0]!['id']!;
    const segments = await ControlFile.open(mount);
    expect(await segments.ask(`attach ${segment}`)).toBe('error EACCES');
    expect(await faultRow(id)).toMatchObject({ calls: 2, hits: 2 });
  });

  test('split: a reader sees the pieces of a write', async () => {
    const fd = await openPipe();
    await add('pipes/q write split=3000');
    const writer = await mount.driver();
    const writing = writer.begin({
      call: 'writePattern',
      fd: await writer.open('pipes/q', 'w'),
      count: 8000,
    });
    await mount.untilBlocked('pipes/q', 'pipewr');
    const sizes = [];
    for (let left = 8000; left > 0; left -= sizes.at(-1)!) sizes.push((await driver.read(fd, 65_536)).result);
    expect(sizes).toEqual([3000, 3000, 2000]);
    expect((await writing.promise).result).toBe(8000);
    await driver.close(fd);
  });

  test('delay: a call takes as long, and a signal ends it', async () => {
    const fd = await openPipe();
    await driver.write(fd, 'ab');
    await add('pipes/q read delay=300ms count=1');
    const { result, elapsedMs } = await driver.read(fd, 1);
    expect(result).toBe(1);
    expect(elapsedMs).toBeGreaterThanOrEqual(299);
    await add('pipes/q read delay=60m');
    const long = driver.begin({ call: 'read', fd, count: 1 });
    await mount.untilBlocked('pipes/q', 'fault');
    driver.interrupt();
    expect((await long.promise).result).toBe(-EINTR);
    await driver.close(fd);
  });

  test('eof: a reader ends, and the next one gets what is queued', async () => {
    const script = 'exec 3<>pipes/q; echo kept >&3; cat pipes/q; echo end; head -n 1 <&3';
    await add('pipes/q read eof count=1');
    expect(await mount.output(script)).toBe('end\nkept\n');
  });

  test('hangup: reads are at the end, writes EPIPE, and polls that sleep are told', async () => {
    await mount.output('mkdir pairs/p');
    const fd = await driver.open('pairs/p/0', 'rw');
    const other = await mount.driver();
    const otherFd = await other.open('pairs/p/1', 'rw');
    const polling = driver.begin({ call: 'poll', fds: [{ fd, events: POLLIN }], timeoutMs: 20_000 });
    await driver.untilPolling();
    await add('pairs/p/0 poll hangup');
    expect((await polling.promise).events).toEqual([POLLIN | POLLHUP]);
    expect((await driver.read(fd, 1)).result).toBe(0);
    expect((await driver.write(fd, 'x')).result).toBe(-EPIPE);
    expect(await other.poll(otherFd, POLLOUT)).toBe(POLLOUT);
    await control.ask('fault remove all');
    expect((await driver.write(fd, 'x')).result).toBe(1);
    await driver.close(fd);
    await other.close(otherFd);
  });

  test('signal: the caller gets it, and the call ends as by any signal', async () => {
    const fd = await openPipe();
    await driver.write(fd, 'ab');
    const id = await add('pipes/q read signal=USR1 count=1');
    expect((await driver.read(fd, 1)).result).toBe(-EINTR);
    expect((await driver.read(fd, 1)).result).toBe(1);
    expect(await faultRow(id)).toMatchObject({ calls: 1, hits: 1, state: 'spent' });
    await add(`pipes/q read signal=TERM`);
    expect(await mount.output('cat pipes/q & wait $!; echo $?')).toBe('143\n');
    const ignoring = await mount.sh(`bash -c "trap '' TERM; exec head -c 1 pipes/q"`);
    expect([ignoring.status, ignoring.stdout]).toEqual([0, 'b']);
    await driver.close(fd);
  });

  test('stall: calls wait in info/waits until the fault is removed; kill -9 and a signal end them', async () => {
    await mount.output('mkfifo pipes/q; touch kqueues/k');
    const fd = await driver.open('pipes/q', 'rw');
    const queue = await driver.open('kqueues/k', 'rw');
    await driver.write(fd, 'abc');
    const id = await add('** read stall');
    const reading = driver.begin({ call: 'read', fd, count: 3 });
    const killed = mount.start('exec cat pipes/q', { timeoutMs: 60_000 });
    await mount.untilBlocked('pipes/q', 'fault', 2);
    const waits = await mount.table('waits');
    expect(waits.map((row) => [row['call'], row['until'], row['peers']])).toEqual([
      ['read', `fault ${id} is removed`, '-'],
      ['read', `fault ${id} is removed`, '-'],
    ]);
    killed.kill('SIGKILL');
    await killed.finished();
    await mount.untilBlocked('pipes/q', 'fault', 1);
    expect(await faultRow(id)).toMatchObject({ blocked: 1, calls: 2, hits: 2 });
    driver.interrupt();
    expect((await reading.promise).result).toBe(-EINTR);
    const again = driver.begin({ call: 'read', fd, count: 3 });
    await mount.untilBlocked('pipes/q', 'fault', 1);
    expect(await control.ask(`fault remove ${id}`)).toBe('ok');
    expect((await again.promise).text).toBe('abc');
    await add('kqueues/k read stall');
    await driver.setNonBlocking(queue);
    expect((await driver.read(queue, 100)).result).toBe(-EAGAIN);
    await driver.close(fd);
    await driver.close(queue);
  });

  test('300 stalled calls of one process go on when the fault is removed, and others are served meanwhile', async () => {
    await add('pipes/q read stall');
    const running = mount.start(
      `exec python3 -c '
import os, threading
fd = os.open("pipes/q", os.O_RDWR)
os.write(fd, b"x" * 300)
got = []
threads = [threading.Thread(target=lambda: got.append(os.read(fd, 1))) for _ in range(300)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(got), set(got))'`,
      { timeoutMs: 60_000 },
    );
    await mount.output('touch pipes/q');
    await mount.untilBlocked('pipes/q', 'fault', 300);
    expect(await mount.output('mkfifo pipes/r; exec 3<>pipes/r; echo served >&3; head -n 1 <&3')).toBe(
      'served\n',
    );
    await control.ask('fault remove all');
    await running.finished();
    expect(running.stdout).toBe("300 {b'x'}\n");
  });

  test('a fault is for the process that it names', async () => {
    const fd = await openPipe();
    await driver.write(fd, 'ab');
    await add(`pipes/q read errno=EIO pid=${driver.pid}`);
    expect(await mount.output('head -c 1 pipes/q')).toBe('a');
    expect((await driver.read(fd, 1)).result).toBe(-EIO);
    await driver.close(fd);
  });

  test('a poll of ctl says when there is an answer, and tools that read every file go on', async () => {
    const fd = await driver.open('ctl', 'rw');
    expect(await driver.poll(fd, POLLIN | POLLOUT)).toBe(POLLOUT);
    await driver.write(fd, 'fault list\n');
    expect(await driver.poll(fd, POLLIN)).toBe(POLLIN);
    await add('** any stall');
    expect(
      await mount.output('cat ctl shm/ctl .gitignore; ls -R > /dev/null; grep -c stall info/faults'),
    ).toBe('*\n1\n');
    await driver.close(fd);
  });

  test('the mount ends while calls are stalled', async () => {
    const own = await TestMount.start();
    await own.output('mkfifo pipes/q; echo "fault add pipes/q any stall" > ctl');
    const stalled = own.start('exec cat pipes/q', { timeoutMs: 60_000 });
    await own.untilBlocked('pipes/q', 'fault');
    own.server.child.kill('SIGTERM');
    await until(
      () => stalled.isFinished,
      () => 'the end of the stalled call',
    );
    await own.stop();
  });
});
