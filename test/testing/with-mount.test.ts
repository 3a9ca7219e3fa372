import { existsSync, readFileSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { isMounted, isRunning } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run, Running, until } from '../support/process.ts';
import { testing, TestProject } from '../support/test-project.ts';

const { FaultRefusal, MountFailure, startMount, WaitTimeout, withMount } = testing;

describeMount('withMount', () => {
  const project = new TestProject();
  const children: Running[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    vi.useRealTimers();
  });
  afterAll(() => {
    project.clean();
  });

  /** A shell script in the mount. */
  const sh = (directory: string, script: string): Running => {
    const child = new Running('bash', ['-c', script], { cwd: directory, timeoutMs: 60_000 });
    children.push(child);
    return child;
  };

  /** Nothing is left of a mount. */
  const expectGone = (directory: string): void => {
    expect([isMounted(directory), existsSync(directory)]).toEqual([false, false]);
  };

  test('gives a mount, what the function returns, and takes the mount away', async () => {
    let directory = '';
    const result = await withMount(async (mount) => {
      ({ directory } = mount);
      expect(isMounted(directory)).toBe(true);
      await writeFile(join(directory, 'sysctl/kern/ipc/shmmni'), '7');
      return (await readFile(join(directory, 'sysctl/kern/ipc/shmmni'), 'utf8')).trim();
    });
    expect(result).toBe('7');
    expectGone(directory);
  });

  test('wakes children that wait in it, also when the function throws', async () => {
    let directory = '';
    let child: Running | null = null;
    const failing = withMount(async (mount) => {
      ({ directory } = mount);
      child = sh('/', `cat ${directory}/pipes/q`);
      await run('mkfifo', [join(directory, 'pipes/q')]);
      child = sh('/', `exec 3<>${directory}/pipes/q; read -r line <&3`);
      await mount.waitUntil(({ waits }) => waits.some(({ call }) => call === 'read'));
      throw new RangeError('the test fails');
    });
    await expect(failing).rejects.toThrow(new RangeError('the test fails'));
    await child!.finished();
    expectGone(directory);
  });

  test('tables are objects, and waitUntil looks at them', () =>
    withMount(async (mount) => {
      expect(await mount.table('pipes')).toEqual([]);
      const reader = sh(mount.directory, 'mkfifo pipes/q; cat pipes/q');
      const { waits } = await mount.waitUntil(({ waits }) => waits.length === 1);
      expect(waits[0]).toMatchObject({ call: 'open', object: 'pipes/q', wait: 'fifoor', command: 'cat' });
      const [pipe] = await mount.table('pipes');
      expect(pipe!.path).toBe('pipes/q');
      await writeFile(join(mount.directory, 'pipes/q'), 'through');
      expect((await reader.finished()).stdout).toBe('through');
      const [version] = await mount.table('version');
      expect(version!.pid).not.toBe(process.pid);
      expect((await mount.table('sysctls')).some(({ name }) => name === 'kern.ipc.shmmni')).toBe(true);
    }));

  test('a condition that does not come about shows the last state of the tables', () =>
    withMount(async (mount) => {
      await run('mkfifo', [join(mount.directory, 'pipes/q')]);
      const waiting = mount.waitUntil(({ pipes }) => pipes.length === 2, { timeoutMs: 50 });
      const error = await waiting.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(WaitTimeout);
      const { message, tables } = error as InstanceType<typeof WaitTimeout>;
      expect(message).toMatch(
        /^not so within 50 ms; the last look at the mount:\n {2}info\/pipes:\n {4}\{"path":"pipes\/q",/,
      );
      expect(tables.pipes).toHaveLength(1);
      const asserting = mount.waitUntil(
        ({ shm }) => {
          expect(shm).toHaveLength(1);
        },
        { timeoutMs: 50, tables: ['shm'] },
      );
      await expect(asserting).rejects.toThrow(/all tables are empty\nthe condition threw: AssertionError/);
    }));

  test('faults are added, listed and removed', () =>
    withMount(async ({ faults, directory }) => {
      await run('mkfifo', [join(directory, 'pipes/q')]);
      const id = await faults.add('pipes/*', 'read', 'short=1', 'when=2');
      const other = await faults.add('pipes/q', 'write', 'errno=EIO');
      expect((await sh(directory, 'echo x > pipes/q & cat pipes/q').finished()).stderr).toContain(
        'Input/output error',
      );
      await faults.remove(other);
      const { stdout } = await sh(
        directory,
        'exec 3<>pipes/q; printf abcd >&3; for n in 1 2; do dd bs=2 count=1 status=none <&3; done',
      ).finished();
      expect(stdout).toBe('abc');
      expect(await faults.list()).toMatchObject([{ id, object: 'pipes/*', hits: 1, state: 'spent' }]);
      const refused = await faults.add('pipes/*', 'read', 'errno=EDQUOT').catch((reason: unknown) => reason);
      expect(refused).toBeInstanceOf(FaultRefusal);
      expect(refused).toMatchObject({
        code: 'EINVAL',
        message: expect.stringMatching(
          /^fault add pipes\/\* read errno=EDQUOT: EINVAL read does not fail with EDQUOT: use /,
        ) as string,
      });
      await expect(faults.remove(other)).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await faults.removeAll()).toBe(1);
    }));

  test('the trace has every call from the begin on, selected by object, process and call, with content', () =>
    withMount(
      async ({ trace, directory, faults }) => {
        await run('mkfifo', [join(directory, 'pipes/q')]);
        await faults.add('pipes/q', 'read', 'short=2', 'when=1');
        const child = sh(directory, 'exec 3<>pipes/q; printf hello >&3; dd bs=9 count=2 status=none <&3');
        await child.finished();
        const reads = await trace.events({ object: 'pipes/**', call: 'read', type: 'end' });
        const contents = reads.map(({ content, size, result }) => [
          size,
          result,
          Buffer.from(content!, 'base64').toString(),
        ]);
        expect(contents).toEqual([
          [9, 2, 'he'],
          [9, 3, 'llo'],
        ]);
        const [write] = await trace.events({ pid: child.pid, call: ['write', 'ioctl'] });
        expect(write).toMatchObject({ object: 'pipes/q', process: child.pid, command: 'bash', result: 5 });
        expect(await trace.events({ call: 'fault' })).toMatchObject([{ object: 'pipes/q' }]);
        await trace.clear();
        expect(await trace.events({ object: 'pipes/q' })).toEqual([]);
        await run('rm', [join(directory, 'pipes/q')]);
        expect((await trace.events({ call: 'unlink' })).map(({ object }) => object)).toEqual(['pipes/q']);
      },
      { contentBytes: 64 },
    ));

  test('a trace that is read too late says what it has lost', () =>
    withMount(
      async ({ trace, directory }) => {
        await sh(
          directory,
          'exec 3<>pipes/q; for n in {1..4000}; do echo >&3; read -r line <&3; done',
        ).finished();
        const events = await trace.events({ object: 'pipes/q' });
        expect(events[0]).toMatchObject({ type: 'lost' });
        expect(events[0]!.lines).toBeGreaterThan(1);
        expect(events.at(-1)).toMatchObject({ call: 'release' });
      },
      { sysctls: { 'ipcfs.trace_bytes': 65_536 } },
    ));

  test('several mounts at once know nothing of each other, and stop ends each once', async () => {
    const [one, other] = await Promise.all([startMount(), startMount({ trace: false })]);
    try {
      await run('mkfifo', [join(one.directory, 'pipes/q')]);
      expect([(await one.table('pipes')).length, (await other.table('pipes')).length]).toEqual([1, 0]);
      expect(() => other.trace).toThrow('trace: false');
    } finally {
      await Promise.all([one.stop(), one.stop(), other[Symbol.asyncDispose]()]);
    }
    for (const { directory } of [one, other]) expectGone(directory);
    await expect(one.table('pipes')).rejects.toThrow('the mount has been stopped');
  });

  test('an aborted signal unmounts: a test that has timed out leaves nothing', async () => {
    const controller = new AbortController();
    let directory = '';
    const testing = withMount(
      async (mount) => {
        ({ directory } = mount);
        const child = sh(directory, 'mkfifo pipes/q; read -r line < pipes/q');
        await mount.waitUntil(({ waits }) => waits.length === 1);
        controller.abort();
        await child.finished();
      },
      { signal: controller.signal },
    );
    await testing;
    expectGone(directory);
    await expect(startMount({ signal: controller.signal })).rejects.toThrow('aborted');
  });

  test('fake timers of a test do not stop it', () => {
    vi.useFakeTimers();
    return withMount(async (mount) => {
      await expect(mount.waitUntil(() => false, { timeoutMs: 30 })).rejects.toThrow('not so within 30 ms');
    });
  });

  test('tunables that there are not are refused before anything is mounted', async () => {
    const refused = await startMount({ sysctls: { 'kern.ipc.shmmni': 0 } }).catch(
      (reason: unknown) => reason,
    );
    expect(refused).toBeInstanceOf(MountFailure);
    expect((refused as Error).message).toBe('kern.ipc.shmmni does not take 0: it goes from 1 to 65536');
    await expect(startMount({ sysctls: { 'kern.none': 1 } })).rejects.toThrow(
      "there is no tunable 'kern.none'",
    );
  });

  test('a server that is killed is named, and stop takes its mount away', async () => {
    const mount = await startMount();
    const [version] = await mount.table('version');
    process.kill(version!.pid, 'SIGKILL');
    await until(() => !isRunning(version!.pid));
    await expect(mount.waitUntil(() => false)).rejects.toThrow(
      `the mount on ${mount.directory} has ended: its server was killed`,
    );
    await mount.stop();
    expectGone(mount.directory);
  });

  test('works with fuse-native', () =>
    withMount(
      async (mount) => {
        await run('mkfifo', [join(mount.directory, 'pipes/q')]);
        await mount.faults.add('pipes/q', 'read', 'short=1');
        const { stdout } = await sh(
          mount.directory,
          'printf ab > pipes/q & dd if=pipes/q bs=9 count=1 status=none',
        ).finished();
        expect(stdout).toBe('a');
        expect(await mount.trace.events({ object: 'pipes/q', call: 'fault' })).toHaveLength(1);
        expect(await mount.faults.list()).toMatchObject([{ hits: 1 }]);
      },
      { transport: 'fuse-native' },
    ));

  const forgetting = `
    import { startMount } from 'ipcfs/testing';
    const mount = await startMount();
    const [{ pid }] = await mount.table('version');
    console.log(mount.directory, pid);
    `;

  test('a process that forgets its mount ends, and the mount ends with it', async () => {
    const { status, stdout, stderr } = await project.node(forgetting);
    expect([status, stderr]).toEqual([0, '']);
    const [directory, pid] = stdout.trim().split(' ');
    await until(() => !isRunning(Number(pid)) && !existsSync(directory!));
    expectGone(directory!);
  });

  test('kill -9 of the process ends the mount, its server, and the calls that wait in it', async () => {
    const runner = project.start(`${forgetting}\nsetInterval(() => 0, 1000);`);
    children.push(runner);
    await until(
      () => runner.stdout.endsWith('\n'),
      () => runner.stderr,
    );
    const [directory, pid] = runner.stdout.trim().split(' ');
    const child = sh('/', `cat ${directory!}/pipes/q; exec 3<>${directory!}/pipes/q; read -r line <&3`);
    await until(async () => (await readFile(join(directory!, 'info/waits'), 'utf8')).includes('piperd'));
    runner.child.kill('SIGKILL');
    await child.finished();
    await until(() => !isRunning(Number(pid)) && !existsSync(directory!));
    expectGone(directory!);
  });

  test('a read of this process that waits in the mount does not keep it', async () => {
    const reading = await withMount(async (mount) => {
      await run('mkfifo', [join(mount.directory, 'pipes/q')]);
      const handle = await open(join(mount.directory, 'pipes/q'), 'r+');
      const waiting = handle.read(Buffer.alloc(1), 0, 1).catch((error: unknown) => error);
      await mount.waitUntil(({ waits }) => waits.length === 1);
      return { handle, waiting };
    });
    expect(await reading.waiting).toMatchObject({
      code: expect.stringMatching(/EINTR|ENOTCONN|ECONNABORTED/) as string,
    });
    await reading.handle.close().catch(() => undefined);
  });
});

