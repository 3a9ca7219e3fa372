import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted, Scratch } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { type Finished, run } from '../support/process.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const nobody = { uid: 65534, gid: 65534 };
/** No helper is found there; the programs of the tests are named by their paths. */
const noPrograms = { PATH: '/nonexistent' };

/** One line for a person, and nothing on standard output. */
function expectOneLine({ status, stdout, stderr }: Finished, expectedStatus: number, words: string): void {
  expect(stderr).toMatch(/^ipcfs: [^\n]+\n$/);
  expect(stderr).toContain(words);
  expect([status, stdout]).toEqual([expectedStatus, '']);
}

/** Makes a device directory without fuse, or (`how` is 'shut') with one that nobody may open; in a mount namespace of its own. */
function withoutDevice(directory: string, how: 'none' | 'shut', command: string): Promise<Finished> {
  const script = `set -e
    mount -t tmpfs -o nodev none '${directory}'
    for name in null zero urandom; do touch '${directory}/'$name; mount --bind /dev/$name '${directory}/'$name; done
    ${how === 'shut' ? `mknod '${directory}/fuse' c 10 229` : ''}
    mount --move '${directory}' /dev
    ${command}`;
  return run('unshare', ['-m', 'bash', '-c', script]);
}

describeMount('the command line', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  test.each([
    [['mount'], "missing required argument 'DIR'"],
    [['umount'], "missing required argument 'DIR'"],
    [['mount', 'a', 'b'], 'too many arguments'],
    [['mount', '--wrong', 'a'], "unknown option '--wrong'"],
    [['wrong'], "unknown command 'wrong'"],
    [['mount', '--spin', 'x', 'a'], '--spin takes microseconds from 0 to 10000'],
    [['mount', '--spin', '-1', 'a'], '--spin takes microseconds'],
    [['mount', '--spin', '10001', 'a'], '--spin takes microseconds'],
    [['mount', '--spin'], 'argument missing'],
    [['mount', '--pipe-buf', '511', 'a'], '--pipe-buf takes bytes from 512 to 4096'],
    [['mount', '--pipe-buf', '8K', 'a'], '--pipe-buf takes bytes'],
    [['mount', '--pipe-buf', '', 'a'], '--pipe-buf takes bytes'],
    [['mount', '--sysctl', 'kern.ipc.pipe_mindirect', 'a'], '--sysctl takes NAME=INTEGER'],
    [['mount', '--sysctl', 'kern.ipc.pipe_mindirect=x', 'a'], '--sysctl takes NAME=INTEGER'],
    [['mount', '--sysctl', 'none=1', 'a'], "there is no tunable 'none': known are kern.ipc.maxpipekva"],
    [['mount', '--sysctl', 'kern.ipc.pipekva=1', 'a'], 'kern.ipc.pipekva is a counter'],
    [['mount', '--sysctl', 'kern.ipc.pipe_direct_max=0', 'a'], 'it goes from 1 to 9007199254740991'],
    [['mount', ''], 'DIR is empty'],
    [['umount', ''], 'DIR is empty'],
  ])('wrong usage: %j', async (args, words) => {
    expectOneLine(await ipcfs(args, { cwd: scratch.directory() }), EXIT_USAGE, words);
  });

  test('mount points that cannot be used are refused with what to do, and nothing is made', async () => {
    const directory = scratch.directory();
    writeFileSync(join(directory, 'file'), '');
    symlinkSync('loop', join(directory, 'loop'));
    mkdirSync(join(directory, 'closed/inner'), { recursive: true, mode: 0o700 });
    const cases: [string, string][] = [
      ['none', "create it with 'mkdir none'"],
      ['none/deeper', 'does not exist'],
      ['file', 'mount on a directory'],
      ['file/deeper', 'mount on a directory'],
      ['loop', 'choose another directory'],
      ['x'.repeat(300), 'choose another directory'],
    ];
    for (const [name, words] of cases) {
      expectOneLine(await ipcfs(['mount', name], { cwd: directory }), EXIT_FAILURE, words);
    }
    const closed = await ipcfs(['mount', join(directory, 'closed/inner')], nobody);
    expectOneLine(closed, EXIT_FAILURE, 'choose a directory of yours');
    expect(readdirSync(directory).sort()).toEqual(['closed', 'file', 'loop']);
  });

  test('a directory that is mounted already, and one that is not', async () => {
    const directory = scratch.directory();
    await scratch.mount(directory);
    for (const args of [[], ['-f']]) {
      expectOneLine(
        await ipcfs(['mount', ...args, directory]),
        EXIT_FAILURE,
        `run 'ipcfs umount ${directory}' first`,
      );
    }
    expectOneLine(
      await ipcfs(['umount', directory], nobody),
      EXIT_FAILURE,
      'the user who mounted it, or as root',
    );
    expect(await ipcfs(['umount', `${directory}/`])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expectOneLine(await ipcfs(['umount', directory]), EXIT_FAILURE, 'is no ipcfs mount');
    expectOneLine(await ipcfs(['umount', join(directory, 'none')]), EXIT_FAILURE, 'does not exist');
    expectOneLine(await ipcfs(['umount', '/proc']), EXIT_FAILURE, 'is no ipcfs mount');
    expect(isMounted('/proc')).toBe(true);
  });

  test('names with blanks, links and relative paths', async () => {
    const directory = scratch.directory();
    const odd = join(directory, "a b'c\\d ü");
    mkdirSync(odd);
    symlinkSync("a b'c\\d ü", join(directory, 'link'));
    await scratch.mount(odd);
    expect((await run('ls', [odd])).stdout).toContain('pipes');
    expect(await ipcfs(['umount', 'link'], { cwd: directory })).toMatchObject({ status: 0, stderr: '' });
    await scratch.mount(join(directory, 'link'));
    expect(await ipcfs(['umount', "./a b'c\\d ü/"], { cwd: directory })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(readdirSync(odd)).toEqual([]);
  });

  test('help and version', async () => {
    expect((await ipcfs(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await ipcfs(['mount', '--help']);
    expect(help.status).toBe(0);
    expect(help.stdout).toMatch(/--spin <MICROSECONDS>[^-]*\(default:\s+50\)/);
    expect(await ipcfs([])).toMatchObject({ status: EXIT_USAGE, stdout: '' });
  });

  test('without /dev/fuse: mount and doctor say how to get it', async () => {
    const directory = scratch.directory();
    const device = scratch.directory();
    for (const option of ['', '-f']) {
      const refused = await withoutDevice(device, 'none', `${ipcfsCommand} mount ${option} '${directory}'`);
      expectOneLine(refused, EXIT_FAILURE, "there is no /dev/fuse: load FUSE with 'modprobe fuse' as root");
    }
    const { status, stdout } = await withoutDevice(device, 'none', `${ipcfsCommand} doctor`);
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(/^MISSING \/dev\/fuse +there is no \/dev\/fuse: .*modprobe fuse/m);
    expect(stdout).toContain('You cannot mount');
  });

  test('with a /dev/fuse that may not be opened', async () => {
    const directory = scratch.directory();
    const device = scratch.directory();
    const refused = await withoutDevice(device, 'shut', `${ipcfsCommand} mount '${directory}'`);
    expectOneLine(refused, EXIT_FAILURE, "you may not open /dev/fuse: run 'ipcfs doctor'");
    const { status, stdout } = await withoutDevice(device, 'shut', `${ipcfsCommand} doctor`);
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(/^MISSING \/dev\/fuse/m);
  });

  test('root without CAP_SYS_ADMIN, as in a container', async () => {
    const directory = scratch.directory();
    const without = ['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin', '--', 'bash', '-c'];
    const refused = await run('setpriv', [...without, `${ipcfsCommand} mount '${directory}'`]);
    expectOneLine(refused, EXIT_FAILURE, "run 'ipcfs doctor'");
    expect(isMounted(directory)).toBe(false);
    const { status, stdout } = await run('setpriv', [...without, `${ipcfsCommand} doctor`]);
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(/^MISSING right to mount +CAP_SYS_ADMIN .*--cap-add SYS_ADMIN$/m);
  });

  test('a user without fusermount3', async () => {
    const directory = scratch.directory(nobody.uid);
    const refused = await ipcfs(['mount', directory], { ...nobody, env: noPrograms });
    expectOneLine(refused, EXIT_FAILURE, 'mounting needs root or fusermount3: install the package fuse3');
    const { status, stdout } = await ipcfs(['doctor'], { ...nobody, env: noPrograms });
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(/^MISSING right to mount +run as root, or install fusermount3/m);
  });

  test('a reader that has had enough ends a command without a word', async () => {
    const { stdout, stderr } = await run('bash', [
      '-c',
      `${ipcfsCommand} doctor | :; ${ipcfsCommand} doctor | head -n 1`,
    ]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^ok {6}system [^\n]*\n$/);
  });

  test('doctor finds nothing missing for root', async () => {
    const { status, stdout, stderr } = await ipcfs(['doctor']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('MISSING');
    for (const line of stdout.trimEnd().split('\n').slice(0, -1)) expect(line).toMatch(/^(ok|no) {5} \S/);
    expect(stdout).toMatch(/^(ok|no) {5} segments +mapped (as their memory itself|through the page cache)/m);
    expect(stdout).toMatch(/You can mount: 'ipcfs mount DIR'\.\n$/);
  });
});
