import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, Scratch } from '../support/cli.ts';
import { cannotKillCallersOfStoppedServers, describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { Terminal } from '../support/terminal.ts';

interface Status {
  mount: string;
  pid: number;
  uptimeSeconds: number;
  transport: Record<string, string>;
  pipeMemory: { usedBytes: number; maximumBytes: number };
  pipes: Record<string, unknown>[];
  kqueues: Record<string, unknown>[];
  segments: Record<string, unknown>[];
  waits: Record<string, unknown>[];
  deadlocks: Record<string, unknown>[];
}

describeMount('ipcfs status', () => {
  const scratch = new Scratch();
  let mount: TestMount;
  let terminal: Terminal | null = null;
  const lasting = { timeoutMs: 600_000 };
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterEach(async () => {
    await terminal?.stop();
    terminal = null;
    await scratch.clean();
  });
  afterAll(() => mount.stop());

  async function statusOf(directory: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await ipcfs(['status', directory, ...args]);
    expect([status, stderr]).toEqual([0, '']);
    return Buffer.from(stdout, 'latin1').toString('utf8');
  }

  async function json(): Promise<Status> {
    return JSON.parse(await statusOf(mount.directory, '--json')) as Status;
  }

  /** The screen after `ipcfs status` in a terminal. */
  async function screenOf(columns: number, rows: number, ...args: string[]): Promise<string[]> {
    terminal = await Terminal.start({ columns, rows });
    await terminal.enter(`clear; ${ipcfsCommand} status ${mount.directory} ${args.join(' ')}`);
    await terminal.until(/\nready>$/);
    return await terminal.lines();
  }

  describe('of an empty mount', () => {
    test('says that there is nothing', async () => {
      const lines = (await statusOf(mount.directory)).trimEnd().split('\n');
      expect(lines).toHaveLength(5);
      expect(lines[0]).toMatch(new RegExp(`^ipcfs \\d+\\.\\d+\\.\\d+ on ${mount.directory}$`));
      expect(lines[1]).toMatch(
        new RegExp(`^server ${mount.server.pid}, up [\\d.]+ s, pipe memory 0 of \\d+M$`),
      );
      expect(lines[2]).toMatch(
        /^transport raw, protocol [\d.]+, shm-backing \w+, shm-detach [\w-]+(, no [\w-]+)*$/,
      );
      expect(lines.slice(3)).toEqual(['', 'no pipes, kqueues, segments or blocked calls']);
    });

    test('as JSON has empty tables', async () => {
      const status = await json();
      expect(status).toMatchObject({
        mount: mount.directory,
        pid: mount.server.pid,
        pipes: [],
        kqueues: [],
        segments: [],
        waits: [],
        deadlocks: [],
      });
      expect(status.uptimeSeconds).toBeGreaterThan(0);
      expect(status.uptimeSeconds).toBeLessThan(600);
      expect(status.transport['transport']).toBe('raw');
      expect(status.pipeMemory.maximumBytes).toBe((await mount.sysctl('kern.ipc.maxpipekva')) & ~4095);
    });
  });

  describe('of a few objects', () => {
    beforeAll(async () => {
      await mount.output(
        "mkfifo pipes/filled pipes/waiting pipes/direct 'pipes/a b\t\x1b[31m'; touch kqueues/q; truncate -s 64K shm/0x1234",
      );
      mount.start(
        'exec 3<>pipes/filled; head -c 8192 /dev/zero | dd bs=4096 status=none >&3; exec sleep 600',
        lasting,
      );
      mount.start('exec cat pipes/waiting', lasting);
      mount.start('exec 3<>pipes/direct; exec dd if=/dev/zero bs=100000 count=1 status=none >&3', lasting);
      mount.start(
        'exec 3<>kqueues/q 4<>pipes/filled; echo "add read pipes/filled" >&3; exec 5<shm/0x1234; exec sleep 600',
        lasting,
      );
      await mount.untilBlocked('pipes/waiting', 'fifoor');
      await mount.untilBlocked('pipes/direct', 'pipdwt');
      await until(async () => (await mount.table('shm'))[0]!['nattch'] === 1);
      await until(async () => (await mount.pipe('pipes/filled'))['cnt'] === 8192);
      await until(async () => (await mount.table('kqueues'))[0]!['pending'] === 1);
    });

    test('shows each with what matters of it, and no row is cut when the output is no terminal', async () => {
      const text = await statusOf(mount.directory);
      expect(text).not.toContain('\x1b');
      const lines = text.split('\n').map((line) => line.trim().split(/ {2,}/));
      expect(lines).toContainEqual(['pipes/filled', '#####.....', '8192', '16384', '2', '2', 'open', '-']);
      expect(lines).toContainEqual([
        'pipes/waiting',
        '..........',
        '0',
        '16384',
        '1',
        '0',
        'no-writer',
        '1 reader',
      ]);
      expect(lines).toContainEqual([
        'pipes/direct',
        '##########',
        '100000',
        '65536',
        '1',
        '1',
        'open',
        '1 writer',
      ]);
      expect(lines).toContainEqual(['pipes/a\\040b\\011\\033[31m', '-', '0', '0', '0', '0', 'closed', '-']);
      expect(lines.find(([name]) => name === 'kqueues/q')!.slice(2, 5)).toEqual(['1', '1', '-']);
      expect(lines.find(([name]) => name === '0x00001234')!.slice(2, 7)).toEqual([
        '65536',
        '1',
        '0',
        '0644',
        'live',
      ]);
      const waiting = lines.find((line) => line[3] === 'pipes/waiting')!;
      expect([waiting[1], waiting[2], waiting.at(-1)]).toEqual(['cat', 'open', 'a writer opens it']);
      expect(text).toContain('4 pipes, 3 open, 106K queued');
      expect(text).toMatch(
        /^(deadlock: dd \d+ in write of pipes\/direct waits for itself, and nobody else can end it|possible deadlock: .* socket\))$/m,
      );
    });

    test('--json has the rows of info/', async () => {
      // A browser somewhere on the machine that passes descriptors makes it doubtful for a moment.
      const status = await until(async () => {
        const now = await json();
        return now.deadlocks.some(({ certain }) => certain) ? now : null;
      });
      expect(status.pipes).toEqual(await mount.table('pipes'));
      expect(status.kqueues).toEqual(await mount.table('kqueues'));
      expect(status.segments).toEqual(await mount.table('shm'));
      expect(status.waits.map((row) => row['object']).sort()).toEqual(['pipes/direct', 'pipes/waiting']);
      expect(status.deadlocks).toMatchObject([
        { certain: true, likely: false, calls: [{ command: 'dd', object: 'pipes/direct' }], doubts: [] },
      ]);
      expect(status.pipeMemory.usedBytes).toBe(await mount.sysctl('kern.ipc.pipekva'));
    });

    test.each([
      [80, 24],
      [200, 60],
    ])('fits a terminal of %d x %d', async (columns, rows) => {
      const lines = await screenOf(columns, rows);
      expect(lines[0]).toMatch(/^ipcfs /);
      expect(lines.filter((line) => line.length > columns)).toEqual([]);
      const text = lines.join('\n');
      expect(text).toMatch(/^pipes\/filled +█████░░░░░ +8192 +16384/m);
      expect(text).toMatch(/1 kqueue, 1 event pending/);
      expect(text).toMatch(/1 segment, 64K/);
      expect(text).toMatch(/2 blocked calls/);
      expect(text).toMatch(/a writer opens it/);
      expect(lines[3]).toMatch(/^(possible )?deadlock: dd \d+ in write of /);
    });
  });

  describe('of 500 pipes', () => {
    beforeAll(async () => {
      await mount.output(
        'mkdir pipes/many; cd pipes/many; seq 496 | xargs mkfifo; touch ../../kqueues/other',
      );
    });

    test('shows the most interesting rows in a terminal, as many as it has room for, and how many there are more', async () => {
      const lines = await screenOf(80, 24);
      expect(lines[0]).toMatch(/^ipcfs /);
      const text = lines.join('\n');
      const [, hidden] = /^500 pipes, 3 open, 106K queued \((\d+) not shown: --all\)$/m.exec(text)!;
      expect(text).toMatch(/^pipes\/waiting|^pipes\/direct/m);
      const shown = lines.filter((line) => line.startsWith('pipes/')).length;
      expect(Number(hidden) + shown).toBe(500);
      expect(text).toMatch(/1 segment, 64K/);
      await terminal!.stop();
      const large = await screenOf(200, 60);
      const shownInLarge = large.filter((line) => line.startsWith('pipes/')).length;
      expect(shownInLarge).toBeGreaterThan(shown + 20);
      expect(large[0]).toMatch(/^ipcfs /);
      expect(large.join('\n')).toMatch(/pipes\/many\/1 .*\npipes\/many\/2 .*\npipes\/many\/3 /);
    });

    test('shows all of them when the output is no terminal, and with --all', async () => {
      const count = (text: string): number =>
        text.split('\n').filter((line) => line.startsWith('pipes/')).length;
      expect(count(await statusOf(mount.directory))).toBe(500);
      expect((await json()).pipes).toHaveLength(500);
      terminal = await Terminal.start({ columns: 80, rows: 24 });
      await terminal.enter(`clear; ${ipcfsCommand} status ${mount.directory} --all > /dev/tty; echo done`);
      await terminal.until(/^done\nready>/m);
      expect((await terminal.lines())[0]).not.toMatch(/^ipcfs /);
    });
  });

  describe('refuses in one line', () => {
    test.each([
      ['a directory that is no mount', '/tmp', /^ipcfs: \/tmp is no ipcfs mount: .*\n$/],
      [
        'what is not there',
        '/nowhere',
        /^ipcfs: \/nowhere does not exist: 'grep ipcfs \/proc\/mounts' lists what is mounted\n$/,
      ],
    ])('%s', async (_, directory, message) => {
      const { status, stdout, stderr } = await ipcfs(['status', directory]);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(message);
    });

    test('a mount whose server has died', async () => {
      const directory = scratch.directory();
      const pid = await scratch.mount(directory);
      process.kill(pid, 'SIGKILL');
      await until(async () => (await ipcfs(['status', directory])).status === 1);
      const { status, stdout, stderr } = await ipcfs(['status', directory, '--json']);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toBe(`ipcfs: the mount on ${directory} has ended: mount it again\n`);
    });

    test.skipIf(cannotKillCallersOfStoppedServers)('a mount whose server hangs, after a while', async () => {
      const directory = scratch.directory();
      const pid = await scratch.mount(directory);
      process.kill(pid, 'SIGSTOP');
      const { status, stdout, stderr } = await ipcfs(['status', directory]);
      process.kill(pid, 'SIGCONT');
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toBe(`ipcfs: ${directory} does not answer: 'ipcfs umount ${directory}' ends it\n`);
    });

    test('wrong usage, with status 2', async () => {
      for (const args of [
        ['status'],
        ['status', '--frob', mount.directory],
        ['status', mount.directory, 'more'],
      ]) {
        const { status, stderr } = await ipcfs(args);
        expect([args, status]).toEqual([args, 2]);
        expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      }
    });
  });
});
