import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { compileC, whyNoCompiler } from '../support/c-program.ts';
import { ipcfs } from '../support/cli.ts';
import { describeMount, type Row, TestMount } from '../support/mount.ts';
import { type Finished, type Running, until } from '../support/process.ts';
import { alice, asUser, bob, runAs } from '../support/users.ts';
import { watcherSource } from '../support/watcher.ts';

interface DeadlockJson {
  readonly certain: boolean;
  readonly likely: boolean;
  readonly calls: readonly { readonly process: number; readonly call: string; readonly object: string }[];
  readonly doubts: readonly string[];
}

const whyNot = whyNoCompiler('/usr/include/linux/limits.h');
const hasPython = spawnSync('python3', ['-c', '']).status === 0;

describeMount('sleeps outside of the mount', () => {
  let mount: TestMount;
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-watcher-'));
  const watcher = join(directory, 'watcher');
  beforeAll(async () => {
    mount = await TestMount.start();
    if (whyNot !== null) return;
    chmodSync(directory, 0o755);
    compileC(watcherSource, watcher);
  });
  const started: Running[] = [];
  afterEach(async () => {
    for (const running of started) running.kill('SIGKILL');
    await Promise.all(started.splice(0).map((running) => running.finished()));
    await until(async () => (await mount.inferredWaits()).length === 0);
    await mount.output('rm -f pipes/*');
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(directory, { recursive: true });
  });

  function start(script: string): Running {
    const running = mount.start(script, { timeoutMs: 60_000 });
    started.push(running);
    return running;
  }

  /** Its row, once there is one with these words. */
  async function rowOf({ pid }: Running, words: Row = {}): Promise<Row> {
    let seen: Row[] = [];
    return until(
      async () => {
        seen = await mount.inferredWaits();
        return seen.find(
          (row) =>
            row['process'] === pid &&
            row['wait'] !== 'outside' &&
            Object.entries(words).every(([name, value]) => row[name] === value),
        );
      },
      () => `a row of ${pid}: ${JSON.stringify(seen)}`,
    );
  }

  const waits = (...args: string[]): Promise<Finished> => ipcfs(['waits', mount.directory, ...args]);

  async function deadlocks(): Promise<readonly DeadlockJson[]> {
    const { stdout } = await waits('--json');
    return (JSON.parse(stdout) as { deadlocks: DeadlockJson[] }).deadlocks;
  }

  describe.skipIf(whyNot !== null)(`of a program in C${whyNot === null ? '' : ` (${whyNot})`}`, () => {
    test.each([
      ['poll', /^p?poll$/],
      ['ppoll', /^ppoll$/],
      ['select', /^p?select6?$/],
      ['pselect', /^pselect6$/],
      ['epoll_wait', /^epoll_p?wait$/],
      ['epoll_pwait', /^epoll_pwait$/],
      ['epoll_pwait2', /^epoll_pwait2$/],
    ])('%s has a row for the pipe that it watches, and says what else ends it', async (call, name) => {
      const ino = Number(await mount.output('mkfifo pipes/in pipes/out; stat -c %i pipes/in'));
      const patient = start(`exec ${watcher} ${call} pipes/in pipes/out -1`);
      expect(await rowOf(patient)).toMatchObject({
        pid: patient.pid,
        call: expect.stringMatching(name) as string,
        object: 'pipes/in',
        wait: 'pollin',
        command: 'watcher',
        ino,
        'peer-ino': ino,
        peers: 0,
        inferred: 'nothing',
        until: 'a writer opens it',
      });
      const limited = start(`exec ${watcher} ${call} pipes/in pipes/out 50000`);
      expect(await rowOf(limited)).toMatchObject({ wait: 'pollin', inferred: 'timeout' });
      // Standard input is a pipe of the test.
      const guarded = start(`exec ${watcher} ${call} pipes/in pipes/out -1 0`);
      expect(await rowOf(guarded)).toMatchObject({ wait: 'pollin', inferred: 'others' });
      await mount.output('echo > pipes/in');
      expect(await patient.finished()).toMatchObject({ status: 7 });
    });

    test('two selects that wait for each other are a likely deadlock, which fails no check', async () => {
      await mount.output('mkfifo pipes/a pipes/b');
      const one = start(`exec ${watcher} select pipes/a pipes/b -1`);
      const two = start(`exec ${watcher} epoll_wait pipes/b pipes/a -1`);
      for (const running of [one, two]) await rowOf(running, { peers: 1 });
      const [deadlock, ...others] = await deadlocks();
      expect(others).toEqual([]);
      expect(deadlock).toMatchObject({ certain: false, likely: true, doubts: [] });
      expect(deadlock!.calls.map(({ process }) => process).sort((a, b) => a - b)).toEqual(
        [one.pid, two.pid].sort((a, b) => a - b),
      );
      const line =
        /^likely deadlock: watcher \d+ in \w+ of pipes\/[ab] and watcher \d+ in \w+ of pipes\/[ab] wait for each other, and nobody else is seen that could end it\n$/m;
      const { status, stdout } = await waits();
      expect(status).toBe(0);
      expect(stdout).toMatch(line);
      expect(stdout).toMatch(/^no call is blocked\n/);
      expect(stdout).toMatch(
        new RegExp(
          `^pipes/a\\n  watcher ${one.pid}  p?select6? +>\\d+\\.\\d s  until data comes, or its writer closes \\(inferred\\)\\n    <- watcher ${two.pid}, itself in epoll_p?wait of pipes/b\\n`,
          'm',
        ),
      );
      expect(await waits('--check')).toMatchObject({
        status: 0,
        stdout: '',
        stderr: expect.stringMatching(/^ipcfs: likely deadlock: /) as string,
      });
      const shown = await ipcfs(['status', mount.directory]);
      expect(shown.stdout).toMatch(line);
    });

    test('a read and a poll that wait for each other: the process that reads is behind nobody else', async () => {
      await mount.output('mkfifo pipes/a pipes/b');
      const one = start('exec 3<>pipes/b 4<pipes/a; read -r x <&4');
      const two = start(`exec ${watcher} poll pipes/b pipes/a -1`);
      await rowOf(two, { peers: 1 });
      await mount.untilBlocked('pipes/a', 'piperd');
      expect(await deadlocks()).toMatchObject([{ certain: false, likely: true, doubts: [] }]);
      // Its end in a third process that may do anything: none.
      const third = start('exec 3<>pipes/b; exec sleep 1000');
      await until(async () => (await mount.pipe('pipes/b'))['writers'] === 2);
      expect(await deadlocks()).toEqual([]);
      expect([one, two, third].some(({ isFinished }) => isFinished)).toBe(false);
    });

    test.each([
      ['a time limit', '50000'],
      ['a descriptor that the test could write to', '-1 0'],
    ])('a poll with %s is part of none', async (_, words) => {
      await mount.output('mkfifo pipes/a pipes/b');
      const one = start(`exec ${watcher} poll pipes/a pipes/b -1`);
      const two = start(`exec ${watcher} poll pipes/b pipes/a ${words}`);
      for (const running of [one, two]) await rowOf(running, { peers: 1 });
      expect(await deadlocks()).toEqual([]);
      const { stdout } = await waits();
      expect(stdout).toMatch(/\(inferred; or (a timeout|something outside of the mount)\)/);
    });

    test('a loop that serves those who open its pipe waits for nobody in particular', async () => {
      const server = start(`mkfifo pipes/jobs; exec ${watcher} poll pipes/jobs pipes/jobs -1`);
      await rowOf(server, { peers: 1, inferred: 'nothing' });
      expect(await deadlocks()).toEqual([]);
    });

    test("another user's processes: root sees them, and who watches; their user too; others do not", async () => {
      await mount.output('mkfifo pipes/in pipes/out; chmod 666 pipes/in pipes/out; chmod 755 .');
      const theirs = start(asUser(alice, `exec ${watcher} poll pipes/in pipes/out -1`));
      await until(async () =>
        (await mount.inferredWaits()).some((row) => row['command'] === 'watcher' && row['wait'] === 'pollin'),
      );
      const seenBy = async (user: typeof alice): Promise<string> =>
        (await runAs(mount, user, 'awk \'$5 == "pollin"\' info/waits; awk \'$4 == "pollin"\' info/waits'))
          .stdout;
      expect(await seenBy(alice)).toMatch(/poll +pipes\/in pollin .* watcher /);
      expect(await seenBy(bob)).toBe('');
      expect(theirs.isFinished).toBe(false);
    });
  });

  test.skipIf(!hasPython)('since grows while a sleep lasts, and begins again with the next', async () => {
    await mount.output('mkfifo pipes/in');
    const loop = start(`exec python3 -c "
import os, select
fd = os.open('pipes/in', os.O_RDWR)
while True: select.select([fd], [], []); os.read(fd, 100)"`);
    await rowOf(loop);
    await until(async () => Number((await rowOf(loop))['since']) > 0.5);
    await mount.output('echo > pipes/in');
    await until(async () => Number((await rowOf(loop))['since']) < 0.3);
    await until(async () => Number((await rowOf(loop))['since']) > 0.5);
  });

  test.skipIf(!hasPython)('python: select, poll and epoll of its library', async () => {
    await mount.output('mkfifo pipes/in pipes/out');
    const program = (call: string): string => `exec python3 -c "
import os, select
fd = os.open('pipes/in', os.O_RDONLY | os.O_NONBLOCK)
${call}"`;
    const calls = [
      'select.select([fd], [], [])',
      'p = select.poll(); p.register(fd, select.POLLIN); p.poll()',
      'e = select.epoll(); e.register(fd, select.EPOLLIN); e.poll()',
    ];
    for (const running of calls.map((call) => start(program(call))))
      expect(await rowOf(running)).toMatchObject({ wait: 'pollin', object: 'pipes/in', inferred: 'nothing' });
    const limited = start(program('select.select([fd], [], [], 1000)'));
    expect(await rowOf(limited)).toMatchObject({ wait: 'pollin', inferred: 'timeout' });
  });

  test('node: two programs whose event loops wait for reads that wait for each other', async () => {
    await mount.output('mkfifo pipes/a pipes/b');
    const program = (input: string, output: string, more = ''): string =>
      `exec ${process.execPath} -e "const fs = require('fs'); fs.openSync('${output}', 'r+'); ${more}
      fs.open('${input}', (error, fd) => fs.read(fd, Buffer.alloc(1), 0, 1, null, () => undefined))" < /dev/null`;
    const one = start(program('pipes/a', 'pipes/b'));
    const two = start(program('pipes/b', 'pipes/a'));
    await mount.untilBlocked('pipes/a', 'piperd');
    await mount.untilBlocked('pipes/b', 'piperd');
    await until(async () => (await deadlocks()).length > 0);
    const [deadlock] = await deadlocks();
    expect(deadlock).toMatchObject({ certain: false, likely: true, doubts: [] });
    expect(deadlock!.calls.map(({ call }) => call)).toEqual(['read', 'read']);
    for (const running of [one, two]) running.kill('SIGKILL');
    await Promise.all([one.finished(), two.finished()]);
    // The same with a timer, which ends the wait of a loop.
    start(program('pipes/a', 'pipes/b'));
    start(program('pipes/b', 'pipes/a', 'setInterval(() => undefined, 100000);'));
    await mount.untilBlocked('pipes/a', 'piperd');
    await mount.untilBlocked('pipes/b', 'piperd');
    await until(async () => (await mount.inferredWaits()).some((row) => row['inferred'] === 'timeout'));
    expect(await deadlocks()).toEqual([]);
  });

  test('a process that has a pipe open and sleeps elsewhere has a row for it', async () => {
    const { pid } = start('exec 3<>pipes/held; exec sleep 1000');
    const row = await until(async () =>
      (await mount.inferredWaits()).find(({ process, command }) => process === pid && command === 'sleep'),
    );
    expect(row).toMatchObject({
      call: 'clock_nanosleep',
      object: 'pipes/held',
      wait: 'outside',
      'peer-ino': '-',
      peers: '-',
      inferred: 'timeout',
      until: 'its call outside of the mount ends',
    });
    expect(await mount.table('waits')).toEqual([]);
    expect(await waits()).toMatchObject({ status: 0, stdout: 'no call is blocked\n' });
  });
});
