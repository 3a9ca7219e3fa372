import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { O_CREAT, O_RDONLY, O_RDWR } from '../support/driver-protocol.ts';
import type { Driver } from '../support/driver-client.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import {
  ControlFile,
  errnoOf,
  makeSegment,
  PAGE,
  procBytes,
  removeAll,
  segmentRow,
  tryOpen,
} from '../support/shm-files.ts';

const DEFAULT_SLOTS = 128;

describeMount('limits of shared memory', () => {
  let mount: TestMount;
  let control: ControlFile;
  let defaultBytes: number;
  beforeAll(async () => {
    mount = await TestMount.start();
    control = await ControlFile.open(mount);
    defaultBytes = await mount.sysctl('kern.ipc.shmmax');
  });
  afterAll(() => mount.stop());
  afterEach(async () => {
    await mount.setSysctl('kern.ipc.shmmax', defaultBytes);
    await mount.setSysctl('kern.ipc.shmseg', 128);
    await removeAll(mount);
    await mount.setSysctl('kern.ipc.shmmni', DEFAULT_SLOTS);
  });

  /** Creates by open, ftruncate and close: `ok`, or the error of the call that failed. */
  async function create(driver: Driver, path: string, size: number): Promise<string> {
    const { result: fd } = await driver.call({ call: 'open', path, flags: O_CREAT | O_RDWR, mode: 0o600 });
    if (fd < 0) return errnoOf(fd);
    const { result } = await driver.call({ call: 'ftruncate', fd, size });
    await driver.close(fd);
    return errnoOf(result);
  }

  test('S83, S84: a fresh mount has the limits of the original', async () => {
    const values: Record<string, number> = {};
    for (const name of ['shmmni', 'shmseg', 'shmmin', 'shm_use_phys']) {
      values[name] = await mount.sysctl(`kern.ipc.${name}`);
    }
    expect(values).toEqual({ shmmni: 128, shmseg: 128, shmmin: 1, shm_use_phys: 0 });
    const quarter = procBytes('/proc/meminfo', 'MemTotal') / 4;
    // Whole pages, and what the machine calls its memory differs a little from place to place.
    expect(Math.abs(defaultBytes - Math.max(quarter, 4 * 1024 * 1024))).toBeLessThan(quarter / 10);
    expect(await mount.sysctl('kern.ipc.shmmaxpgs')).toBe(defaultBytes / PAGE);
  });

  test('S10: sizes that are none are EINVAL, by control file and by file, and nothing is kept', async () => {
    const driver = await mount.driver();
    const empty = await mount.output('cat info/shm');
    for (const size of [0, -1, -PAGE, defaultBytes + 1, 2 ** 53 - 1]) {
      expect([size, await control.ask(`get 1 ${size} create`)]).toEqual([size, 'error EINVAL']);
    }
    for (const size of [-1, defaultBytes + 1, 2 ** 53 - 1]) {
      expect([size, await create(driver, 'shm/1', size)]).toEqual([size, 'EINVAL']);
    }
    // As O_TRUNC, it says nothing of the size that is wanted (decision M15).
    expect(await create(driver, 'shm/1', 0)).toBe('ok');
    expect(await mount.output('cat info/shm')).toBe(empty);
    const { status, stderr } = await mount.sh('truncate -s 9223372036854775807 shm/1');
    expect([status, stderr]).toEqual([1, expect.stringContaining('truncat')]);
    expect(await mount.output('ls shm')).toBe('ctl\nid\n');
  });

  test('S11: a full table is ENOSPC, by control file and by file', async () => {
    await mount.setSysctl('kern.ipc.shmmni', 2);
    const driver = await mount.driver();
    expect(await create(driver, 'shm/1', 1)).toBe('ok');
    expect(await control.ask('get private 1')).toMatch(/^ok /);
    expect(await control.ask('get private 1')).toBe('error ENOSPC');
    expect(await create(driver, 'shm/2', 1)).toBe('ENOSPC');
    expect((await mount.sh('echo x > shm/3')).stderr).toContain('No space left on device');
    expect(await mount.table('shm')).toHaveLength(2);
  });

  test('S7, S12: too many pages in all are ENOMEM, and what is over by a byte is a page', async () => {
    await mount.setSysctl('kern.ipc.shmmaxpgs', 4);
    const driver = await mount.driver();
    expect(await create(driver, 'shm/1', 2 * PAGE + 1)).toBe('ok');
    expect(await control.ask(`get private ${PAGE + 1}`)).toBe('error ENOMEM');
    expect(await create(driver, 'shm/2', PAGE + 1)).toBe('ENOMEM');
    expect(await create(driver, 'shm/2', PAGE)).toBe('ok');
    expect(await create(driver, 'shm/3', 1)).toBe('ENOMEM');
    expect(await mount.output('cd shm && ls 0x*')).toBe('0x00000001\n0x00000002\n');
    await mount.output('rm shm/1');
    expect(await control.ask(`get private ${3 * PAGE}`)).toMatch(/^ok /);
  });

  test('S12: a file that is written gets ENOMEM where pages run out, and is what fitted', async () => {
    await mount.setSysctl('kern.ipc.shmmaxpgs', 4);
    expect(await control.ask(`get private ${PAGE}`)).toMatch(/^ok /);
    const { status, stderr } = await mount.sh('dd if=/dev/zero of=shm/5 bs=4096 count=10');
    expect([status, stderr]).toEqual([1, expect.stringContaining('Cannot allocate memory')]);
    expect(await mount.output('stat -c %s shm/5')).toBe(`${3 * PAGE}\n`);
  });

  test('S13: EINVAL comes before ENOSPC, and ENOSPC before ENOMEM', async () => {
    await mount.setSysctl('kern.ipc.shmmni', 1);
    await mount.setSysctl('kern.ipc.shmmaxpgs', 2);
    await control.id('get private 1');
    expect(await control.ask('get private 0')).toBe('error EINVAL');
    expect(await control.ask(`get private ${2 * PAGE + 1}`)).toBe('error EINVAL');
    expect(await control.ask(`get private ${2 * PAGE}`)).toBe('error ENOSPC');
    await mount.setSysctl('kern.ipc.shmmni', 2);
    expect(await control.ask(`get private ${2 * PAGE}`)).toBe('error ENOMEM');
    expect(await control.ask(`get private ${PAGE}`)).toMatch(/^ok /);
  });

  test('S33, S35, S81: a process with shmseg attachments gets EMFILE', async () => {
    const driver = await mount.driver();
    const fd = await makeSegment(driver, 'shm/1', 1);
    const second = await driver.open('shm/1', 'rw');
    const third = await driver.open('shm/1', 'r');
    await mount.setSysctl('kern.ipc.shmseg', 2);
    expect(await tryOpen(driver, 'shm/1', O_RDONLY)).toBe('EMFILE');
    // What is there stays.
    expect((await driver.call({ call: 'pread', fd: third, count: 1, offset: 0 })).result).toBe(1);
    await driver.close(fd);
    expect(await tryOpen(driver, 'shm/1', O_RDWR)).toBe('EMFILE');
    await driver.close(second);
    expect(await tryOpen(driver, 'shm/1', O_RDWR)).toBe('ok');
    await driver.close(third);
    const own = await ControlFile.open(mount);
    const id = await own.id('get 1 0');
    expect(await own.askAll(`attach ${id}\nattach ${id}\nattach ${id}\nattach 5\n`)).toBe(
      'ok\nok\nerror EMFILE\nerror EINVAL\n',
    );
    await own.close();
  });

  test('S34: with shmseg 0 nobody attaches, and a creation by file leaves nothing', async () => {
    const id = await control.id('get 1 1 create');
    await mount.setSysctl('kern.ipc.shmseg', 0);
    const driver = await mount.driver();
    expect(await tryOpen(driver, 'shm/1', O_RDONLY)).toBe('EMFILE');
    expect(await control.ask(`attach ${id}`)).toBe('error EMFILE');
    expect(await tryOpen(driver, 'shm/2', O_CREAT | O_RDWR)).toBe('EMFILE');
    expect(await mount.output('cd shm && ls 0x*')).toBe('0x00000001\n');
  });

  test('S56: a removed segment that is in use has its slot and its pages', async () => {
    await mount.setSysctl('kern.ipc.shmmni', 1);
    await mount.setSysctl('kern.ipc.shmmaxpgs', 1);
    const driver = await mount.driver();
    const fd = await makeSegment(driver, 'shm/1', PAGE);
    await mount.output('rm shm/1');
    expect(await control.ask('get private 1')).toBe('error ENOSPC');
    await mount.setSysctl('kern.ipc.shmmni', 2);
    expect(await control.ask('get private 1')).toBe('error ENOMEM');
    await driver.close(fd);
    expect(await control.ask('get private 1')).toMatch(/^ok /);
  });

  test('S68, S69: shmmni takes no number below 1, and no table that is too small', async () => {
    const failure = async (value: string) =>
      (await mount.sh(`echo ${value} > sysctl/kern/ipc/shmmni`)).stderr;
    for (const value of ['0', '-5', 'x', '65537']) {
      expect([value, await failure(value)]).toEqual([value, expect.stringContaining('Invalid argument')]);
    }
    const fresh = await TestMount.start(['--sysctl', 'kern.ipc.shmmni=8']);
    const own = await ControlFile.open(fresh);
    for (let index = 0; index < 5; index++) await own.id('get private 1');
    expect((await fresh.sh('echo 4 > sysctl/kern/ipc/shmmni')).stderr).toContain('busy');
    expect(await fresh.sysctl('kern.ipc.shmmni')).toBe(8);
    await fresh.setSysctl('kern.ipc.shmmni', 5);
    expect(await own.ask('get private 1')).toBe('error ENOSPC');
    await fresh.stop();
  });

  test('S72, S73, S74: a live resize keeps segments and sequences', async () => {
    const fresh = await TestMount.start();
    const own = await ControlFile.open(fresh);
    const ids = [];
    for (let index = 0; index < 100; index++) ids.push(await own.id(`get ${index + 1} 1 create`));
    await fresh.output('printf k > shm/3');
    await own.ask(`rmid ${ids[0]!}`);
    await fresh.setSysctl('kern.ipc.shmmni', DEFAULT_SLOTS);
    await fresh.setSysctl('kern.ipc.shmmni', 200);
    expect(await own.ask(`attach ${ids[2]!}`)).toBe('ok');
    expect(await fresh.output('cat shm/3')).toBe('k');
    expect(await own.ask('get private 1')).toBe('ok 131072');
    for (const id of ids.slice(3)) await own.ask(`rmid ${id}`);
    await fresh.setSysctl('kern.ipc.shmmni', 50);
    const slot = (await own.id('get private 1')) % 65536;
    expect(slot).toBeLessThan(50);
    await fresh.stop();
  });

  test('S71: segments are made, used and removed while the table changes its size', async () => {
    const resizing = mount.start(
      'for i in $(seq 40); do echo 64 > sysctl/kern/ipc/shmmni; echo 200 > sysctl/kern/ipc/shmmni; done',
    );
    const own = await ControlFile.open(mount);
    for (let index = 1; index <= 100; index++) {
      await mount.output(`echo ${index} > shm/${index}; [ "$(cat shm/${index})" = ${index} ]`);
      const id = await own.id(`get ${index} 0`);
      expect(await own.askAll(`attach ${id}\nrmid ${id}\ndetach ${id}\n`)).toBe('ok\nok\nok\n');
    }
    expect((await resizing.finished()).status).toBe(0);
    expect(await mount.table('shm')).toEqual([]);
  });

  test('S76, S77, S78, S79: shmmax and shmmaxpgs are one limit', async () => {
    const pair = async () => [
      await mount.sysctl('kern.ipc.shmmax'),
      await mount.sysctl('kern.ipc.shmmaxpgs'),
    ];
    await mount.setSysctl('kern.ipc.shmmaxpgs', 10);
    expect(await pair()).toEqual([40960, 10]);
    await mount.setSysctl('kern.ipc.shmmax', 4097);
    expect(await pair()).toEqual([8192, 2]);
    for (const [name, value] of [
      ['shmmax', 4095],
      ['shmmaxpgs', 0],
      ['shmmax', 2 ** 44],
    ] as const) {
      expect((await mount.sh(`echo ${value} > sysctl/kern/ipc/${name}`)).stderr).toContain(
        'Invalid argument',
      );
    }
    expect(await pair()).toEqual([8192, 2]);
    expect(await control.ask('get private 8193')).toBe('error EINVAL');
  });

  test('S80: a lower limit leaves what exists alone', async () => {
    const id = await control.id(`get 1 ${10 * PAGE} create`);
    await mount.setSysctl('kern.ipc.shmmaxpgs', 5);
    expect(await mount.output('cat shm/1 | wc -c')).toBe(`${10 * PAGE}\n`);
    expect((await segmentRow(mount, id))!['size']).toBe(10 * PAGE);
    expect(await control.ask('get private 1')).toBe('error ENOMEM');
    expect(await control.ask(`get private ${6 * PAGE}`)).toBe('error EINVAL');
  });
});
