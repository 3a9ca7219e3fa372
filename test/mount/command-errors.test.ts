import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { visibleCommands } from '../../src/cli/completion/complete.ts';
import { program } from '../../src/cli/program.ts';
import { ipcfs, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace } from '../support/namespace.ts';
import { type Finished, run } from '../support/process.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const nobody = { uid: 65534, gid: 65534 };

/** The commands that look at a mount, each with what it needs beside DIR. */
const LOOKING: readonly (readonly [name: string, options: readonly string[], operands: readonly string[]])[] =
  [
    ['status', [], []],
    ['status', ['--json'], []],
    ['waits', [], []],
    ['waits', ['--check'], []],
    ['waits', ['--json'], []],
    ['wait', ['--timeout', '5'], ['add timer 1 data=1']],
    ['top', [], []],
  ];

/** The words of a command on DIR as a user gives it: `top` in a terminal, where errors are printed among all else. */
function wordsOf(
  [name, options, operands]: (typeof LOOKING)[number],
  directory: string,
): [string, ...string[]] {
  const words = [mainProgram, name, ...options, directory, ...operands];
  if (name !== 'top') return [process.execPath, ...words];
  const command = [process.execPath, ...words].map((word) => `'${word}'`).join(' ');
  return ['env', 'TERM=xterm', 'script', '-qec', command, '/dev/null'];
}

async function look(
  command: (typeof LOOKING)[number],
  directory: string,
  start: (program: string, args: readonly string[]) => Promise<Finished> = run,
): Promise<Finished> {
  const [program, ...args] = wordsOf(command, directory);
  const finished = await start(program, args);
  if (command[0] !== 'top') return finished;
  return { ...finished, stdout: '', stderr: finished.stdout.replaceAll('\r', '') };
}

function expectOneLine({ status, stdout, stderr }: Finished, expectedStatus: number, line: string): void {
  expect([stderr, status, stdout]).toEqual([`ipcfs: ${line}\n`, expectedStatus, '']);
}

describeMount('one line and the right status from every command', () => {
  const scratch = new Scratch();
  let plain: string;
  let file: string;
  let dead: string;
  /** Mounted by another user, where namespace can see it. */
  let foreign: string;
  let namespace: MountNamespace;

  beforeAll(async () => {
    plain = scratch.directory();
    file = join(plain, 'file');
    writeFileSync(file, '');
    dead = scratch.directory();
    process.kill(await scratch.mount(dead), 'SIGKILL');
    foreign = scratch.directory(nobody.uid);
    const device = scratch.directory();
    namespace = await MountNamespace.start(`mount -t tmpfs none '${device}'
      mknod -m 666 '${device}/fuse' c 10 229
      mount --bind '${device}/fuse' /dev/fuse`);
    const mounted = await namespace.run(process.execPath, [mainProgram, 'mount', foreign], nobody);
    expect(mounted).toMatchObject({ status: 0, stderr: '' });
  });
  afterAll(async () => {
    await namespace.run(process.execPath, [mainProgram, 'umount', foreign], nobody);
    await namespace.end();
    await scratch.clean();
  });

  describe.each(LOOKING)('ipcfs %s %j DIR %j', (...command) => {
    test('where nothing is mounted', async () => {
      for (const directory of [plain, file, '/proc']) {
        expectOneLine(
          await look(command, directory),
          EXIT_FAILURE,
          `${directory} is no ipcfs mount: 'grep ipcfs /proc/mounts' lists what is mounted`,
        );
      }
      const none = join(plain, 'none');
      expectOneLine(
        await look(command, none),
        EXIT_FAILURE,
        `${none} does not exist: 'grep ipcfs /proc/mounts' lists what is mounted`,
      );
    });

    test('with an empty DIR', async () => {
      expectOneLine(await look(command, ''), EXIT_USAGE, 'DIR is empty: name the mount point');
    });

    test('where the server has died', async () => {
      const line = `the mount on ${dead} has ended: mount it again`;
      expectOneLine(await look(command, dead), EXIT_FAILURE, line);
    });

    test("in another user's mount, which lets nobody else in", async () => {
      const line = `you may not use ${foreign}: only its owner may, unless it was mounted with --allow-other`;
      expectOneLine(
        await look(command, foreign, (program, args) => namespace.run(program, args)),
        EXIT_FAILURE,
        line,
      );
    });
  });

  test('umount: no mount, and one whose server has died', async () => {
    const lists = "'grep ipcfs /proc/mounts' lists what is mounted";
    const none = join(plain, 'none');
    expectOneLine(await ipcfs(['umount', plain]), EXIT_FAILURE, `${plain} is no ipcfs mount: ${lists}`);
    expectOneLine(await ipcfs(['umount', none]), EXIT_FAILURE, `${none} does not exist: ${lists}`);
    expectOneLine(await ipcfs(['umount', '']), EXIT_USAGE, 'DIR is empty: name the mount point');
    const mounted = scratch.directory();
    process.kill(await scratch.mount(mounted), 'SIGKILL');
    expect(await ipcfs(['umount', mounted])).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
  });

  test('wrong usage names the help of the command', async () => {
    for (const command of visibleCommands(program())) {
      const name = command.name();
      const help = `see 'ipcfs help ${name}'`;
      expectOneLine(await ipcfs([name, '--quux']), EXIT_USAGE, `unknown option '--quux': ${help}`);
      const missing = command.registeredArguments.find(({ required }) => required);
      if (missing !== undefined) {
        const line = `missing required argument '${missing.name()}': ${help}`;
        expectOneLine(await ipcfs([name]), EXIT_USAGE, line);
      }
      if (!command.registeredArguments.some(({ variadic }) => variadic)) {
        const words = [...command.registeredArguments.map(() => plain), 'more'];
        const choices = command.registeredArguments[0]?.argChoices;
        const result = await ipcfs([
          name,
          ...(choices === undefined ? [] : [choices[0]!]),
          ...words.slice(choices === undefined ? 0 : 1),
        ]);
        expectOneLine(result, EXIT_USAGE, `too many arguments for '${name}': ${help}`);
      }
    }
    expectOneLine(await ipcfs(['frob']), EXIT_USAGE, "unknown command 'frob': see 'ipcfs --help'");
  });

  test.each([
    [
      ['mount', '--shm-backing', 'paper', '.'],
      "--shm-backing takes auto, passthrough or cached, not 'paper'",
    ],
    [['mount', '--spin', 'x', '.'], "--spin takes microseconds from 0 to 10000, not 'x'"],
    [['completion', 'csh'], "completion takes bash, zsh or fish, not 'csh'"],
    [['top', '--interval', '0', '.'], "--interval takes seconds from 0.1 to 60, fractions allowed, not '0'"],
    [['wait', '--count', '0', '.', 'add user 1'], "--count takes a number of events, 1 or more, not '0'"],
    [
      ['wait', '.', 'add raed pipes/a'],
      `change 1, 'add raed pipes/a', column 5: unknown filter "raed": see 'ipcfs help kqueue'`,
    ],
  ])('a value that is none: %j', async (args, line) => {
    expectOneLine(await ipcfs(args), EXIT_USAGE, line);
  });
});

