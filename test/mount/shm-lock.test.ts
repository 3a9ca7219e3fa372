import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { ControlFile, errnoOf, MIB, procBytes, removeAll } from '../support/shm-files.ts';
import { O_CREAT, O_RDWR } from '../support/driver-protocol.ts';

describeMount('locked memory', () => {
  let mount: TestMount;
  let control: ControlFile;
  beforeAll(async () => {
    mount = await TestMount.start();
    control = await ControlFile.open(mount);
  });
  afterAll(() => mount.stop());

  /** What the server has locked: it does it for all who map a segment. */
  function lockedBytes(): number {
    return procBytes(`/proc/${mount.server.pid}/status`, 'VmLck');
  }

  test('S59, S60, S62: lock and unlock, through an attachment of the caller', async () => {
    const id = await control.id(`get private ${3 * MIB}`);
    expect(await control.ask(`lock ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(0);
    await control.ask(`attach ${id}`);
    expect(await control.ask(`unlock ${id}`)).toBe('ok');
    expect(await control.ask(`lock ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(3 * MIB);
    expect(await control.ask(`lock ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(3 * MIB);
    expect(await control.ask(`unlock ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(0);
    expect(await control.ask(`unlock ${id}`)).toBe('ok');
    await control.ask(`detach ${id}`);
    await removeAll(mount);
  });

  test('S61: with two attachments one unlock undoes one lock', async () => {
    const id = await control.id(`get private ${MIB}`);
    await control.askAll(`attach ${id}\nattach ${id}\nlock ${id}\n`);
    expect(lockedBytes()).toBe(MIB);
    expect(await control.ask(`unlock ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(0);
    await control.askAll(`detach ${id}\ndetach ${id}\n`);
    await removeAll(mount);
  });

  test('S60: a locked segment is unlocked when it ends', async () => {
    const id = await control.id(`get private ${MIB}`);
    await control.askAll(`attach ${id}\nlock ${id}\nrmid ${id}\n`);
    expect(lockedBytes()).toBe(MIB);
    await control.ask(`detach ${id}`);
    const own = await ControlFile.open(mount);
    const left = await control.ask(`stat ${id}`);
    expect(left).toBe('error EINVAL');
    own.driver.kill();
    await control.close();
    control = await ControlFile.open(mount);
    expect(lockedBytes()).toBe(0);
  });

  test('S18, S82: with shm_use_phys new segments are locked from the beginning', async () => {
    const before = await control.id(`get private ${MIB}`);
    await mount.setSysctl('kern.ipc.shm_use_phys', 1);
    expect(lockedBytes()).toBe(0);
    await mount.output(`truncate -s ${2 * MIB} shm/1`);
    expect(lockedBytes()).toBe(2 * MIB);
    const id = await control.id(`get private ${MIB}`);
    expect(lockedBytes()).toBe(3 * MIB);
    await mount.setSysctl('kern.ipc.shm_use_phys', 0);
    expect(lockedBytes()).toBe(3 * MIB);
    expect(await control.ask(`rmid ${id}`)).toBe('ok');
    expect(lockedBytes()).toBe(2 * MIB);
    await mount.output('rm shm/1');
    expect(lockedBytes()).toBe(0);
    await control.ask(`rmid ${before}`);
  });

  test('S18, S19: memory that cannot be locked fails the creation, and nothing is kept', async () => {
    const limited = await TestMount.start(['--io-uring', 'auto', '--sysctl', 'kern.ipc.shm_use_phys=1'], {
      wrapper: ['setpriv', '--bounding-set=-ipc_lock', 'prlimit', '--memlock=65536'],
    });
    try {
      await limited.setSysctl('kern.ipc.shmmni', 1);
      await limited.setSysctl('kern.ipc.shmmaxpgs', 1024);
      const own = await ControlFile.open(limited);
      for (let round = 0; round < 3; round++) {
        expect(await own.ask(`get private ${4 * MIB}`)).toMatch(/^error (ENOMEM|EAGAIN)$/);
        const path = 'shm/1';
        const { result: fd } = await own.driver.call({
          call: 'open',
          path,
          flags: O_CREAT | O_RDWR,
          mode: 0o600,
        });
        const { result } = await own.driver.call({ call: 'ftruncate', fd, size: 4 * MIB });
        expect(errnoOf(result)).toMatch(/^(ENOMEM|EAGAIN)$/);
        await own.driver.close(fd);
        expect(await limited.table('shm')).toEqual([]);
      }
      // Table and pages are as before.
      await limited.setSysctl('kern.ipc.shm_use_phys', 0);
      const id = await own.id(`get private ${4 * MIB}`);
      await own.ask(`attach ${id}`);
      expect(await own.ask(`lock ${id}`)).toBe('error EIO');
      await own.ask(`detach ${id}`);
    } finally {
      await limited.stop();
    }
  });
});
