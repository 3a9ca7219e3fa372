import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { cpuTicks, ipcfs, ipcfsCommand, isMounted, isRunning, Scratch } from '../support/cli.ts';
import { Driver, type PendingCall } from '../support/driver-client.ts';
import { LINUX_POLLIN } from '../support/driver-protocol.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

const WRITE_BYTES = 1_000_000;
const EINTR = -4;
/** A call that was on its way when the server ended, and one that came after. */
const ECONNABORTED = -103;
const ENOTCONN = -107;

describeMount('from mount to umount', () => {
  const scratch = new Scratch();
  const drivers: Driver[] = [];
  afterEach(async () => {
    for (const driver of drivers.splice(0)) driver.kill();
    await scratch.clean();
  });

  interface Blocked {
    readonly opener: PendingCall;
    readonly reader: PendingCall;
    readonly writer: PendingCall;
    readonly poller: PendingCall;
  }

  /** Processes that wait in open, read, write and poll of pipes under `directory`. */
  async function block(directory: string): Promise<Blocked> {
    await run(
      'mkfifo',
      ['o', 'r', 'w', 'p'].map((name) => join(directory, 'pipes', name)),
    );
    const four = await Promise.all([1, 2, 3, 4].map(() => Driver.start({ cwd: directory })));
    drivers.push(...four);
    const [first, second, third, fourth] = four as [Driver, Driver, Driver, Driver];
    const [r, w, p] = [
      await second.open('pipes/r', 'rw'),
      await third.open('pipes/w', 'rw'),
      await fourth.open('pipes/p', 'rw'),
    ];
    const blocked = {
      opener: first.begin({ call: 'open', path: 'pipes/o', flags: 0 }),
      reader: second.begin({ call: 'read', fd: r, count: 10 }),
      writer: third.begin({ call: 'writePattern', fd: w, count: WRITE_BYTES }),
      poller: fourth.begin({ call: 'poll', fds: [{ fd: p, events: LINUX_POLLIN }], timeoutMs: 60_000 }),
    };
    await until(async () => (await waits(directory)).length === 3);
    // A poll is not a waiting call of the server: the kernel shows where the process sleeps.
    await until(() => readFileSync(`/proc/${fourth.pid}/wchan`, 'latin1').includes('poll'));
    return blocked;
  }

  /** The calls that wait in the mount. */
  async function waits(directory: string): Promise<{ call: string }[]> {
    const { stdout } = await run('cat', [join(directory, 'info/waits.json')]);
    return (JSON.parse(stdout) as { call: string; inferred: string }[]).filter((row) => row.inferred === '-');
  }

  /** The results of the blocked calls; fails when they do not come. */
  async function results({ opener, reader, writer }: Blocked): Promise<number[]> {
    const calls = [opener, reader, writer];
    await until(() => calls.every(({ result }) => result !== null), undefined, 2000);
    return calls.map(({ result }) => result!.result);
  }

  /** Calls that a signal could have ended end as if by one: the write with the bytes that the pipe has taken. */
  function expectInterrupted([opened, read, written]: number[]): void {
    expect([opened, read]).toEqual([EINTR, EINTR]);
    expect(written === EINTR || (written! > 0 && written! < WRITE_BYTES)).toBe(true);
  }

  test('mount returns when the mount answers, and its server holds nothing of the caller', async () => {
    const directory = scratch.directory();
    const caller = scratch.directory();
    const held = join(caller, 'held');
    writeFileSync(held, '');
    const script = `exec 5>'${held}'; ${ipcfsCommand} mount '${directory}' && cat '${directory}/info/version.json'`;
    // This ends with the last holder of its standard output and error.
    const { status, stdout, stderr } = await run('bash', ['-c', script], { cwd: caller });
    expect([status, stderr]).toEqual([0, '']);
    const [{ pid }] = JSON.parse(stdout) as [{ pid: number }];
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/');
    const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(descriptors).not.toContain(held);
    expect(descriptors).toContain('/dev/fuse');
    const session = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[3];
    expect(Number(session)).toBe(pid);
    const ended = await ipcfs(['umount', directory]);
    expect(ended).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    expect(isMounted(directory)).toBe(false);
    await until(() => !isRunning(pid));
  });

  test('a server in the background survives that it has something to say', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory, ['--sysctl', 'kern.ipc.maxpipekva=32K']);
    const { stderr } = await run(
      'mkdir',
      ['a', 'b', 'c'].map((name) => join(directory, 'pairs', name)),
    );
    expect(stderr).toContain('Cannot allocate memory');
    expect((await run('ls', [join(directory, 'pairs')])).stdout).toBe('a\nb\n');
    expect(isRunning(pid)).toBe(true);
    await ipcfs(['umount', directory]);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s unmounts: calls that wait end, and the server with status 0',
    async (signal) => {
      const directory = scratch.directory();
      const server = await scratch.mountInForeground(directory);
      const blocked = await block(directory);
      const startMs = performance.now();
      server.child.kill(signal);
      const { status, stderr } = await server.finished();
      expect([status, stderr]).toEqual([0, '']);
      expectInterrupted(await results(blocked));
      await until(() => blocked.poller.result !== null, undefined, 2000);
      expect(performance.now() - startMs).toBeLessThan(2000);
      expect(isMounted(directory)).toBe(false);
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test('a signal that comes before the mount answers unmounts it too', async () => {
    for (let round = 0; round < 3; round++) {
      const directory = scratch.directory();
      const server = scratch.start(process.execPath, [mainProgram, 'mount', '-f', directory]);
      await until(() => isMounted(directory));
      server.child.kill('SIGTERM');
      expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
      expect(isMounted(directory)).toBe(false);
    }
  });

  test('ipcfs umount ends calls that wait, and does not mind a working directory inside', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    const blocked = await block(directory);
    const shell = scratch.start('bash', ['-c', 'echo there; read; ls'], { cwd: join(directory, 'pipes') });
    await until(() => shell.stdout === 'there\n');
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(directory)).toBe(false);
    expectInterrupted(await results(blocked));
    await until(() => !isRunning(pid));
    shell.child.stdin!.end('\n');
    expect((await shell.finished()).stderr).toMatch(/not connected|connection abort/);
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 1 });
  });

  test.each([
    ['umount', []],
    ['fusermount3', ['-u']],
  ])('plain %s ends the server', async (program, args) => {
    const directory = scratch.directory();
    const server = await scratch.mountInForeground(directory);
    const busy = scratch.start('sleep', ['60'], { cwd: directory });
    await until(() => readlinkSync(`/proc/${busy.pid}/cwd`) === directory);
    expect((await run(program, [...args, directory])).stderr).toContain('busy');
    busy.kill('SIGKILL');
    await busy.finished();
    expect(await run(program, [...args, directory])).toMatchObject({ status: 0 });
    expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(directory)).toBe(false);
  });

  test('a server that was unmounted leaves alone what is mounted there now', async () => {
    const directory = scratch.directory();
    expect((await run('mount', ['-t', 'tmpfs', 'none', directory])).status).toBe(0);
    const server = await scratch.mountInForeground(directory);
    expect((await run('umount', [directory])).status).toBe(0);
    expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(directory)).toBe(true);
  });

  test('a connection that was aborted ends calls and server, and leaves no dead mount', async () => {
    const directory = scratch.directory();
    const server = scratch.start(process.execPath, [mainProgram, 'mount', '-f', directory]);
    await until(() => isMounted(directory));
    const reader = scratch.start('bash', [
      '-c',
      `exec 3<>'${directory}/pipes/a'; read -r <&3; echo "ended $?"`,
    ]);
    await until(async () => (await run('cat', [join(directory, 'info/waits')])).stdout.includes('piperd'));
    // Busy, so that it is aborted and stays: only then a dead mount could be left.
    expect((await run('umount', ['-f', directory])).status).not.toBe(0);
    expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
    expect((await reader.finished()).stdout).toBe('ended 1\n');
    expect(isMounted(directory)).toBe(false);
  });

  test('when the server is killed, calls that wait fail at once; mount takes over what it left', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    const blocked = await block(directory);
    process.kill(pid, 'SIGKILL');
    for (const result of await results(blocked)) expect([ECONNABORTED, ENOTCONN]).toContain(result);
    expect(isMounted(directory)).toBe(true);
    expect((await run('ls', [directory])).stderr).toContain('not connected');
    await scratch.mount(directory);
    expect((await run('ls', [directory])).stdout).toBe(
      'ctl\ninfo\nkqueue\nkqueue.bin\nkqueues\npairs\npipes\nshm\nsysctl\n',
    );
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0 });
    expect(isMounted(directory)).toBe(false);
  });

  test('umount takes away what a killed server left', async () => {
    const directory = scratch.directory();
    process.kill(await scratch.mount(directory), 'SIGKILL');
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(directory)).toBe(false);
  });

  test('umount detaches a mount whose server hangs', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    process.kill(pid, 'SIGSTOP');
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(directory)).toBe(false);
    process.kill(pid, 'SIGCONT');
    await until(() => !isRunning(pid));
  });

  test('SIGKILL ends a process that waits in open, read, write or poll within a second', async () => {
    const directory = scratch.directory();
    await scratch.mountInForeground(directory);
    await block(directory);
    const startMs = performance.now();
    for (const driver of drivers) driver.kill();
    await Promise.all(drivers.map((driver) => driver.finished()));
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(await waits(directory)).toEqual([]);
    const handles = await run('cat', [join(directory, 'info/handles')]);
    // Only the one that looks.
    await until(() => handles.stdout.trim().split('\n').length === 2);
  });

  test('two mounts live side by side, and each ends alone', async () => {
    const [one, two] = [scratch.directory(), scratch.directory()];
    await scratch.mount(one);
    await scratch.mount(two);
    await run('mkfifo', [join(one, 'pipes/a')]);
    expect((await run('ls', [join(two, 'pipes')])).stdout).toBe('');
    await ipcfs(['umount', one]);
    expect([isMounted(one), isMounted(two)]).toEqual([false, true]);
    expect((await run('ls', [two])).status).toBe(0);
    await ipcfs(['umount', two]);
  });

  test('a mount that nobody uses takes no processor time, whoever waits in it', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    await block(directory);
    // Each look at info/shm wakes the serving thread from outside; what woke it must not stay.
    const looks = `truncate -s 4096 shm/1; for ((i = 0; i < 50; i++)); do cat info/shm; done`;
    expect((await run('bash', ['-c', looks], { cwd: directory })).status).toBe(0);
    // What came before may still be under way: time is taken when two looks in a row agree.
    const quiet = async (windowMs: number): Promise<number> => {
      const before = cpuTicks(pid);
      await new Promise((resolve) => setTimeout(resolve, windowMs));
      return cpuTicks(pid) - before;
    };
    await until(async () => (await quiet(200)) === 0);
    expect(await quiet(2000)).toBeLessThanOrEqual(1);
    await ipcfs(['umount', directory]);
  });
});
