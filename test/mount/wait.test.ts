import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, Scratch } from '../support/cli.ts';
import { cannotKillCallersOfStoppedServers, describeMount, mainProgram } from '../support/mount.ts';
import { type Finished, run, type Running, type RunOptions, until } from '../support/process.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const EXIT_TIMED_OUT = 124;
const nobody = { uid: 65534, gid: 65534 };

function expectOneLine({ status, stdout, stderr }: Finished, expectedStatus: number, words: string): void {
  expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
  expect(stderr).toContain(words);
  expect([status, stdout]).toEqual([expectedStatus, '']);
}

describe('wrong usage of ipcfs wait', () => {
  test.each([
    [['add raed pipes/a'], `change 1, 'add raed pipes/a', column 5: unknown filter "raed"`],
    [['add user 1', 'ad user 2'], `change 2, 'ad user 2', column 1: unknown command "ad"`],
    [['add user'], 'column 9: no ident'],
    [['add read ü trigger'], `column 13: unknown option "trigger"`],
    [['add timer x'], `column 11: "x" is no ident of timer`],
    [['add user 1\nadd user 2'], 'column 11: control character'],
    [[''], "change 1, '', says nothing"],
    [['# add user 1'], 'says nothing'],
    [[`add user 1 udata=${'x'.repeat(4096)}`], 'change 1 is longer than 4096 bytes'],
    [[], "missing required argument 'CHANGE'"],
    [['--timeout', '-1', 'add user 1'], '--timeout takes seconds from 0 to 2147483'],
    [['--timeout', '1s', 'add user 1'], '--timeout takes seconds'],
    [['--timeout', '.', 'add user 1'], '--timeout takes seconds'],
    [['--timeout', '2147484', 'add user 1'], '--timeout takes seconds'],
    [['--count', '0', 'add user 1'], '--count takes a number of events, 1 or more'],
    [['--count', '1.5', 'add user 1'], '--count takes a number'],
    [['--count', '9'.repeat(20), 'add user 1'], '--count takes a number'],
    [['--wrong', 'add user 1'], "unknown option '--wrong'"],
  ])('wrong usage: %j', async (args, words) => {
    // Found before the mount is looked at: there is none.
    expectOneLine(await ipcfs(['wait', 'none', ...args]), EXIT_USAGE, words);
  });

  test('wrong usage: no DIR', async () => {
    expectOneLine(await ipcfs(['wait', '', 'add user 1']), EXIT_USAGE, 'DIR is empty');
  });
});

