import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { ControlFile, nobody, removeAll, tryOpen } from '../support/shm-files.ts';

const stranger = { uid: 54321, gid: 54321 };

describeMount('who may do what with a segment', () => {
  let mount: TestMount;
  let root: ControlFile;
  let own: ControlFile;
  let other: ControlFile;
  beforeAll(async () => {
    mount = await TestMount.start();
    [root, own, other] = await Promise.all([
      ControlFile.open(mount),
      ControlFile.open(mount, nobody),
      ControlFile.open(mount, stranger),
    ]);
  });
  afterAll(() => mount.stop());
  afterEach(() => removeAll(mount));

  test('[SEC-12] S25, S52, S87, S89: another user is refused by the control file', async () => {
    const id = await own.id('get 1 100 create 0600');
    expect(await other.ask('get 1 100 0400')).toBe('error EACCES');
    expect(await other.ask('get 1 100 0200')).toBe('error EACCES');
    expect(await other.ask('get 1 101 0400')).toBe('error EACCES');
    // Only what the owner's bits of the request say is asked for.
    expect(await other.ask('get 1 100 0044')).toBe(`ok ${id}`);
    expect(await other.ask('get 1 0 0')).toBe(`ok ${id}`);
    expect(await other.ask('get 1 100 create excl 0600')).toBe('error EEXIST');
    expect(await other.ask(`stat ${id}`)).toBe('error EACCES');
    expect(await other.ask(`attach ${id}`)).toBe('error EACCES');
    expect(await other.ask(`attach ${id} rdonly`)).toBe('error EACCES');
    expect(await other.ask(`set ${id} mode=0666`)).toBe('error EPERM');
    expect(await other.ask(`rmid ${id}`)).toBe('error EPERM');
    expect((await own.stat(id))['nattch']).toBe('0');
  });

  test('[SEC-12] S32, S87: and by the files', async () => {
    await own.id('get 2 100 create 0600');
    for (const flags of [O_RDONLY, O_WRONLY, O_RDWR, O_CREAT | O_RDWR]) {
      expect([flags, await tryOpen(other.driver, 'shm/0x2', flags)]).toEqual([flags, 'EACCES']);
    }
    expect(await tryOpen(other.driver, 'shm/0x2', O_CREAT | O_EXCL | O_RDWR)).toBe('EEXIST');
    for (const command of ['chmod 666 shm/2', 'rm -f shm/2', 'chown 54321 shm/2', 'cat shm/2']) {
      const { status } = await mount.sh(command, stranger);
      expect([command, status === 0]).toEqual([command, false]);
    }
    expect(await mount.output('stat -c "%a %u" shm/0x2')).toBe('600 65534\n');
  });

  test('S32: a segment that others may read can be attached to read only', async () => {
    const id = await own.id('get 3 100 create 0444');
    expect(await tryOpen(other.driver, 'shm/3', O_RDONLY)).toBe('ok');
    expect(await tryOpen(other.driver, 'shm/3', O_RDWR)).toBe('EACCES');
    expect(await other.ask(`attach ${id} rdonly`)).toBe('ok');
    expect(await other.ask(`attach ${id}`)).toBe('error EACCES');
    await other.ask(`detach ${id}`);
  });

  test('S52: an owner without read permission cannot stat', async () => {
    const id = await own.id('get 4 100 create 0200');
    expect(await own.ask(`stat ${id}`)).toBe('error EACCES');
    expect(await root.ask(`stat ${id}`)).toMatch(/^ok /);
  });

  test('S54, S87: the creator keeps control of a segment that was given away', async () => {
    const id = await own.id('get 5 100 create 0600');
    expect(await own.ask(`set ${id} uid=54321 gid=54321`)).toBe('ok');
    expect(await other.ask(`stat ${id}`)).toMatch(/^ok .* uid=54321 gid=54321 cuid=65534 cgid=65534 /);
    expect(await own.ask(`set ${id} uid=65534`)).toBe('ok');
    expect(await other.ask(`rmid ${id}`)).toBe('error EPERM');
    expect(await own.ask(`rmid ${id}`)).toBe('ok');
  });

  test('S86: root may do everything', async () => {
    const id = await own.id('get 6 100 create 0000');
    expect(await root.ask(`attach ${id}`)).toBe('ok');
    expect(await root.ask(`detach ${id}`)).toBe('ok');
    expect(await tryOpen(root.driver, 'shm/6', O_RDWR)).toBe('ok');
    expect(await root.ask(`set ${id} mode=0600`)).toBe('ok');
    expect(await mount.output('chmod 640 shm/6; stat -c %a shm/6; rm shm/6')).toBe('640\n');
  });

  test('S88: exactly one class counts, the first that fits', async () => {
    const id = await own.id('get 7 100 create 0066');
    expect(await own.ask(`attach ${id}`)).toBe('error EACCES');
    expect(await tryOpen(own.driver, 'shm/7', O_RDWR)).toBe('EACCES');
    expect(await other.ask(`attach ${id}`)).toBe('ok');
    await other.ask(`detach ${id}`);
    await root.ask(`set ${id} gid=54321 mode=0606`);
    expect(await other.ask(`attach ${id}`)).toBe('error EACCES');
    expect(await tryOpen(other.driver, 'shm/7', O_RDWR)).toBe('EACCES');
    expect(await tryOpen(own.driver, 'shm/7', O_RDWR)).toBe('ok');
  });

  test('S87, S88: a group member may use a segment and not remove it', async () => {
    const id = await own.id('get 8 100 create 0660');
    const member = await ControlFile.open(mount, { uid: 54322, gid: 65534 });
    expect(await member.ask(`attach ${id}`)).toBe('ok');
    expect(await member.ask(`detach ${id}`)).toBe('ok');
    expect(await tryOpen(member.driver, 'shm/8', O_RDWR)).toBe('ok');
    expect(await member.ask(`rmid ${id}`)).toBe('error EPERM');
    expect((await mount.sh('rm -f shm/8', { uid: 54322, gid: 65534 })).status).not.toBe(0);
  });

  test('S90: execute bits are kept and mean nothing', async () => {
    const id = await own.id('get 9 100 create 0111');
    expect(await own.ask(`attach ${id} rdonly`)).toBe('error EACCES');
    expect(await tryOpen(own.driver, 'shm/9', O_RDONLY)).toBe('EACCES');
    expect(await mount.output('stat -c %a shm/9')).toBe('111\n');
  });

  test('[SEC-12] S58: locking is for the superuser', async () => {
    const id = await own.id('get 10 100 create 0600');
    await own.ask(`attach ${id}`);
    expect(await own.ask(`lock ${id}`)).toBe('error EPERM');
    expect(await own.ask(`unlock ${id}`)).toBe('error EPERM');
    expect(await own.ask('lock 99')).toBe('error EINVAL');
    await own.ask(`detach ${id}`);
  });

  test('S35: an unknown id comes before permission, and permission before the limit', async () => {
    const id = await own.id('get 11 100 create 0600');
    await mount.setSysctl('kern.ipc.shmseg', 0);
    expect(await other.ask('attach 99')).toBe('error EINVAL');
    expect(await other.ask(`attach ${id}`)).toBe('error EACCES');
    expect(await own.ask(`attach ${id}`)).toBe('error EMFILE');
    expect(await tryOpen(other.driver, 'shm/11', O_RDWR)).toBe('EACCES');
    expect(await tryOpen(own.driver, 'shm/11', O_RDWR)).toBe('EMFILE');
    await mount.setSysctl('kern.ipc.shmseg', 128);
  });
});
