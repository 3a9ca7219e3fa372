import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EINVAL, ENOSPC } from '../../src/kern/errno.ts';
import { O_CREAT, O_RDWR, O_TRUNC } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import {
  ControlFile,
  errnoOf,
  makeSegment,
  nobody,
  PAGE,
  removeAll,
  segmentRow,
  tryOpen,
} from '../support/shm-files.ts';

const NO_SEGMENTS = 'ctl\nid\n';
const RACERS = 100;

describeMount('segments as files', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(async () => {
    await mount.endDrivers();
    await removeAll(mount);
  });

  async function onlyId(): Promise<number> {
    return Number(await mount.output('ls shm/id'));
  }

  test('S8: names are keys, in hexadecimal or decimal; what is no key does not exist and is EINVAL to make', async () => {
    await mount.output('truncate -s 1 shm/0x1234 shm/77 shm/4294967295');
    expect(await mount.output('ls shm')).toBe(`0x0000004d\n0x00001234\n0xffffffff\n${NO_SEGMENTS}`);
    expect(await mount.output('stat -c %s shm/0X1234 shm/4660 shm/0x000001234 shm/0x4D')).toBe(
      '1\n1\n1\n1\n',
    );
    const driver = await mount.driver();
    for (const name of [
      '0',
      '0x0',
      'x',
      '0x',
      '-1',
      '1.5',
      '4294967296',
      '0x100000000',
      '1 ',
      '0b1',
      '0xg',
      'é',
    ]) {
      expect([name, await tryOpen(driver, `shm/${name}`, O_CREAT | O_RDWR)]).toEqual([name, 'EINVAL']);
      expect([name, await tryOpen(driver, `shm/${name}`, O_RDWR)]).toEqual([name, 'ENOENT']);
    }
    expect(await tryOpen(driver, 'shm/78', O_RDWR)).toBe('ENOENT');
    expect((await mount.sh('mkdir shm/5 || mkfifo shm/6 || ln shm/77 shm/7 || mv shm/77 shm/8')).status).toBe(
      1,
    );
    expect(await mount.output('ls shm')).toBe(`0x0000004d\n0x00001234\n0xffffffff\n${NO_SEGMENTS}`);
  });

  test('S14: cp, dd, cat and > make segments of the size that they write', async () => {
    await mount.output('seq 10000 > /proc/self/fd/1 | cat > shm/1; printf abc > shm/2');
    await mount.output('seq 20000 | dd of=shm/3 bs=1K iflag=fullblock status=none; cp shm/3 shm/4');
    expect(await mount.output('cmp shm/3 shm/4; stat -c %s shm/2 shm/3 shm/4')).toBe('3\n108894\n108894\n');
    expect(await mount.output('seq 20000 | cmp - shm/4 && od -An -c shm/2')).toBe('   a   b   c\n');
    expect(await mount.output('cat shm/2 shm/2')).toBe('abcabc');
  });

  test('S14: a creation without a size leaves nothing', async () => {
    await mount.output(': > shm/1; touch shm/2');
    expect(await mount.output('ls shm')).toBe(NO_SEGMENTS);
    const driver = await mount.driver();
    await driver.call({ call: 'open', path: 'shm/3', flags: O_CREAT | O_RDWR, mode: 0o600 });
    driver.kill();
    await until(async () => (await mount.table('shm')).length === 0);
    expect(await mount.output('ls shm')).toBe(NO_SEGMENTS);
  });

  test('S14, S15, S20: the mode of the open, its caller, and times', async () => {
    await mount.output('umask 027; truncate -s 5000 shm/1', nobody);
    expect(await mount.output('stat -c "%a %u %g %s %h %F" shm/1')).toBe(
      '640 65534 65534 5000 1 regular file\n',
    );
    expect(await segmentRow(mount, await onlyId())).toMatchObject({
      key: '0x00000001',
      mode: '0640',
      owner: 65534,
      group: 65534,
      creator: 65534,
      cgroup: 65534,
      size: 5000,
      nattch: 0,
      state: 'live',
    });
  });

  test('S26: a size is for ever', async () => {
    const driver = await mount.driver();
    const fd = await makeSegment(driver, 'shm/1', 100);
    for (const size of [1, 99, 101, PAGE]) {
      expect((await driver.call({ call: 'ftruncate', fd, size })).result).toBe(-EINVAL);
    }
    for (const size of [0, 100]) expect((await driver.call({ call: 'ftruncate', fd, size })).result).toBe(0);
    await driver.call({ call: 'pwrite', fd, text: 'begin', offset: 0 });
    await driver.close(fd);
    expect(await tryOpen(driver, 'shm/1', O_RDWR | O_TRUNC)).toBe('ok');
    expect(await mount.output('head -c 5 shm/1; stat -c %s shm/1')).toBe('begin100\n');
    expect((await mount.sh('truncate -s 5 shm/1')).stderr).toContain('Invalid argument');
  });

  test('S17: what goes beyond the end is short, and then ENOSPC', async () => {
    const driver = await mount.driver();
    const fd = await makeSegment(driver, 'shm/1', 100);
    expect((await driver.call({ call: 'pwrite', fd, text: 'abcdef', offset: 97 })).result).toBe(3);
    expect((await driver.call({ call: 'pwrite', fd, text: 'x', offset: 100 })).result).toBe(-ENOSPC);
    expect((await driver.call({ call: 'pread', fd, count: 10, offset: 97 })).text).toBe('abc');
    expect((await driver.call({ call: 'pread', fd, count: 10, offset: 100 })).result).toBe(0);
    expect((await mount.sh('head -c 200 /dev/zero > shm/1')).stderr).toContain('No space left');
  });

  test('S38, S39, S46, S47: open attaches and close detaches', async () => {
    const driver = await mount.driver();
    await mount.output('truncate -s 1 shm/1');
    const id = await onlyId();
    const before = await segmentRow(mount, id);
    const fd = await driver.open('shm/1', 'r');
    expect(await segmentRow(mount, id)).toMatchObject({ nattch: 1, lpid: driver.pid, cpid: before!['cpid'] });
    await mount.output('cat shm/1 > /dev/null');
    const [row] = await mount.table('shm');
    expect(row!['lpid']).not.toBe(driver.pid);
    await driver.close(fd);
    await until(async () => (await segmentRow(mount, id))!['nattch'] === 0);
    expect((await segmentRow(mount, id))!['lpid']).toBe(driver.pid);
  });

  test('S55: a removed segment is gone from shm/ at once, and its users keep it', async () => {
    const driver = await mount.driver();
    const fd = await makeSegment(driver, 'shm/1', 100);
    const id = await onlyId();
    await mount.output('rm shm/1');
    expect(await mount.output('ls shm; ls shm/id')).toBe(NO_SEGMENTS);
    expect(await tryOpen(driver, 'shm/1', O_RDWR)).toBe('ENOENT');
    expect(await tryOpen(driver, `shm/id/${id}`, O_RDWR)).toBe('ENOENT');
    expect((await driver.call({ call: 'pwrite', fd, text: 'on', offset: 0 })).result).toBe(2);
    expect((await driver.call({ call: 'pread', fd, count: 2, offset: 0 })).text).toBe('on');
    expect(await segmentRow(mount, id)).toMatchObject({ state: 'removed', nattch: 1 });
    await mount.output('printf new > shm/1');
    expect(await mount.output('cat shm/1')).toBe('new');
    await driver.close(fd);
    await until(async () => (await segmentRow(mount, id)) === null);
  });

  test('S54: chmod and chown are IPC_SET', async () => {
    await mount.output('truncate -s 1 shm/1; chmod 4751 shm/1; chown 12:34 shm/1');
    const control = await ControlFile.open(mount);
    expect(await control.stat(await onlyId())).toMatchObject({
      mode: '0751',
      uid: '12',
      gid: '34',
      cuid: '0',
      cgid: '0',
    });
  });

  test('S3: shm/id has the same segments by id, private ones too', async () => {
    const control = await ControlFile.open(mount);
    const id = await control.id('get private 3 0644');
    await mount.output(`printf abc > shm/id/${id}; printf def > shm/9`);
    expect(await mount.output(`cat shm/id/${id}`)).toBe('abc');
    const keyed = await control.id('get 9 0');
    expect(await mount.output(`cat shm/id/${keyed}; [ shm/9 -ef shm/id/${keyed} ] && echo same`)).toBe(
      'defsame\n',
    );
    const driver = await mount.driver();
    expect(await tryOpen(driver, 'shm/id/99', O_RDWR)).toBe('ENOENT');
    for (const name of ['x', '-1', '007', '0x1']) {
      expect([name, await tryOpen(driver, `shm/id/${name}`, O_RDWR)]).toEqual([name, 'ENOENT']);
    }
    expect((await mount.sh('truncate -s 5 shm/id/77')).status).toBe(1);
    await mount.output(`rm shm/id/${keyed}`);
    expect(await tryOpen(driver, 'shm/9', O_RDWR)).toBe('ENOENT');
  });

  test('S4, S6, S28: who opens a segment in creation waits, and goes on when it has a size', async () => {
    const [maker, opener] = [await mount.driver(), await mount.driver()];
    const control = await ControlFile.open(mount);
    const { result: fd } = await maker.call({
      call: 'open',
      path: 'shm/0x31',
      flags: O_CREAT | O_RDWR,
      mode: 0o600,
    });
    expect(await mount.output('ls shm/id')).toBe('');
    expect(await mount.table('shm')).toMatchObject([{ state: 'creating', key: '0x00000031' }]);
    const opening = opener.begin({ call: 'open', path: 'shm/0x31', flags: O_RDWR });
    await mount.untilBlocked('shm/0x00000031', 'shmwait');
    const pending = control.ask('get 0x31 0');
    await mount.untilBlocked('shm/ctl', 'shmwait');
    await maker.call({ call: 'ftruncate', fd, size: 10 });
    expect((await opening.promise).result).toBeGreaterThanOrEqual(0);
    expect(await pending).toBe(`ok ${await onlyId()}`);
  });

  test('S28: who waits for a creation that is abandoned gets ENOENT, and EINTR when a signal comes', async () => {
    const [maker, opener] = [await mount.driver(), await mount.driver()];
    const open = { call: 'open', path: 'shm/0x32', flags: O_CREAT | O_RDWR, mode: 0o600 } as const;
    const { result: fd } = await maker.call(open);
    const opening = opener.begin({ call: 'open', path: 'shm/0x32', flags: O_RDWR });
    await mount.untilBlocked('shm/0x00000032', 'shmwait');
    opener.interrupt();
    expect(errnoOf((await opening.promise).result)).toBe('EINTR');
    const again = opener.begin({ call: 'open', path: 'shm/0x32', flags: O_RDWR });
    await mount.untilBlocked('shm/0x00000032', 'shmwait');
    await maker.close(fd);
    expect(errnoOf((await again.promise).result)).toBe('ENOENT');
    expect(await mount.table('shm')).toEqual([]);
  });

  /** Runs `racer` in a hundred processes that start together; their outputs. */
  async function race(racer: string): Promise<string[]> {
    const script = `mkfifo pipes/start; for i in $(seq ${RACERS}); do ( read -r _ < pipes/start; ${racer} ) & done`;
    const running = mount.start(`${script}; wait`, { timeoutMs: 60_000 });
    await mount.untilBlocked('pipes/start', 'fifoor', RACERS);
    await mount.output('exec 3> pipes/start; rm pipes/start');
    return (await running.finished()).stdout.trim().split('\n');
  }

  test('S23, S29: of 100 processes that create one file with O_EXCL one wins', async () => {
    // One write a line: dd makes several of its message.
    const racer = 'out=$(echo x | dd of=shm/0x99 conv=excl status=none 2>&1 && echo won); echo "$out"';
    const results = await race(racer);
    expect(results.filter((line) => line === 'won')).toHaveLength(1);
    expect(results.filter((line) => line !== 'won' && !line.endsWith('File exists'))).toEqual([]);
    expect(results.filter((line) => line.endsWith('File exists'))).toHaveLength(RACERS - 1);
    expect(await mount.output('cat shm/0x99')).toBe('x\n');
  });

  test('S29: and of 100 that create one key by the control file', async () => {
    const racer = 'exec 4<>shm/ctl; echo "get 0x98 100 create excl" >&4; read -r line <&4; echo "$line"';
    const results = await race(racer);
    expect(results.filter((line) => line.startsWith('ok '))).toHaveLength(1);
    expect(results.filter((line) => line === 'error EEXIST')).toHaveLength(RACERS - 1);
    expect(await mount.table('shm')).toHaveLength(1);
  });

  test('info/shm has the fields of ipcs -m, and who maps a segment now', async () => {
    const header =
      'id key mode owner group creator cgroup size nattch cpid lpid atime dtime ctime state mapped-by';
    expect((await mount.output('head -1 info/shm')).trim().split(/ +/).join(' ')).toBe(header);
    const [a, b] = [await mount.driver(), await mount.driver()];
    const mapping = await a.map(await makeSegment(a, 'shm/1', PAGE), PAGE);
    await b.open('shm/1', 'rw');
    const id = await onlyId();
    expect((await segmentRow(mount, id))!['mapped-by']).toBe(String(a.pid));
    expect((await segmentRow(mount, id))!['nattch']).toBe(2);
    await a.call({ call: 'munmap', mapping });
    expect((await segmentRow(mount, id))!['mapped-by']).toBe('');
  });
});