describeMount('ipcfs wait', () => {
  const scratch = new Scratch();
  let directory: string;
  let server: number;
  beforeEach(async () => {
    directory = scratch.directory();
    server = await scratch.mount(directory);
  });
  afterEach(() => scratch.clean());

  function wait(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return ipcfs(['wait', directory, ...args], options);
  }

  /** Starts the command and returns once it has registered `knotes` changes and sleeps in its read. */
  async function startWaiting(args: readonly string[], knotes = 1): Promise<Running> {
    const running = scratch.start(process.execPath, [mainProgram, 'wait', directory, ...args]);
    await until(
      async () => {
        const { stdout } = await run('cat', [join(directory, 'info/kqueues.json')]);
        const queues = JSON.parse(stdout) as { knotes: number; 'blocked-readers': number }[];
        return queues.some((queue) => queue.knotes === knotes && queue['blocked-readers'] === 1);
      },
      () => `a kqueue with ${knotes} knotes and a reader: ${running.stderr}`,
    );
    return running;
  }

  test('one event ends it, as the text form has it', async () => {
    expect(await wait(['add timer 1 data=20ms udata=tick'])).toMatchObject({
      status: 0,
      stdout: 'timer 1 data=1 flags=clear fflags=0 udata=tick\n',
      stderr: '',
    });
  });

  test('data that comes later into a pipe ends it', async () => {
    await run('mkfifo', [join(directory, 'pipes/a')]);
    const waiting = await startWaiting(['add read pipes/a udata=j1']);
    const pipe = openSync(join(directory, 'pipes/a'), 'r+');
    writeSync(pipe, 'hello\n');
    const finished = await waiting.finished();
    closeSync(pipe);
    expect(finished).toMatchObject({
      status: 0,
      stdout: 'read pipes/a data=6 flags=- fflags=0 udata=j1\n',
      stderr: '',
    });
  });

  test('--count: events are printed as they come, and the last one ends it', async () => {
    const waiting = await startWaiting(['add vnode pipes write clear', '--count', '3']);
    const line = 'vnode pipes data=0 flags=clear fflags=write udata=-\n';
    for (let count = 1; count <= 3; count++) {
      expect(waiting.isFinished).toBe(false);
      await run('mkfifo', [join(directory, `pipes/${count}`)]);
      await until(() => waiting.stdout === line.repeat(count));
    }
    expect(await waiting.finished()).toMatchObject({ status: 0, stderr: '' });
  });

  test('more events than --count: what is too much is not printed', async () => {
    const { status, stdout } = await wait(
      ['--timeout', '0', '--count', '2'].concat(
        [1, 2, 3].flatMap((ident) => [`add user ${ident}`, `modify user ${ident} trigger`]),
      ),
    );
    expect([status, stdout]).toEqual([
      0,
      'user 1 data=0 flags=- fflags=0 udata=-\nuser 2 data=0 flags=- fflags=0 udata=-\n',
    ]);
  });

  test('--json: an object a line; receipts are shown and not counted', async () => {
    const { status, stdout } = await wait([
      '--json',
      '--count',
      '2',
      'add user 0x10 receipt clear udata=ü',
      'modify user 16 trigger ffcopy=0x3',
      'add timer 9007199254740993 data=300 oneshot',
    ]);
    expect(status).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(Buffer.from(line, 'latin1').toString()) as unknown),
    ).toEqual([
      { filter: 'user', ident: '0x10', error: '0', udata: 'ü' },
      { filter: 'user', ident: '0x10', data: 0, flags: ['clear'], fflags: ['0x3'], udata: 'ü' },
      {
        filter: 'timer',
        ident: '9007199254740993',
        data: 1,
        flags: ['clear', 'oneshot'],
        fflags: [],
        udata: null,
      },
    ]);
  });

  test('a descriptor of the command is watched by fd:N', async () => {
    const script = `mkfifo pipes/a; exec 5<>pipes/a; echo hello >&5; ${ipcfsCommand} wait . 'add read fd:5'`;
    expect(await run('bash', ['-c', script], { cwd: directory })).toMatchObject({
      status: 0,
      stdout: 'read fd:5 data=6 flags=- fflags=0 udata=-\n',
    });
  });

  test('standard input that is closed does no harm', async () => {
    const script = `${ipcfsCommand} wait . 'add timer 1 data=1' <&-`;
    expect(await run('bash', ['-c', script], { cwd: directory })).toMatchObject({ status: 0, stderr: '' });
  });

  test.each(['0.05', '.05', '1.', '0'])('--timeout %s ends it with 124', async (seconds) => {
    const beganMs = performance.now();
    const { status, stdout, stderr } = await wait(['--timeout', seconds, 'add user 1']);
    expect([status, stdout, stderr]).toEqual([EXIT_TIMED_OUT, '', '']);
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(Number(seconds) * 1000);
  });

  test('a time-out after some events: they were printed', async () => {
    const { status, stdout } = await wait(['--timeout', '0.5', '--count', '2', 'add timer 1 data=1 oneshot']);
    expect([status, stdout]).toEqual([
      EXIT_TIMED_OUT,
      'timer 1 data=1 flags=clear,oneshot fflags=0 udata=-\n',
    ]);
  });

  test('a time-out of 0 takes what is pending, and 124 when that is too little', async () => {
    const pending = ['--timeout', '0', 'add user 1 clear', 'modify user 1 trigger'];
    expect(await wait(pending)).toMatchObject({ status: 0 });
    expect(await wait([...pending, '--count', '2'])).toMatchObject({
      status: EXIT_TIMED_OUT,
      stdout: 'user 1 data=0 flags=clear fflags=0 udata=-\n',
      stderr: '',
    });
  });

  test.each([
    ['add read pipes/none', 'ENOENT', "there is no pipes/none, counted from the mount's root"],
    ['modify user 1 trigger', 'ENOENT', "'add user 1' comes first"],
    ['add read fd:99', 'EBADF', 'it is not open'],
    ['add aio 1', 'ENXIO', 'see '],
    ['add read kqueue/x', 'ENOTDIR', 'a part of the path is no directory'],
  ])('a refused change: %s is %s', async (change, errno, words) => {
    const { status, stdout, stderr } = await wait([change, 'add timer 1 data=1']);
    const subject = change.split(' ').slice(1, 3).join(' ');
    expect(stdout.replace(/(?<=udata=-) .*/, '')).toBe(`error ${subject} errno=${errno} udata=-\n`);
    expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
    expect(stderr).toContain(`the mount refused '${subject}' (${errno}): ${words}`);
    expect(status).toBe(EXIT_FAILURE);
  });

  test('a refused change with --json', async () => {
    const { status, stdout } = await wait(['--json', 'add read pipes/none udata=x']);
    expect(JSON.parse(stdout)).toEqual({ filter: 'read', ident: 'pipes/none', error: 'ENOENT', udata: 'x' });
    expect(status).toBe(EXIT_FAILURE);
  });

  test('where nothing is mounted', async () => {
    const empty = scratch.directory();
    expectOneLine(await ipcfs(['wait', empty, 'add user 1']), EXIT_FAILURE, 'is no ipcfs mount');
    expectOneLine(await ipcfs(['wait', '/proc', 'add user 1']), EXIT_FAILURE, 'is no ipcfs mount');
    const none = join(empty, 'none');
    expectOneLine(await ipcfs(['wait', none, 'add user 1']), EXIT_FAILURE, 'does not exist');
    const inner = join(directory, 'pipes');
    expectOneLine(await ipcfs(['wait', inner, 'add user 1']), EXIT_FAILURE, 'is no ipcfs mount');
  });

  test("somebody else's file cannot be watched", async () => {
    await run('mkfifo', ['-m', '600', join(directory, 'pipes/a')]);
    const { status, stdout, stderr } = await wait(['add read pipes/a'], nobody);
    expect([status, stdout]).toEqual([EXIT_FAILURE, 'error read pipes/a errno=EACCES udata=-\n']);
    expect(stderr).toContain('you may not watch it');
  });

  test('the server is killed meanwhile', async () => {
    const waiting = await startWaiting(['add user 1']);
    process.kill(server, 'SIGKILL');
    expectOneLine(await waiting.finished(), EXIT_FAILURE, `the mount on ${directory} has ended`);
  });

  test('the mount is unmounted meanwhile', async () => {
    const waiting = await startWaiting(['add user 1']);
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0 });
    expectOneLine(await waiting.finished(), EXIT_FAILURE, `the mount on ${directory} has ended`);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)(
    '%s ends it at once, and its queue',
    async (signal) => {
      const waiting = await startWaiting(['add user 1', '--timeout', '60']);
      process.kill(waiting.pid, signal);
      expect(await waiting.finished()).toMatchObject({ signal, stdout: '', stderr: '' });
      await until(
        async () => (await run('cat', [join(directory, 'info/kqueues.json')])).stdout.trim() === '[]',
      );
    },
  );

  test.skipIf(cannotKillCallersOfStoppedServers)(
    'a server that hangs: signals and the time-out count all the same',
    async () => {
      process.kill(server, 'SIGSTOP');
      try {
        expect(await wait(['--timeout', '0.3', 'add user 1'])).toMatchObject({ status: EXIT_TIMED_OUT });
        const running = scratch.start('timeout', [
          '0.3',
          process.execPath,
          mainProgram,
          'wait',
          directory,
          'add user 1',
        ]);
        expect(await running.finished()).toMatchObject({ status: EXIT_TIMED_OUT, stderr: '' });
      } finally {
        process.kill(server, 'SIGCONT');
      }
    },
  );

  test('a reader of its output that goes ends it', async () => {
    const script = `${ipcfsCommand} wait . 'add timer 1 data=1' --count 1000000 | head -n 1`;
    expect(await run('bash', ['-c', script], { cwd: directory })).toMatchObject({ status: 0, stderr: '' });
  });
});
