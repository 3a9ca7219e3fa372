import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted, isRunning, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

/** Makes Node say that it is on macOS, and the C library one that has none of the functions that Linux's has. */
const DARWIN = `
import Module from 'node:module';
Object.defineProperty(process, 'platform', { value: 'darwin' });
const library = { load: () => ({ func() { throw new Error('not there'); } }), struct() {}, errno: () => 0 };
const load = Module._load;
Module._load = function (name, ...rest) { return name === 'koffi' ? library : load.call(this, name, ...rest); };
`;

describeMount('choosing a transport', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  async function transportOf(directory: string): Promise<string> {
    const { stdout } = await run('awk', ['$1 == "transport" { print $2 }', `${directory}/info/transport`]);
    return stdout.trim();
  }

  test('auto takes the raw transport where it can mount', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    expect(await transportOf(directory)).toBe('raw');
    // The other one's package is not even loaded.
    expect(readFileSync(`/proc/${pid}/maps`, 'latin1')).not.toMatch(/fuse-native/);
    await ipcfs(['umount', directory]);
  });

  test('in the background, fuse-native says what it is, and umount ends its two processes', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory, ['--transport', 'fuse-native']);
    expect(await transportOf(directory)).toBe('fuse-native');
    const inner = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number);
    expect(inner).toHaveLength(1);
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(isMounted(directory)).toBe(false);
    await until(() => !isRunning(pid) && !isRunning(inner[0]!));
  });

  test('--noexec holds in both of its mounts', async () => {
    const directory = scratch.directory();
    await scratch.mount(directory, ['--transport', 'fuse-native', '--noexec']);
    const script = `awk '$2 ~ "^${directory}(/shm)?$" && $4 ~ /(^|,)noexec(,|$)/ { print $2 }' /proc/mounts`;
    expect((await run('bash', ['-c', script])).stdout).toBe(`${directory}\n${directory}/shm\n`);
    await ipcfs(['umount', directory]);
  });

  test('the root of another mount is refused in one line', async () => {
    const directory = scratch.directory();
    await run('mount', ['-t', 'tmpfs', 'none', directory]);
    const refused = await ipcfs(['mount', '--transport', 'fuse-native', directory]);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^ipcfs: [^\n]* is a mount point already, [^\n]*: choose a directory in it\n$/,
    );
  });

  test('a path that the package would cut off is refused in one line', async () => {
    const top = scratch.directory();
    // Cut off after 1023 bytes, this is the path of the directory that it is in.
    const parent = join(top, ...Array.from({ length: 3 }, () => 'd'.repeat(255)));
    const within = join(parent, 'e'.repeat(1022 - parent.length));
    const directory = join(within, 'f');
    mkdirSync(directory, { recursive: true });
    const refused = await ipcfs(['mount', '--transport', 'fuse-native', directory]);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^ipcfs: fuse-native mounts on paths of up to 1019 bytes: [^\n]*\n$/);
    expect([directory, within].map(isMounted)).toEqual([false, false]);
  });

  test.for(['', '/shm'])('a server whose mount%s is taken away by others ends', async (part) => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory, ['--transport', 'fuse-native']);
    await run('umount', ['-l', `${directory}${part}`]);
    await until(() => !isRunning(pid) && !isMounted(directory) && !isMounted(`${directory}/shm`));
  });

  test('what a killed server has left is taken away by the next mount', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory, ['--transport', 'fuse-native']);
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid));
    await scratch.mount(directory, ['--transport', 'fuse-native']);
    expect(await transportOf(directory)).toBe('fuse-native');
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0 });
    expect(isMounted(directory)).toBe(false);
  });

  test('bad input is one line', async () => {
    const directory = scratch.directory();
    for (const [args, status, words] of [
      [['--transport', 'carrier-pigeon'], 2, '--transport takes auto, raw or fuse-native'],
      [['--transport', 'fuse-native', '--fuse-module', 'no-such-package'], 1, 'npm install'],
      [['--transport', 'fuse-native', '--fuse-module', './nowhere'], 1, 'there is no module'],
      [['--transport', 'fuse-native', '--fuse-module', ''], 2, '--fuse-module takes'],
      [['--transport', 'fuse-native', '--shm-backing', 'passthrough'], 1, 'use auto, or cached'],
    ] as const) {
      const refused = await ipcfs(['mount', ...args, directory]);
      expect(refused).toMatchObject({ status, stdout: '' });
      expect(refused.stderr).toMatch(/^ipcfs: [^\n]*\n$/);
      expect(refused.stderr).toContain(words);
    }
    expect(isMounted(directory)).toBe(false);
  });

  test('a missing libfuse is one line that names its package', async () => {
    const directory = scratch.directory();
    // In a mount namespace of its own, the library is an empty directory's worth of nothing.
    const hide = `for library in $(ldconfig -p | awk '/libfuse\\.so\\.2 / { print $NF }'); do mount --bind /dev/null "$(realpath "$library")"; done`;
    const script = `${hide}; ${ipcfsCommand} mount --transport fuse-native '${directory}'; echo "$?"; ${ipcfsCommand} doctor`;
    const { stdout, stderr } = await run('unshare', ['-m', 'bash', '-c', script]);
    expect(stderr).toMatch(/^ipcfs: fuse-native [^\n]*libfuse[^\n]*\n$/);
    expect(stdout).toMatch(/^1\n/);
    expect(stdout).toMatch(/^no {6}transport fuse-native/m);
  });

  test('another system loads the command line, and is told what it needs', async () => {
    const preload = join(scratch.directory(), 'darwin.mjs');
    writeFileSync(preload, DARWIN);
    const node = [process.execPath, '--import', preload, mainProgram] as const;
    const help = await run(node[0], [...node.slice(1), '--help']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    const { status, stdout } = await run(node[0], [...node.slice(1), 'doctor']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^ok {6}system +macOS/m);
    expect(stdout).toMatch(/^MISSING transport fuse-native/m);
    expect(stdout).not.toContain('fusermount3');
  });
});
