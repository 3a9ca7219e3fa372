import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { ipcfs } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { run, until } from '../support/process.ts';
import { RunBench } from '../support/run-bench.ts';

describe('wrong usage of ipcfs run', () => {
  test.each([
    [['--wrong', '--', 'true'], "unknown option '--wrong'"],
    [['sh', '-c', 'true'], "unknown option '-c'"],
    [['--timeout', '0', '--', 'true'], '--timeout takes more than 0 seconds'],
    [['--timeout', 'soon', '--', 'true'], '--timeout takes seconds'],
    [['--deadlock', 'maybe', '--', 'true'], "--deadlock takes fail, report or off, not 'maybe'"],
    [['--leaks=yes', '--', 'true'], '--leaks'],
    [['--sysctl', 'kern.ipc.shmmni=0', '--', 'true'], 'kern.ipc.shmmni does not take 0'],
    [['--', ''], 'COMMAND is empty'],
  ])('%j is one line, and nothing is run', async (args, words) => {
    const { status, stdout, stderr } = await ipcfs(['run', ...args]);
    expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
    expect(stderr).toContain(words);
    expect([status, stdout]).toEqual([2, '']);
  });
});

describeMount('ipcfs run', () => {
  const bench = new RunBench();
  afterEach(() => bench.untilNothingLeft());
  afterAll(() => {
    bench.clean();
  });

  describe('the command', () => {
    test('has the mount as $IPCFS, its own working directory, descriptors and environment', async () => {
      const running = bench.start(['--', 'bash', '-c', 'pwd; ls "$IPCFS"; cat; echo "$WORD" >&2'], {
        env: { WORD: 'one  two' },
      });
      running.child.stdin!.end('typed\n');
      expect(await running.finished()).toEqual({
        status: 0,
        signal: null,
        stdout: `${bench.directory}\nctl\ninfo\nkqueue\nkqueue.bin\nkqueues\npairs\npipes\nshm\nsysctl\ntyped\n`,
        stderr: 'one  two\n',
      });
      bench.expectNothingLeft();
    });

    test('has a mount that nobody else has, also within another run', async () => {
      const inner = `'${process.execPath}' '${mainProgram}' run -- bash -c 'ls "$IPCFS/pipes"; echo "$IPCFS"'`;
      const { status, stdout } = await bench.script(`mkfifo pipes/outer; ${inner}; echo "$IPCFS"; ls pipes`);
      const lines = stdout.split('\n');
      expect([status, lines[2]]).toEqual([0, 'outer']);
      expect(lines[0]).not.toBe(lines[1]);
    });

    test('gets the words behind -- as they are', async () => {
      const words = ['--timeout', '-x', 'a b', '', "it's", '--', '$HOME', '*'];
      const { stdout } = await bench.run(['--', 'bash', '-c', 'printf "<%s>" "$@"', 'name', ...words]);
      expect(stdout).toBe(words.map((word) => `<${word}>`).join(''));
      expect((await bench.run(['echo', 'without', 'dashes'])).stdout).toBe('without dashes\n');
    });

    test('is a script with a blank in its path, without an interpreter line too', async () => {
      const script = bench.program('a script', 'echo "script in $IPCFS"\n');
      expect((await bench.run(['--', script])).stdout).toMatch(
        /^script in .*with blank\/temporary files\/ipcfs-run-\w+\n$/,
      );
    });

    test('is $SHELL when none is given', async () => {
      const running = bench.start([]);
      running.child.stdin!.end('echo "$0 $IPCFS"; exit 5\n');
      const { status, stdout } = await running.finished();
      expect([status, stdout]).toEqual([5, expect.stringMatching(/^\/bin\/bash \/.*ipcfs-run-\w+\n$/)]);
    });

    test('keeps blocking output: a slow reader loses nothing', async () => {
      const command = `'${process.execPath}' '${mainProgram}' run -- head -c 1000000 /dev/zero`;
      const { stdout } = await run('bash', ['-c', `${command} | (sleep 0.5; wc -c)`], { env: bench.env });
      expect(stdout).toBe('1000000\n');
    });

    test('has the tunables that the options set, from a file that can be read once too', async () => {
      const shell = `exec '${process.execPath}' '${mainProgram}' run --config /dev/stdin --sysctl kern.ipc.shmmni=77 --pipe-buf 512 \
        -- bash -c 'cd "$IPCFS/sysctl/kern/ipc"; cat shmmni pipe_buf shmseg' <<< 'kern.ipc.shmseg=9'`;
      const { status, stdout } = await run('bash', ['-c', shell], { env: bench.env });
      expect([status, stdout]).toEqual([0, '77\n512\n9\n']);
    });

    test('has children that end like those of any process: no zombies of those whose parents have ended', async () => {
      const { stdout } = await bench.script(`(sleep 0.2 & echo $! > /dev/fd/3) 3>"$OLDPWD/orphan"
        pid=$(cat "$OLDPWD/orphan"); until [ ! -e /proc/$pid ]; do sleep 0.05; done; echo gone`);
      expect(stdout).toBe('gone\n');
    });
  });

  describe('the status', () => {
    test.each([
      ['exit 0', 0],
      ['exit 7', 7],
      ['exit 255', 255],
      ['kill -TERM $$', 143],
      ['kill -KILL $$', 137],
      ['kill -SEGV $$', 139],
    ])('is that of the command, as a shell shows it: %s', async (script, expected) => {
      expect(await bench.run(['--', 'sh', '-c', script])).toMatchObject({
        status: expected,
        stdout: '',
        stderr: '',
      });
    });

    test('is 127 when the command is not found, and 126 when it cannot be executed, in one line', async () => {
      expect(await bench.run(['--', 'ipcfs-no-such-command'])).toMatchObject({
        status: 127,
        stderr: 'ipcfs: ipcfs-no-such-command: command not found\n',
      });
      const plain = bench.program('plain file', 'echo no\n', 0o644);
      for (const path of [plain, bench.directory]) {
        expect(await bench.run(['--', path])).toMatchObject({
          status: 126,
          stderr: `ipcfs: ${path}: cannot be executed (EACCES)\n`,
        });
      }
    });

    test('is 1 in one line when no directory can be made', async () => {
      const { status, stderr } = await bench.run(['--', 'true'], { env: { TMPDIR: '/nowhere' } });
      expect([status, stderr]).toEqual([
        1,
        'ipcfs: no directory can be made in /nowhere (ENOENT): set TMPDIR to a directory of yours\n',
      ]);
    });
  });

  describe('the end', () => {
    test('is that of everything that the command has left running, who detached himself and who ignores SIGTERM too', async () => {
      const { status } =
        await bench.script(`mkfifo pipes/a; setsid bash -c 'trap "" TERM; while :; do sleep 1; done' &
        (setsid sleep 100 &); cat pipes/a & (exec 3<>pipes/a; setsid sleep 100 &); exit 3`);
      expect(status).toBe(3);
      bench.expectNothingLeft();
    });

    test('gives those who take SIGTERM the time to clean up', async () => {
      await bench.script(`bash -c 'trap "sleep 0.3; date > /dev/null && echo cleaned > \\"$OLDPWD/note\\"; exit" TERM; echo ready > "$OLDPWD/ready"
        while :; do sleep 0.1; done' & until [ -e "$OLDPWD/ready" ]; do sleep 0.05; done`);
      expect(bench.read('note')).toBe('cleaned\n');
    });

    test.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const)(
      'comes by %s, which the command gets',
      async (signal) => {
        rmSync(join(bench.directory, 'ready'), { force: true });
        const name = signal.slice('SIG'.length);
        const script = `trap 'echo got; exit 9' ${name}; echo > ready; while :; do sleep 0.1; done`;
        const running = bench.start(['--', 'bash', '-c', script]);
        await until(() => existsSync(join(bench.directory, 'ready')));
        running.child.kill(signal);
        expect(await running.finished()).toMatchObject({ status: 9, stdout: 'got\n' });
        bench.expectNothingLeft();
      },
    );

    test('comes by a signal that the command does not handle, with 128 and its number', async () => {
      const running = bench.start(['--', 'sleep', '100']);
      await until(
        () => readFileSync('/proc/self/stat') && bench.processes().some((pid) => nameOf(pid) === 'sleep'),
      );
      running.child.kill('SIGTERM');
      expect(await running.finished()).toMatchObject({ status: 143, stderr: '' });
    });

    test('comes for the mount when the run is killed: the server unmounts and removes the directory', async () => {
      const running = bench.start([
        '--',
        'bash',
        '-c',
        'cat "$IPCFS/pipes/none"; exec 3<>"$IPCFS/pipes/a"; read -r x <&3',
      ]);
      await bench.mountPoint();
      await until(() => bench.processes().some((pid) => nameOf(pid) === 'bash'));
      running.child.kill('SIGKILL');
      await running.finished();
      await bench.untilNothingLeft();
    });

    test('comes for the command when the server is killed: one line, status 1', async () => {
      const running = bench.start([
        '--',
        'bash',
        '-c',
        'echo "$IPCFS"; trap "" TERM; while :; do sleep 0.1; done',
      ]);
      await until(() => running.stdout.endsWith('\n'));
      const [{ pid }] = JSON.parse(
        readFileSync(join(running.stdout.trim(), 'info/version.json'), 'utf8'),
      ) as [{ pid: number }];
      process.kill(pid, 'SIGKILL');
      expect(await running.finished()).toMatchObject({
        status: 1,
        stderr: 'ipcfs: the mount has ended before the command: its server was killed\n',
      });
      bench.expectNothingLeft();
    });

    test('comes although the server does not answer', async () => {
      const running = bench.start([
        '--timeout',
        '2',
        '--',
        'bash',
        '-c',
        'echo "$IPCFS"; exec 3<>"$IPCFS/pipes/a"; sleep 100',
      ]);
      await until(() => running.stdout.endsWith('\n'));
      const [{ pid }] = JSON.parse(
        readFileSync(join(running.stdout.trim(), 'info/version.json'), 'utf8'),
      ) as [{ pid: number }];
      process.kill(pid, 'SIGSTOP');
      const { status, stderr } = await running.finished();
      expect([status, stderr]).toEqual([
        124,
        'ipcfs: the command has not ended after 2 s; blocked calls:\nunknown: the mount does not answer\n',
      ]);
      bench.expectNothingLeft();
    });
  });

  test('the example of a configuration file that is wrong is one line', async () => {
    const path = join(bench.directory, 'wrong.conf');
    writeFileSync(path, 'kern.ipc.shmmni=0\n');
    const { status, stderr } = await bench.run(['--config', path, '--', 'true']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^ipcfs: .*wrong\.conf:1: kern\.ipc\.shmmni does not take 0[^\n]*\n$/);
  });
});

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}
