import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
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
    expect(stdout).toMatch(/^You cannot mount: there is no \/dev\/fuse: .*modprobe fuse/);
    expect(stdout).toMatch(/^MISSING \/dev\/fuse +there is no \/dev\/fuse: .*modprobe fuse/m);
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
    expect(stdout).toMatch(/^You can mount: [^\n]*\n$/);
  });

  test('doctor finds nothing missing for root', async () => {
    const { status, stdout, stderr } = await ipcfs(['doctor']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('MISSING');
    const [verdict, empty, ...lines] = stdout.trimEnd().split('\n');
    expect([verdict, empty]).toEqual(["You can mount: 'ipcfs mount DIR'.", '']);
    for (const line of lines) expect(line).toMatch(/^(ok|no) {5} \S/);
    expect(stdout).toMatch(/^ok {6}trial mount +mounted in [\d.]+ s, and unmounted$/m);
    expect(stdout).toMatch(/^(ok|no) {5} io_uring +\S/m);
    expect(stdout).toMatch(/^(ok|no) {5} open files +\S/m);
    // Limits of the second transport are listed when somebody asks for them.
    expect(stdout).not.toMatch(/^no {6}fuse-native poll/m);
    const asked = await ipcfs(['doctor', '--fuse-module', 'fuse-native']);
    expect(asked.stdout).toMatch(/^no {6}fuse-native poll +poll, select and epoll/m);
    expect(stdout).toMatch(/^(ok|no) {5} segments +mapped (as their memory itself|through the page cache)/m);
  });

  test('doctor: a user namespace that works is named where the right to mount is missing', async () => {
    const bare = { ...nobody, env: noPrograms };
    const { status, stdout } = await ipcfs(['doctor'], bare);
    expect(status).toBe(EXIT_FAILURE);
    // Without unshare in the path there is none; with it and no helper there is one.
    expect(stdout).toMatch(/^no {6}user namespace +.*unshare, of util-linux, is not installed$/m);
    const programs = scratch.directory(nobody.uid);
    symlinkSync('/usr/bin/unshare', join(programs, 'unshare'));
    symlinkSync('/bin/true', join(programs, 'true'));
    const asNobody = `setpriv --reuid ${nobody.uid} --regid ${nobody.gid} --clear-groups env PATH=${programs}`;
    const script = `mount -t tmpfs none /dev && mknod -m 666 /dev/fuse c 10 229 && mknod -m 666 /dev/null c 1 3 && ${asNobody} ${ipcfsCommand} doctor`;
    const helped = await run('unshare', ['-m', 'sh', '-c', script]);
    expect(helped.stdout).toMatch(
      /^You cannot mount for other processes, but 'ipcfs run -- COMMAND' works here\. To mount: run as root, or install fusermount3/,
    );
    expect(helped.stdout).toMatch(/^ok {6}user namespace +'ipcfs run' needs no right/m);
  });

  test('doctor: no_new_privs keeps fusermount3 from becoming root', async () => {
    const { status, stdout } = await run('setpriv', [
      ...['--reuid', String(nobody.uid), '--regid', String(nobody.gid), '--clear-groups', '--no-new-privs'],
      ...['--', 'sh', '-c', `${ipcfsCommand} doctor`],
    ]);
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(
      /^MISSING right to mount +no_new_privs is set, so .*fusermount3 cannot become root/m,
    );
  });

  test.each([
    ['a file in its place', 'touch /dev/fuse', 'is a file, and no device'],
    ['another device in its place', 'mknod -m 666 /dev/fuse c 1 3', 'is another device'],
    [
      'a mount with nodev',
      'mknod -m 666 /dev/fuse c 10 229; mount -o remount,nodev /dev',
      'which is mounted with nodev',
    ],
  ])('doctor: %s', async (_, make, words) => {
    const script = `mount -t tmpfs none /dev && ${make} && ${ipcfsCommand} doctor`;
    const { status, stdout, stderr } = await run('unshare', ['-m', 'sh', '-c', script]);
    expect([status, stderr]).toEqual([EXIT_FAILURE, '']);
    expect(stdout).toMatch(new RegExp(`^You cannot mount: .*${words}`));
    expect(stdout).toMatch(new RegExp(`^MISSING /dev/fuse +.*${words}`, 'm'));
  });

  test('doctor: a mount that fails although nothing is missing', async () => {
    // A temporary directory that no user may change shows in nothing but the attempt.
    const { status, stdout } = await ipcfs(['doctor'], { env: { TMPDIR: '/proc' } });
    expect(status).toBe(EXIT_FAILURE);
    expect(stdout).toMatch(/^You cannot mount: no directory can be created in \/proc/);
    expect(stdout).toMatch(/^MISSING trial mount /m);
  });

  test('an older Node is one line', async () => {
    const older = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.19.1'}})";
    const args = ['--import', `data:text/javascript,${encodeURIComponent(older)}`, mainProgram, '--version'];
    const finished = await run(process.execPath, args);
    expectOneLine(finished, EXIT_FAILURE, 'Node.js 20.19 or newer is needed, and this is 18.19.1');
  });

  test('the server shows its mount point to those who list processes', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0]!;
    expect(title).toBe(`ipcfs ${directory}`.slice(0, title.length));
    expect(title.length).toBeGreaterThan('ipcfs /tmp'.length);
  });
});