describeMount('withMount of a user who may not mount', () => {
  const project = new TestProject();
  beforeAll(() => project.openToUsers());
  afterAll(() => project.end());

  const script = `
    import { spawnSync } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    import { withMount } from 'ipcfs/testing';
    await withMount(async (mount) => {
      await mount.faults.add('pipes/*', 'read', 'short=1');
      const { stdout } = spawnSync('bash', ['-c', 'cd "$0"; exec 3<>pipes/q 4<>kqueue; printf ab >&3; dd bs=9 count=1 status=none <&3; echo "add read pipes/q" >&4; head -n 1 <&4', mount.directory]);
      const [read] = await mount.trace.events({ object: 'pipes/q', call: 'read' });
      console.log(String(stdout).trim(), read.command, read.result, process.getuid());
      console.log(mount.directory, process.argv[2] ?? '');
    });`;

  test('mounts in a user namespace, reached by /proc', async () => {
    const { status, stdout, stderr } = await project.nodeAsUser(script, ['setpriv', '--no-new-privs', '--']);
    expect([status, stderr]).toEqual([0, '']);
    const [first, directory] = stdout.trim().split('\n');
    expect(first).toBe('aread pipes/q data=1 flags=- fflags=0 udata=- dd 1 1001');
    expect(directory).toMatch(/^\/proc\/\d+\/root\/.*ipcfs-test-/);
    await project.untilNothingLeft();
  });

  test('in namespaces of its runner, mounts on a directory of its own', async () => {
    const { status, stdout, stderr } = await project.nodeAsUser(script, [
      'unshare',
      '-U',
      '-m',
      '-c',
      '--keep-caps',
      '--',
    ]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.trim().split('\n')[1]).toMatch(/^\/(?!proc)/);
    await project.untilNothingLeft();
  });

  test('says in one line what to do where nothing works', async () => {
    const { status, stderr } = await project.nodeAsUser(script, [
      'setpriv',
      '--no-new-privs',
      '--',
      'env',
      `PATH=${project.emptyPath()}`,
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /MountFailure: unshare, of util-linux, is not installed: run as root, or install fuse3\n/,
    );
    await project.untilNothingLeft();
  });
});

test('the package offers it with types, and it imports no test runner', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    exports: Record<string, unknown>;
  };
  expect(manifest.exports['./testing']).toEqual({
    types: './dist/src/testing/index.d.ts',
    default: './dist/src/testing/index.js',
  });
  const folder = new URL('../../src/testing/', import.meta.url);
  for (const name of ['index', 'with-mount', 'test-mount', 'server', 'faults', 'trace', 'tables'])
    expect(readFileSync(new URL(`${name}.ts`, folder), 'utf8')).not.toMatch(/from '(vitest|jest|node:test)/);
});
