import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, Scratch } from '../support/cli.ts';
import {
  cannotKillCallersOfStoppedServers,
  describeMount,
  mainProgram,
  TestMount,
} from '../support/mount.ts';
import { MountNamespace } from '../support/namespace.ts';
import { type Finished, run, type Running, until } from '../support/process.ts';

const EXIT_DEADLOCK = 3;
const EXIT_LONG_WAIT = 4;
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

interface WaitsJson {
  readonly waits: {
    readonly object: string;
    readonly enders: { readonly process: number; readonly activity: string }[];
  }[];
  readonly deadlocks: {
    readonly certain: boolean;
    readonly calls: { readonly process: number; readonly object: string }[];
    readonly behind: { readonly process: number }[];
    readonly doubts: string[];
  }[];
  readonly hidden: number[];
}

function expectOneLine({ status, stdout, stderr }: Finished, expectedStatus: number, words: string): void {
  expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
  expect(stderr).toContain(words);
  expect([status, stdout]).toEqual([expectedStatus, '']);
}

describe('wrong usage of ipcfs waits', () => {
  test.each([
    [[], "missing required argument 'DIR'"],
    [['one', 'two'], 'too many arguments'],
    [['--wrong', 'none'], "unknown option '--wrong'"],
    [['--check=yes', 'none'], '--check'],
    [[''], 'DIR is empty'],
    [['--longer-than', '5s', 'none'], 'add --check'],
    [['--check', '--longer-than', '5', 'none'], '--longer-than takes a time with its unit'],
    [['--check', '--longer-than', '-5s', 'none'], '--longer-than takes a time with its unit'],
    [['--check', '--longer-than', '5h', 'none'], '--longer-than takes a time with its unit'],
  ])('%j', async (args, words) => {
    expectOneLine(await ipcfs(['waits', ...args]), EXIT_USAGE, words);
  });
});