describeMount('what the shell says of tunables', () => {
  const scratch = new Scratch();
  let directory: string;

  beforeAll(async () => {
    directory = scratch.directory();
    await scratch.mount(directory);
  });
  afterAll(() => scratch.clean());

  test.each([
    ['an unknown one', 'echo 1 > sysctl/kern/ipc/frob', 'No such file or directory', {}],
    ['no number', 'echo many > sysctl/kern/ipc/shmmni', 'Invalid argument', {}],
    ['out of range', 'echo 0 > sysctl/kern/ipc/shmmni', 'Invalid argument', {}],
    ['beyond its range', 'echo 65537 > sysctl/kern/ipc/shmmni', 'Invalid argument', {}],
    ['a counter', 'echo 1 > sysctl/kern/ipc/pipekva', 'Operation not permitted', {}],
    ['one of the mount only', 'echo 1M > sysctl/kern/ipc/maxpipekva', 'Operation not permitted', {}],
    ['by another user', 'echo 5 > sysctl/kern/ipc/shmmni', 'Permission denied', nobody],
  ])('%s is refused in one line, and nothing changes', async (_, script, words, user) => {
    const before = await run('cat', [join(directory, 'info/sysctls')]);
    const { status, stdout, stderr } = await run('bash', ['-c', script], { cwd: directory, ...user });
    expect([status, stdout]).toEqual([EXIT_FAILURE, '']);
    expect(stderr).toMatch(new RegExp(`^bash: [^\\n]*: ${words}\\n$`));
    const after = await run('cat', [join(directory, 'info/sysctls')]);
    const values = (text: string): string[] =>
      text.split('\n').flatMap((line) => (/ (root|mount) /.test(line) ? [line] : []));
    expect(values(after.stdout)).toEqual(values(before.stdout));
    expect(values(after.stdout).length).toBeGreaterThan(8);
  });

  test('tables and commands while the objects in them come and go', async () => {
    const churn = scratch.start(
      'bash',
      [
        '-c',
        `cd '${directory}'; while :; do
         mkfifo pipes/{1..40}; for key in {1..10}; do truncate -s 4096 shm/$key; done; touch kqueues/{1..10}
         (exec 3<>pipes/1 4<>kqueues/1; echo 'add user 1' >&4)
         rm pipes/{1..40} shm/{1..9} shm/10 kqueues/{1..10}
       done`,
      ],
      { timeoutMs: 120_000 },
    );
    const script = `for round in {1..30}; do
        for table in pipes shm kqueues knotes handles waits; do
          cat info/$table || exit 1
          cat info/$table.json > /dev/null || exit 1
        done | awk '/^ *[a-z]+ +[a-z]/{ columns = NF } NF < columns { print "short: " $0; status = 1 } END { exit status }' || exit 1
        find info/content -type f -exec cat {} + 2>&1 >/dev/null | grep -v 'No such file or directory'
      done; true`;
    expect(await run('bash', ['-c', script], { cwd: directory, timeoutMs: 60_000 })).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
    for (let round = 0; round < 3; round++) {
      for (const args of [
        ['status', directory],
        ['status', '--json', directory],
        ['waits', directory],
      ]) {
        expect(await ipcfs(args)).toMatchObject({ status: 0, stderr: '' });
      }
    }
    expect(churn.isFinished).toBe(false);
    expect(churn.stderr).toBe('');
  }, 120_000);
});
