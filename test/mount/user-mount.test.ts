import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { isRunning, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace, type User } from '../support/namespace.ts';
import { type Finished, until } from '../support/process.ts';

const nobody: User = { uid: 65534, gid: 65534 };
const other: User = { uid: 1234, gid: 1234 };

describeMount('mounts by a user, through fusermount3', () => {
  const scratch = new Scratch();
  const pids: number[] = [];
  /** What /etc/fuse.conf says; the device is there for everybody, as most systems have it. */
  let configuration: string;
  let namespace: MountNamespace;
  const kept = new Scratch();

  beforeAll(async () => {
    configuration = join(kept.directory(), 'fuse.conf');
    writeFileSync(configuration, '# user_allow_other\n', { mode: 0o644 });
    namespace = await MountNamespace.startWithDevice(
      kept.directory(),
      `mount --bind '${configuration}' /etc/fuse.conf`,
    );
  });
  afterEach(async () => {
    for (const pid of pids.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await scratch.clean();
  });
  afterAll(async () => {
    await namespace.end();
    await kept.clean();
  });

  function ipcfs(args: readonly string[], user?: User): Promise<Finished> {
    return namespace.run(process.execPath, [mainProgram, ...args], user);
  }

  function sh(script: string, user?: User): Promise<Finished> {
    return namespace.run('bash', ['-c', script], user);
  }

  /** Mounts in the background; the pid of the server. */
  async function mount(directory: string, user: User, args: readonly string[] = []): Promise<number> {
    expect(await ipcfs(['mount', ...args, directory], user)).toMatchObject({ status: 0, stderr: '' });
    const { stdout } = await sh(`cat '${directory}/info/version.json'`, user);
    const [{ pid }] = JSON.parse(stdout) as [{ pid: number }];
    pids.push(pid);
    return pid;
  }

  async function umount(directory: string, user: User): Promise<void> {
    expect(await ipcfs(['umount', directory], user)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(namespace.isMounted(directory)).toBe(false);
  }

  function expectOneLine({ status, stdout, stderr }: Finished, words: string): void {
    expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
    expect(stderr).toContain(words);
    expect([status, stdout]).toEqual([1, '']);
  }

  test('the mount serves its user, and keeps everybody else out, root too', async () => {
    const directory = scratch.directory(nobody.uid);
    const pid = await mount(directory, nobody);
    const script = `cd '${directory}'; stat -c '%u:%g %a' . info; mkfifo pipes/a
      echo hello > pipes/a & cat pipes/a; wait`;
    expect((await sh(script, nobody)).stdout).toBe('65534:65534 755\n65534:65534 555\nhello\n');
    for (const user of [{ uid: 0, gid: 0 }, other]) {
      expect((await sh(`ls '${directory}'`, user)).stderr).toContain('Permission denied');
    }
    await umount(directory, nobody);
    await until(() => !isRunning(pid));
  });

  test('K125: the user can watch descriptors, alike ones too', async () => {
    const directory = scratch.directory(nobody.uid);
    await mount(directory, nobody);
    const script = `cd '${directory}'; mkfifo pipes/a; exec 3<>kqueue 4<>pipes/a 5<>/dev/fd/4
      printf 'add write fd:4 oneshot\nadd write fd:5 oneshot\n' >&3
      for n in 1 2; do read -r event <&3; echo "$event"; done
      exec 6>&4 4>&-; echo 'add read fd:6 clear' >&3; echo x >&6; read -r event <&3; echo "$event"`;
    const { stdout, stderr } = await sh(script, nobody);
    expect({ stdout, stderr }).toEqual({
      stdout: `write fd:4 data=16384 flags=oneshot fflags=0 udata=-
write fd:5 data=16384 flags=oneshot fflags=0 udata=-
read fd:6 data=2 flags=clear fflags=0 udata=-\n`,
      stderr: '',
    });
    await umount(directory, nobody);
  });

  test('another user may not unmount it, and root may', async () => {
    const directory = scratch.directory(nobody.uid);
    const pid = await mount(directory, nobody);
    expect((await ipcfs(['umount', directory], other)).status).toBe(1);
    expect(namespace.isMounted(directory)).toBe(true);
    await umount(directory, { uid: 0, gid: 0 });
    await until(() => !isRunning(pid));
  });

  test('plain fusermount3 -u by the user ends the server', async () => {
    const directory = scratch.directory(nobody.uid);
    const pid = await mount(directory, nobody);
    expect((await namespace.run('fusermount3', ['-u', directory], nobody)).status).toBe(0);
    await until(() => !isRunning(pid));
    expect(namespace.isMounted(directory)).toBe(false);
  });

  test('what a killed server left is taken over, and taken away, by its user', async () => {
    const directory = scratch.directory(nobody.uid);
    process.kill(await mount(directory, nobody), 'SIGKILL');
    process.kill(await mount(directory, nobody), 'SIGKILL');
    await umount(directory, nobody);
  });

  test("somebody else's directory, and a dead mount of somebody else, are refused in one line", async () => {
    expectOneLine(await ipcfs(['mount', scratch.directory(other.uid)], nobody), 'ipcfs');
    const directory = scratch.directory(nobody.uid);
    process.kill(await mount(directory, nobody), 'SIGKILL');
    expectOneLine(await ipcfs(['mount', directory], other), 'ipcfs');
    await umount(directory, nobody);
  });

  test('sysctls are not for a user, though the mount is theirs', async () => {
    const directory = scratch.directory(nobody.uid);
    await mount(directory, nobody, ['--sysctl', 'kern.ipc.pipe_direct_max=64K']);
    const file = join(directory, 'sysctl/kern/ipc/pipe_direct_max');
    expect((await sh(`cat '${file}'`, nobody)).stdout).toBe('65536\n');
    expect((await sh(`echo 1 > '${file}'`, nobody)).stderr).toContain('Permission denied');
    await umount(directory, nobody);
  });

  test('--allow-other is refused in one line where /etc/fuse.conf does not allow it', async () => {
    const directory = scratch.directory(nobody.uid);
    expectOneLine(await ipcfs(['mount', '--allow-other', directory], nobody), 'user_allow_other');
    expect(namespace.isMounted(directory)).toBe(false);
    const { stdout } = await ipcfs(['doctor'], nobody);
    expect(stdout).toMatch(/^no {6}--allow-other by users +put the line 'user_allow_other' into/m);
  });

  test('--allow-other lets others and root in where it does', async () => {
    writeFileSync(configuration, '# a comment\nuser_allow_other\n');
    try {
      const directory = scratch.directory(nobody.uid);
      expect((await ipcfs(['doctor'], nobody)).stdout).toMatch(/^ok {6}--allow-other by users/m);
      await mount(directory, nobody, ['--allow-other']);
      for (const user of [{ uid: 0, gid: 0 }, other]) {
        expect((await sh(`ls '${directory}'`, user)).stdout).toBe(
          'ctl\ninfo\nkqueue\nkqueue.bin\nkqueues\npairs\npipes\nshm\nsysctl\n',
        );
      }
      await umount(directory, nobody);
    } finally {
      writeFileSync(configuration, '# user_allow_other\n');
    }
  });

  test('doctor finds nothing missing for that user', async () => {
    const { status, stdout } = await ipcfs(['doctor'], nobody);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok {6}right to mount +through .*fusermount3$/m);
    expect(stdout).not.toContain('MISSING');
  });

  test('where only root may open the device, mount is refused and doctor says why', async () => {
    const directory = scratch.directory(nobody.uid);
    await sh('chmod 600 /dev/fuse');
    try {
      expectOneLine(
        await ipcfs(['mount', directory], nobody),
        "/dev/fuse: Permission denied: run 'ipcfs doctor'",
      );
      const { status, stdout } = await ipcfs(['doctor'], nobody);
      expect(status).toBe(1);
      expect(stdout).toMatch(/^MISSING \/dev\/fuse +you may not open it: 'chmod 666 \/dev\/fuse' as root/m);
    } finally {
      await sh('chmod 666 /dev/fuse');
    }
  });
});