describeMount('ipcfs waits', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  const started: Running[] = [];
  afterEach(async () => {
    for (const running of started) running.kill('SIGKILL');
    await Promise.all(started.splice(0).map((running) => running.finished()));
    await mount.endDrivers();
    await until(async () => (await mount.table('waits')).length === 0);
  });
  afterAll(() => mount.stop());

  function start(script: string): Running {
    const running = mount.start(script, { timeoutMs: 60_000 });
    started.push(running);
    return running;
  }

  const waits = (...args: string[]): Promise<Finished> => ipcfs(['waits', mount.directory, ...args]);

  async function look(): Promise<WaitsJson> {
    const { status, stdout, stderr } = await waits('--json');
    expect([status, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as WaitsJson;
  }

  /** That these processes are in one deadlock and nobody else, and that --check says so. */
  async function expectDeadlock(processes: readonly Running[], objects: readonly string[]): Promise<void> {
    const { deadlocks } = await look();
    expect(deadlocks).toMatchObject([{ certain: true, doubts: [] }]);
    const pids = processes.map(({ pid }) => pid).sort((a, b) => a - b);
    expect(deadlocks[0]!.calls.map((call) => call.process)).toEqual(pids);
    expect(deadlocks[0]!.calls.map((call) => call.object).sort()).toEqual([...objects].sort());
    const { status, stdout, stderr } = await waits('--check');
    expect([status, stderr]).toEqual([EXIT_DEADLOCK, '']);
    expect(stdout).toMatch(/^deadlock: [^\n]+\n$/);
    for (const word of [...pids, ...objects]) expect(stdout).toContain(String(word));
    // Still so, and nobody was disturbed.
    expect((await waits('--check')).status).toBe(EXIT_DEADLOCK);
  }

  async function expectNone(): Promise<void> {
    expect((await look()).deadlocks).toEqual([]);
    expect(await waits('--check')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  }

  describe('deadlocks of shell processes', () => {
    test('two that each read before they write what the other reads', async () => {
      await mount.output('mkfifo pipes/a pipes/b');
      const one = start('exec 3<pipes/a 4>pipes/b; read -r x <&3; echo "$x" >&4');
      const two = start('exec 4>pipes/a 3<pipes/b; read -r x <&3; echo "$x" >&4');
      await mount.untilBlocked('pipes/a', 'piperd');
      await mount.untilBlocked('pipes/b', 'piperd');
      await expectDeadlock([one, two], ['pipes/a', 'pipes/b']);
      // Not for ever after all, when somebody comes: what the claim takes for granted.
      await mount.output('echo go > pipes/a');
      await Promise.all([one.finished(), two.finished()]);
      await expectNone();
    });

    test('two that write into full pipes, short writes and direct ones', async () => {
      await mount.output('mkfifo pipes/c pipes/d');
      const one = start(`exec 3>pipes/c 4<pipes/d
        for ((i = 0; i < 1000; i++)); do printf '%1000s' x >&3; done; cat <&4`);
      const two = start(`exec 4<pipes/c 3>pipes/d; exec dd if=/dev/zero bs=100000 count=1 status=none >&3`);
      await mount.untilBlocked('pipes/c', 'pipewr');
      await mount.untilBlocked('pipes/d', 'pipdwt');
      await expectDeadlock([one, two], ['pipes/c', 'pipes/d']);
      two.kill('SIGKILL');
      await two.finished();
      await one.finished();
      await expectNone();
    });

    test('three in a ring, one of them writing, and a fourth behind them', async () => {
      await mount.output('mkfifo pipes/e pipes/f pipes/g pipes/h');
      const ring = [start('exec 3<>pipes/e 4>pipes/f 5>pipes/h; read -r x <&3; :')];
      await mount.untilBlocked('pipes/f', 'fifoow');
      ring.push(start('exec 3<pipes/f 4<pipes/g; read -r x <&3; :'));
      await mount.untilBlocked('pipes/g', 'fifoor');
      const fourth = start('exec 3<pipes/h; read -r x <&3; :');
      ring.push(start('exec 4>pipes/g 3>pipes/e; exec dd if=/dev/zero bs=100000 count=1 status=none >&4'));
      await mount.untilBlocked('pipes/e', 'piperd');
      await mount.untilBlocked('pipes/f', 'piperd');
      await mount.untilBlocked('pipes/g', 'pipdwt');
      await mount.untilBlocked('pipes/h', 'piperd');
      await expectDeadlock(ring, ['pipes/e', 'pipes/f', 'pipes/g']);
      const { deadlocks } = await look();
      expect(deadlocks[0]!.behind.map((call) => call.process)).toEqual([fourth.pid]);
    });

    test('one that reads what only it could write, and one that fills what only it could read', async () => {
      const reader = start('exec 3<>pipes/self; read -r x <&3; :');
      await mount.untilBlocked('pipes/self', 'piperd');
      await expectDeadlock([reader], ['pipes/self']);
      const { stdout } = await waits('--check');
      expect(stdout).toBe(
        `deadlock: bash ${reader.pid} in read of pipes/self waits for itself, and nobody else can end it\n`,
      );
      reader.kill('SIGKILL');
      await reader.finished();
      const writer = start('exec 3<>pipes/self; exec dd if=/dev/zero bs=100000 count=1 status=none >&3');
      await mount.untilBlocked('pipes/self', 'pipdwt');
      await expectDeadlock([writer], ['pipes/self']);
    });

    test('across a pair, a pipe without a name, and descriptors that were inherited', async () => {
      await mount.output('mkdir pairs/p');
      const one = start('exec 3<>pairs/p/0; read -r x <&3; :');
      await mount.untilBlocked('pairs/p/0', 'piperd');
      // Nobody has opened the other end yet: anybody may.
      await expectNone();
      const two = start('exec 3<>pairs/p/1; read -r x <&3; :');
      await mount.untilBlocked('pairs/p/1', 'piperd');
      await expectDeadlock([one, two], ['pairs/p/0', 'pairs/p/1']);
      one.kill('SIGKILL');
      await Promise.all([one.finished(), two.finished()]);
      const three = start('mkfifo pipes/gone; exec 3<>pipes/gone; rm pipes/gone; exec cat <&3');
      await mount.untilBlocked('(removed)', 'piperd');
      await expectDeadlock([three], ['(removed)']);
    });

    test('an open of a pipe whose name has gone since', async () => {
      await mount.output('mkfifo pipes/lost');
      const opener = start('exec 3<pipes/lost');
      await mount.untilBlocked('pipes/lost', 'fifoor');
      await expectNone();
      await mount.output('rm pipes/lost');
      await expectDeadlock([opener], ['(removed)']);
    });
  });

  describe('near misses', () => {
    /** One that reads what only it and `others` have open for writing. */
    async function reader(path: string): Promise<Running> {
      const running = start(`exec 3<>${path}; read -r x <&3; :`);
      await mount.untilBlocked(path, 'piperd');
      return running;
    }

    test('a third process has the writing end, and is not blocked', async () => {
      await reader('pipes/m1');
      expect((await waits('--check')).status).toBe(EXIT_DEADLOCK);
      const third = start('exec 3>pipes/m1; exec sleep 1000');
      await until(async () => (await mount.pipe('pipes/m1'))['writers'] === 2);
      await expectNone();
      const { waits: rows } = await look();
      expect(rows[0]!.enders.find(({ process }) => process === third.pid)?.activity).toMatch(
        /^not blocked here/,
      );
      third.kill('SIGKILL');
      await third.finished();
      expect((await waits('--check')).status).toBe(EXIT_DEADLOCK);
      // With the reading end it could not help.
      start('exec 3<pipes/m1; exec sleep 1000');
      await until(async () => (await mount.pipe('pipes/m1'))['readers'] === 2);
      expect((await waits('--check')).status).toBe(EXIT_DEADLOCK);
    });

    test('one of the two does not wait: its descriptor is non-blocking', async () => {
      await mount.output('mkfifo pipes/m2 pipes/m3');
      const driver = await mount.driver();
      await driver.open('pipes/m2', 'rwn');
      const fd = await driver.open('pipes/m3', 'rwn');
      start('exec 3<pipes/m2 4>pipes/m3; read -r x <&3; :');
      await mount.untilBlocked('pipes/m2', 'piperd');
      expect((await driver.read(fd, 1)).result).toBeLessThan(0);
      await expectNone();
    });

    test('a process with a thread that is blocked, and others that are not', async () => {
      const driver = await mount.driver();
      const fd = await driver.open(await mount.fifo('m4'), 'rw');
      driver.begin({ call: 'read', fd, count: 1 });
      await mount.untilBlocked('pipes/m4', 'piperd');
      await expectNone();
    });

    test('the parent waits for its child with a time limit, and has the end as well', async () => {
      start('exec 3<>pipes/m5; timeout --foreground 1000 cat <&3; echo late >&3');
      await mount.untilBlocked('pipes/m5', 'piperd');
      await expectNone();
      const { waits: rows } = await look();
      expect(rows[0]!.enders).toHaveLength(3);
    });

    test('the other one is blocked outside of the mount', async () => {
      await mount.output('mkfifo pipes/m6');
      const outside = start('exec 3>pipes/m6; coproc cat; read -r x <&"${COPROC[0]}"');
      start('exec 3<pipes/m6; read -r x <&3; :');
      await mount.untilBlocked('pipes/m6', 'piperd');
      await expectNone();
      expect(outside.isFinished).toBe(false);
    });

    test('the other one waits in an open, or for an event, which anybody can bring', async () => {
      await mount.output('mkfifo pipes/m7 pipes/m8 pipes/m9');
      start('exec 3>pipes/m7; exec 4>pipes/m8');
      start('exec 3<pipes/m7; read -r x <&3; :');
      start(`exec 3<pipes/m9 5<>kqueue; echo 'add read pipes/m7' >&5; read -r x <&5; :`);
      start('exec 3>pipes/m9; read -r x <>pipes/m7; :');
      await mount.untilBlocked('pipes/m8', 'fifoow');
      await mount.untilBlocked('kqueue', 'kqread');
      await expectNone();
    });

    test('they wait for each other only until a sleeper wakes up', async () => {
      await mount.output('mkfifo pipes/n1 pipes/n2');
      const one = start('exec 3<pipes/n1 4>pipes/n2; (sleep 3; echo x >&4) & read -r x <&3; :');
      start('exec 4>pipes/n1 3<pipes/n2; read -r x <&3; echo x >&4');
      await mount.untilBlocked('pipes/n1', 'piperd');
      await mount.untilBlocked('pipes/n2', 'piperd');
      await expectNone();
      await one.finished();
    });
  });

  const sends = spawnSync('python3', ['-c', 'import socket; socket.send_fds']).status === 0;
  const why = sends ? '' : ' (there is no python3 with socket.send_fds)';
  test.skipIf(!sends)(`a descriptor that lies in a socket makes it possible, not certain${why}`, async () => {
    await mount.output('mkfifo pipes/sent');
    const python = `import os, socket
a, b = socket.socketpair()
fd = os.open('pipes/sent', os.O_RDWR)
socket.send_fds(a, [b'x'], [fd])
if os.fork() == 0:
    a.close(); b.close(); os.read(fd, 1)
os.close(fd); os.wait()`;
    start(`exec python3 -c "${python}"`);
    await mount.untilBlocked('pipes/sent', 'piperd');
    const { status: checked, stdout, stderr } = await waits('--check');
    expect([checked, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/^ipcfs: possible deadlock: python3 .* on their way through a socket\)\n$/);
  });

  test('the graph: objects, who waits, who could end it', async () => {
    expect(await waits()).toMatchObject({ status: 0, stdout: 'no call is blocked\n' });
    await mount.output('mkfifo pipes/y pipes/z');
    const one = start('exec 3<pipes/y 4>pipes/z; read -r x <&3; :');
    const two = start('exec 4>pipes/y 3<pipes/z; read -r x <&3; :');
    const three = start('exec 3<>pipes/x; sleep 1000 & exec cat <&3');
    for (const path of ['pipes/x', 'pipes/y', 'pipes/z']) await mount.untilBlocked(path, 'piperd');
    const { status, stdout } = await waits();
    expect(status).toBe(0);
    const wait = (call: Running, command: string) =>
      expect.stringMatching(
        new RegExp(
          `^  ${command} ${call.pid}  read   +\\d+\\.\\d s  until data comes, or its writer closes$`,
        ),
      ) as string;
    const pair = [one, two].sort((a, b) => a.pid - b.pid);
    const object = (running: Running): string => (running === one ? 'pipes/y' : 'pipes/z');
    expect(stdout.trimEnd().split('\n')).toEqual([
      'pipes/x',
      wait(three, 'cat'),
      ...[
        `    <- cat ${three.pid}, itself in read of pipes/x`,
        expect.stringMatching(/^ {4}<- sleep \d+, not blocked here/) as string,
      ],
      'pipes/y',
      wait(one, 'bash'),
      `    <- bash ${two.pid}, itself in read of pipes/z`,
      'pipes/z',
      wait(two, 'bash'),
      `    <- bash ${one.pid}, itself in read of pipes/y`,
      `deadlock: ${pair.map((running) => `bash ${running.pid} in read of ${object(running)}`).join(' and ')} wait for each other, and nobody else can end it`,
    ]);
  });

  test('--longer-than: fails for a call that has waited longer, deadlock or not', async () => {
    const check = (time: string): Promise<Finished> => waits('--check', '--longer-than', time);
    expect(await check('1ms')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const reader = start('exec 3<>pipes/slow; sleep 1000 & exec cat <&3');
    await mount.untilBlocked('pipes/slow', 'piperd');
    await until(async () => Number((await mount.table('waits'))[0]?.['since']) > 0.3);
    expect(await check('2m')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(await check('300ms')).toMatchObject({ status: EXIT_LONG_WAIT, stderr: '' });
    expect((await check('0.1s')).stdout).toMatch(
      new RegExp(
        `^long wait: cat ${reader.pid} in read of pipes/slow for \\d+\\.\\d s, until data comes, or its writer closes\\n$`,
      ),
    );
    reader.kill('SIGKILL');
    await reader.finished();
    start('exec 3<>pipes/self; read -r x <&3; :');
    await mount.untilBlocked('pipes/self', 'piperd');
    const both = await check('1ms');
    expect(both.status).toBe(EXIT_DEADLOCK);
    expect(both.stdout).toMatch(/^deadlock: .*\nlong wait: .*\n$/);
  });

  test('names that would steer a terminal are shown escaped', async () => {
    start(`exec 3<>$'pipes/bad\\e[2J\\nname'; exec -a $'x' cat <&3`);
    await until(async () => (await mount.table('waits')).length === 1);
    const { stdout } = await waits();
    expect(stdout).toContain('pipes/bad\\033[2J\\012name\n');
  });

  test.each([
    [80, 24],
    [200, 60],
  ])('in a terminal of %i columns no line of the graph is longer', async (columns, rows) => {
    const name = 'long-name-'.repeat(12);
    start(`exec 3<>pipes/${name}; cat <&3 & cat <&3`);
    await mount.untilBlocked(`pipes/${name}`, 'piperd', 2);
    const command = `stty cols ${columns} rows ${rows}; exec ${ipcfsCommand} waits ${mount.directory}`;
    const { stdout } = await run('script', ['-qec', command, '/dev/null'], { env: { SHELL: '/bin/bash' } });
    const lines = stdout.trimEnd().split('\r\n');
    expect(lines.length).toBeGreaterThan(4);
    const lengths = lines.map((line) => Buffer.from(line, 'latin1').toString('utf8').length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(columns);
    expect(lengths[0]).toBe(Math.min(columns, `pipes/${name}`.length));
  });

  test('with 500 pipes that each have a blocked reader, all of them are there', async () => {
    await mount.output('mkdir pipes/many; cd pipes/many; seq 500 | xargs mkfifo');
    const driver = await mount.driver();
    for (let index = 1; index <= 500; index += 100) await driver.open(`pipes/many/${index}`, 'rw');
    start('for i in {1..500}; do cat pipes/many/$i & done; wait');
    await until(
      async () => (await mount.table('waits')).length === 500,
      () => '500 blocked calls',
      30_000,
    );
    const { status, stdout } = await waits();
    expect(status).toBe(0);
    expect(stdout.match(/^pipes\/many\/\d+$/gm)).toHaveLength(500);
    expect(stdout.match(/ until a writer opens it$/gm)).toHaveLength(495);
    expect(stdout.match(new RegExp(`<- node ${driver.pid}, not blocked here`, 'g'))).toHaveLength(5);
    await expectNone();
    const cut = await mount.sh(`${ipcfsCommand} waits . | head -1`);
    expect([cut.stdout, cut.stderr]).toEqual(['pipes/many/1\n', '']);
  });

  test('objects and callers that come and go meanwhile', async () => {
    const churn =
      start(`while :; do mkfifo pipes/churn; cat pipes/churn & exec 3<>pipes/churn; cat <&3 & rm pipes/churn
      kill %1 %2; wait; exec 3<&-; done 2>/dev/null`);
    for (let round = 0; round < 10; round++) {
      const { status, stderr, stdout } = await waits('--check');
      expect([status, stdout, stderr]).toEqual([0, '', '']);
      expect(await waits()).toMatchObject({ status: 0, stderr: '' });
    }
    expect(churn.isFinished).toBe(false);
  });

  test('another user sees the graph, and which processes are unknown', async () => {
    const reader = start('exec 3<>pipes/theirs; read -r x <&3; :');
    await mount.untilBlocked('pipes/theirs', 'piperd');
    const nobody = { uid: 65534, gid: 65534 };
    const { status, stdout } = await ipcfs(['waits', mount.directory], nobody);
    expect(status).toBe(0);
    expect(stdout).toContain(`  bash ${reader.pid}  read`);
    expect(stdout).toMatch(/^unknown: what .*\b\d+\b.* may have open; as root it can be seen$/m);
    expect(stdout).not.toMatch(/^deadlock/m);
    expect((await ipcfs(['waits', '--check', mount.directory], nobody)).status).toBe(0);
    expect((await waits('--check')).status).toBe(EXIT_DEADLOCK);
  });
});

describeMount('ipcfs waits where the mount does not serve', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  test('no mount, no directory', async () => {
    const directory = scratch.directory();
    expectOneLine(await ipcfs(['waits', directory]), EXIT_FAILURE, `${directory} is no ipcfs mount`);
    const none = join(directory, 'none');
    expectOneLine(await ipcfs(['waits', '--check', none]), EXIT_FAILURE, `${none} does not exist`);
  });

  test('a server that was killed', async () => {
    const directory = scratch.directory();
    process.kill(await scratch.mount(directory), 'SIGKILL');
    for (const option of ['--json', '--check']) {
      expectOneLine(await ipcfs(['waits', option, directory]), EXIT_FAILURE, 'has ended: mount it again');
    }
  });

  test.skipIf(cannotKillCallersOfStoppedServers)('a server that hangs', async () => {
    const directory = scratch.directory();
    const server = await scratch.mount(directory);
    process.kill(server, 'SIGSTOP');
    try {
      expectOneLine(await ipcfs(['waits', directory]), EXIT_FAILURE, `${directory} does not answer`);
    } finally {
      process.kill(server, 'SIGCONT');
    }
  });

  test("a user's own mount: a deadlock of the user's processes is certain for the user, and root is not let in", async () => {
    const directory = scratch.directory(65534);
    const device = scratch.directory();
    const namespace = await MountNamespace.start(`mount -t tmpfs none '${device}'
      mknod -m 666 '${device}/fuse' c 10 229
      mount --bind '${device}/fuse' /dev/fuse`);
    const nobody = { uid: 65534, gid: 65534 };
    const command = (args: readonly string[], user = nobody): Promise<Finished> =>
      namespace.run(process.execPath, [mainProgram, ...args], user);
    try {
      expect(await command(['mount', directory])).toMatchObject({ status: 0, stderr: '' });
      const script = `cd '${directory}'; exec 3<>pipes/self; timeout 20 bash -c 'read -r x <&3; :' & exec 3<&-
        until grep -q 'pipes/self *piperd' info/waits; do :; done; sleep 0.3
        '${process.execPath}' '${mainProgram}' waits --check .; echo "status $?"; kill %1`;
      const { stdout } = await namespace.run('bash', ['-c', script], nobody);
      // timeout(1) has the pipe open as well: it is none yet.
      expect(stdout).toBe('status 0\n');
      // A look takes its time; what began to sleep during it does not count yet.
      const alone = `cd '${directory}'; exec 3<>pipes/own; bash -c 'read -r x <&3; :' & exec 3<&-
        until out=$('${process.execPath}' '${mainProgram}' waits --check .); [ $? = 3 ]; do sleep 0.1; done
        echo "$out"; kill %1`;
      expect((await namespace.run('bash', ['-c', alone], nobody)).stdout).toMatch(
        /^deadlock: bash \d+ in read of pipes\/own waits for itself, and nobody else can end it\n$/,
      );
      expectOneLine(
        await command(['waits', directory], { uid: 0, gid: 0 }),
        EXIT_FAILURE,
        `you may not use ${directory}: only its owner may, unless it was mounted with --allow-other`,
      );
    } finally {
      await command(['umount', directory]);
      await namespace.end();
    }
  });
});
