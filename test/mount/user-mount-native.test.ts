import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { isRunning, Scratch } from '../support/cli.ts';
import { Driver } from '../support/driver-client.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace, type User } from '../support/namespace.ts';
import { type Finished, until } from '../support/process.ts';

const nobody: User = { uid: 65534, gid: 65534 };
const other: User = { uid: 1234, gid: 1234 };
const root: User = { uid: 0, gid: 0 };
const SIZE_BYTES = 65536;

describeMount('mounts by a user, through libfuse 2 and fusermount', () => {
  const scratch = new Scratch();
  const kept = new Scratch();
  const pids: number[] = [];
  const drivers: Driver[] = [];
  let namespace: MountNamespace;
  /** What the servers have for a temporary directory: where they put what they mount for segments. */
  let temporary: string;
  /** What /etc/fuse.conf says. */
  let configuration: string;

  beforeAll(async () => {
    temporary = kept.directory();
    chmodSync(temporary, 0o1777);
    configuration = join(kept.directory(), 'fuse.conf');
    writeFileSync(configuration, '', { mode: 0o644 });
    namespace = await MountNamespace.startWithDevice(
      kept.directory(),
      `mount --bind '${configuration}' /etc/fuse.conf`,
    );
  });
  afterEach(async () => {
    for (const driver of drivers.splice(0)) driver.kill();
    for (const pid of pids.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    await scratch.clean();
  });
  afterAll(async () => {
    await namespace.end();
    await kept.clean();
  });

  function ipcfs(args: readonly string[], user: User): Promise<Finished> {
    return namespace.run('env', [`TMPDIR=${temporary}`, process.execPath, mainProgram, ...args], user);
  }

  function sh(script: string, user = nobody): Promise<Finished> {
    return namespace.run('bash', ['-c', script], user);
  }

  async function driver(directory: string): Promise<Driver> {
    const started = await Driver.start({ cwd: directory }, [
      ...namespace.enter(nobody),
      'env',
      '-C',
      directory,
    ]);
    drivers.push(started);
    return started;
  }

  /** Mounts in the background: the pid of the server, and where its segments are. */
  async function mount(directory: string): Promise<{ pid: number; segments: string }> {
    const mounted = await ipcfs(['mount', '--transport', 'fuse-native', directory], nobody);
    expect(mounted).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const [{ pid }] = JSON.parse((await sh(`cat '${directory}/info/version.json'`)).stdout) as [
      { pid: number },
    ];
    pids.push(pid);
    const segments = (await sh(`readlink '${directory}/shm'`)).stdout.trim();
    expect(namespace.isMounted(segments)).toBe(true);
    return { pid, segments };
  }

  /** Nothing of a mount is there any more: neither of its two parts, nor the directory of the second. */
  async function expectGone(directory: string, segments: string): Promise<void> {
    await until(() => ![directory, segments].some((each) => namespace.isMounted(each)));
    await until(
      () => readdirSync(temporary).length === 0,
      () => `an empty ${temporary}: ${readdirSync(temporary).join(' ')}`,
    );
  }

  async function umount(directory: string, segments: string, user = nobody): Promise<void> {
    expect(await ipcfs(['umount', directory], user)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(namespace.isMounted(directory)).toBe(false);
    await expectGone(directory, segments);
  }

  test('pipes, kqueues and segments serve their user, and keep everybody else out, root too', async () => {
    const directory = scratch.directory(nobody.uid);
    const { pid, segments } = await mount(directory);
    const script = `cd '${directory}'; stat -c '%u:%g %a' . info; mkfifo pipes/a
      echo hello > pipes/a & cat pipes/a; wait
      exec 3<>kqueue 4<>pipes/a; echo 'add read pipes/a' >&3; echo x >&4; read -r event <&3; echo "$event"
      echo 'add vnode shm write clear' >&3; exec 4>&-; truncate -s 64K shm/0x7
      until [[ $event == vnode* ]]; do read -r event <&3; done; echo "$event"
      stat -c '%u %s' shm/0x7; ls shm/ shm/id | wc -w
      exec 5<>shm/ctl; echo 'get 7 0' >&5; read -r word id <&5; echo "$word $(readlink shm/id/$id)"; echo "rmid $id" >&5
      read -r word <&5; echo $word; ls shm/`;
    expect(await sh(script)).toMatchObject({
      stdout: `65534:65534 755
65534:65534 555
hello
read pipes/a data=2 flags=- fflags=0 udata=-
vnode shm data=0 flags=clear fflags=write udata=-
65534 65536
6
ok ../0x7
ok
ctl\nid
`,
      stderr: '',
    });
    for (const user of [root, other]) {
      for (const part of [directory, segments]) {
        expect((await sh(`ls '${part}'`, user)).stderr).toContain('Permission denied');
      }
    }
    await umount(directory, segments);
    await until(() => !isRunning(pid));
  });

  test('two processes map a segment, and see what the other stores', async () => {
    const directory = scratch.directory(nobody.uid);
    const { segments } = await mount(directory);
    await sh(
      `cd '${directory}' && truncate -s ${SIZE_BYTES} shm/1 && printf hello | dd of=shm/1 conv=notrunc`,
    );
    const [one, two] = [await driver(directory), await driver(directory)];
    const fds = [await one.open('shm/1', 'rw'), await two.open('shm/0x1', 'rw')] as const;
    const maps = [await one.map(fds[0], SIZE_BYTES), await two.map(fds[1], SIZE_BYTES)] as const;
    expect(await two.peek(maps[1], 0, 5)).toBe('hello');
    await one.poke(maps[0], 60_000, 'from one');
    expect(await two.peek(maps[1], 60_000, 8)).toBe('from one');
    await two.poke(maps[1], 10, 'from two');
    expect(await one.peek(maps[0], 10, 8)).toBe('from two');
    const { stdout } = await sh(`cat '${directory}/info/shm.json'`);
    const [row] = JSON.parse(stdout) as [{ 'mapped-by': string; nattch: number }];
    expect(row.nattch).toBe(2);
    await umount(directory, segments);
  });

  test('umount answers calls that wait, and ends within 2 s', async () => {
    const directory = scratch.directory(nobody.uid);
    const { segments } = await mount(directory);
    const reading = sh(`mkfifo '${directory}/pipes/a'; exec cat '${directory}/pipes/a'`);
    await until(async () => (await sh(`cat '${directory}/info/waits'`)).stdout.includes('fifoor'));
    const startMs = performance.now();
    await umount(directory, segments);
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect((await reading).signal).toBe(null);
  });

  test('another user may not unmount it, and root may', async () => {
    const directory = scratch.directory(nobody.uid);
    const { pid, segments } = await mount(directory);
    expect(await ipcfs(['umount', directory], other)).toMatchObject({ status: 1 });
    expect([directory, segments].map((each) => namespace.isMounted(each))).toEqual([true, true]);
    await umount(directory, segments, root);
    await until(() => !isRunning(pid));
  });

  test.for([0, 1])('fusermount -u of part %d of the mount by its user ends the server', async (part) => {
    const directory = scratch.directory(nobody.uid);
    const { pid, segments } = await mount(directory);
    const parts = [directory, segments] as const;
    expect((await namespace.run('fusermount', ['-u', parts[part]!], nobody)).status).toBe(0);
    await until(() => !isRunning(pid));
    await expectGone(directory, segments);
  });

  test('what a killed server left is taken over, and taken away, by its user', async () => {
    const directory = scratch.directory(nobody.uid);
    const first = await mount(directory);
    process.kill(first.pid, 'SIGKILL');
    const second = await mount(directory);
    await until(() => !namespace.isMounted(first.segments));
    process.kill(second.pid, 'SIGKILL');
    await umount(directory, second.segments);
  });

  test("somebody else's directory is refused in one line, and nothing is left behind", async () => {
    const directory = scratch.directory(other.uid);
    const refused = await ipcfs(['mount', '--transport', 'fuse-native', directory], nobody);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^ipcfs: mounting on [^\n]* failed \(fuse: [^\n]*Permission denied\): [^\n]*\n$/,
    );
    await expectGone(directory, join(directory, 'shm'));
  });

  test('a failure of the second part takes the first away, and ends the server', async () => {
    const directory = scratch.directory(nobody.uid);
    const { stdout } = await sh('grep -c " fuse[. ]" /proc/mounts');
    writeFileSync(configuration, `mount_max = ${Number(stdout) + 1}\n`);
    try {
      const refused = await ipcfs(['mount', '--transport', 'fuse-native', directory], nobody);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/^ipcfs: mounting on [^\n]* failed \(fusermount: too many [^\n]*\n$/);
    } finally {
      writeFileSync(configuration, '');
    }
    await expectGone(directory, join(directory, 'shm'));
  });

  test('where only root may open the device, mount is refused in one line', async () => {
    const directory = scratch.directory(nobody.uid);
    await sh('chmod 600 /dev/fuse', root);
    try {
      const refused = await ipcfs(['mount', '--transport', 'fuse-native', directory], nobody);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/^ipcfs: you may not open \/dev\/fuse: [^\n]*\n$/);
    } finally {
      await sh('chmod 666 /dev/fuse', root);
    }
  });
});
