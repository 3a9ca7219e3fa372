import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted, Scratch } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const nobody = { uid: 65534, gid: 65534 };

describeMount('ipcfs mount --config', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  function write(directory: string, lines: readonly string[], name = 'ipcfs.conf'): void {
    writeFileSync(join(directory, name), lines.join('\n'));
  }

  async function sysctls(directory: string, names: readonly string[]): Promise<number[]> {
    const paths = names.map((name) => join(directory, 'sysctl/kern', name));
    const { stdout } = await run('cat', paths);
    return stdout.trimEnd().split('\n').map(Number);
  }

  test('comments, blank lines, blanks, suffixes, in the background and with a relative path', async () => {
    const base = scratch.directory();
    const mnt = scratch.directory();
    write(base, [
      '# tunables of the build machine',
      '',
      'kern.ipc.maxpipekva = 1M   # a loader tunable',
      '\tkern.ipc.shmmni=0x100\r',
      'kern.ipc.pipe_mindirect=1000',
      '# only possible with the line below: the order does not matter',
      'kern.ipc.pipe_buf=512',
      'kern.kq_calloutmax=7',
    ]);
    await scratch.mount(mnt, ['--config', 'ipcfs.conf'], { cwd: base });
    const names = ['ipc/maxpipekva', 'ipc/shmmni', 'ipc/pipe_mindirect', 'ipc/pipe_buf', 'kq_calloutmax'];
    expect(await sysctls(mnt, names)).toEqual([1048576, 256, 1000, 512, 7]);
  });

  test('--sysctl and --pipe-buf win over the file', async () => {
    const base = scratch.directory();
    const mnt = scratch.directory();
    write(base, ['kern.ipc.shmmni=10', 'kern.ipc.pipe_buf=1024', 'kern.ipc.shmseg=11']);
    const options = [
      '--sysctl',
      'kern.ipc.shmmni=20',
      '--config',
      join(base, 'ipcfs.conf'),
      '--pipe-buf',
      '2K',
    ];
    await scratch.mountInForeground(mnt, options);
    expect(await sysctls(mnt, ['ipc/shmmni', 'ipc/pipe_buf', 'ipc/shmseg'])).toEqual([20, 2048, 11]);
  });

  test('a file that can be read once, from a process substitution, works in the background', async () => {
    const base = scratch.directory();
    const mnt = scratch.directory();
    const script = `${ipcfsCommand} mount --config <(echo kern.ipc.shmmni=33) '${mnt}'`;
    const { status, stderr } = await run('bash', ['-c', script], { cwd: base });
    expect([status, stderr]).toEqual([0, '']);
    expect(await sysctls(mnt, ['ipc/shmmni'])).toEqual([33]);
    expect((await ipcfs(['umount', mnt])).status).toBe(0);
  });

  test.each([
    [['# none', '', 'none=1'], "ipcfs.conf:3: there is no tunable 'none': known are kern.ipc.maxpipekva"],
    [['kern.ipc.shmmni'], "ipcfs.conf:1: 'kern.ipc.shmmni' is no NAME=INTEGER"],
    [
      ['kern.ipc.shmmni=10', 'kern.ipc.shmseg=many'],
      "ipcfs.conf:2: 'kern.ipc.shmseg=many' is no NAME=INTEGER",
    ],
    [['kern.ipc.shmmni=1.5'], 'ipcfs.conf:1: '],
    [['=5'], "ipcfs.conf:1: '=5' is no NAME=INTEGER"],
    [['kern.ipc.shmmni='], 'ipcfs.conf:1: '],
    [['', 'kern.ipc.shmmni=0'], 'ipcfs.conf:2: kern.ipc.shmmni does not take 0: it goes from 1 to'],
    [['kern.ipc.shmmni=1T'], 'ipcfs.conf:1: '],
    [
      ['kern.ipc.shmmni=10', '', 'kern.ipc.shmmni = 10'],
      'ipcfs.conf:3: kern.ipc.shmmni has been set at ipcfs.conf:1 already: remove one',
    ],
    [['kern.ipc.pipekva=10'], 'ipcfs.conf:1: kern.ipc.pipekva is a counter and cannot be set'],
    [
      ['kern.ipc.pipe_mindirect=1000'],
      'ipcfs.conf:1: kern.ipc.pipe_mindirect does not take 1000: it goes from 4097',
    ],
    [['\x1b[2J\x00=1'], "ipcfs.conf:1: there is no tunable '\\033[2J\\000'"],
  ])('%j is refused with its line, and nothing is mounted', async (lines, words) => {
    const base = scratch.directory();
    mkdirSync(join(base, 'mnt'));
    write(base, lines);
    for (const options of [[], ['-f']]) {
      const refused = await ipcfs(['mount', ...options, '--config', 'ipcfs.conf', 'mnt'], { cwd: base });
      expect(refused.stderr).toMatch(/^ipcfs: [^\n]+\n$/);
      expect(refused.stderr).toContain(words);
      expect([refused.status, refused.stdout]).toEqual([EXIT_FAILURE, '']);
    }
    expect(isMounted(join(base, 'mnt'))).toBe(false);
  });

  test('what the command line replaces must be right all the same; what the command line says is its own mistake', async () => {
    const base = scratch.directory();
    write(base, ['kern.ipc.shmmni=0']);
    const config = ['mount', '--config', 'ipcfs.conf'];
    const hidden = await ipcfs([...config, '--sysctl', 'kern.ipc.shmmni=5', '.'], { cwd: base });
    expect(hidden.stderr).toContain('ipcfs.conf:1: kern.ipc.shmmni does not take 0');
    expect(hidden.status).toBe(EXIT_FAILURE);
    write(base, ['kern.ipc.shmmni=5']);
    const own = await ipcfs([...config, '--sysctl', 'kern.ipc.shmmni=0', '.'], { cwd: base });
    expect(own.stderr).toMatch(/^ipcfs: kern.ipc.shmmni does not take 0/);
    expect(own.status).toBe(EXIT_USAGE);
  });

  test('files that are none, or cannot be read', async () => {
    const base = scratch.directory();
    write(base, ['kern.ipc.shmmni=5'], 'closed');
    const cases: [readonly string[], string][] = [
      [['none.conf'], 'the configuration file none.conf does not exist'],
      [['closed/none'], 'does not exist'],
      [['.'], '. is a directory: --config takes a file'],
      [['/dev/zero'], '/dev/zero has more than 1048576 bytes'],
    ];
    for (const [[path], words] of cases) {
      const refused = await ipcfs(['mount', '--config', path!, '.'], { cwd: base });
      expect(refused.stderr).toMatch(/^ipcfs: [^\n]+\n$/);
      expect(refused.stderr).toContain(words);
      expect(refused.status).toBe(EXIT_FAILURE);
    }
    expect(await ipcfs(['mount', '--config', '', '.'], { cwd: base })).toMatchObject({ status: EXIT_USAGE });
    await run('chmod', ['600', join(base, 'closed')]);
    const theirs = scratch.directory(nobody.uid);
    const refused = await ipcfs(['mount', '--config', join(base, 'closed'), theirs], nobody);
    expect(refused.stderr).toContain('you may not read the configuration file');
    expect(refused.status).toBe(EXIT_FAILURE);
  });
});
