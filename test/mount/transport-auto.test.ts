import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { whyNoCompiler } from '../support/c-program.ts';
import { ipcfs, isMounted, isRunning, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace, type User } from '../support/namespace.ts';
import { type Finished, run, until } from '../support/process.ts';

const nobody: User = { uid: 65534, gid: 65534 };

/** A library that makes the kernel's first message (INIT) say that it speaks FUSE 7.23, as Linux 4.0 did. */
const OLD_KERNEL = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <unistd.h>
ssize_t read(int descriptor, void *buffer, size_t size) {
  static ssize_t (*real)(int, void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "read");
  ssize_t length = real(descriptor, buffer, size);
  uint32_t *words = buffer;
  if (length >= 56 && words[0] == length && words[1] == 26 && words[10] == 7) words[11] = 23;
  return length;
}
`;

/** Makes Node behave as where npm has left out koffi's binary. */
const NO_KOFFI = `import Module from 'node:module';
const load = Module._load;
Module._load = function (name, ...rest) {
  if (name === 'koffi') throw new Error('Cannot find the native Koffi module');
  return load.call(this, name, ...rest);
};
`;

const noCompiler = whyNoCompiler('/usr/include/dlfcn.h');

describeMount('auto, where raw cannot mount', () => {
  const scratch = new Scratch();
  const kept = new Scratch();
  let oldKernel: Record<string, string>;
  let noKoffi: Record<string, string>;

  beforeAll(() => {
    const directory = kept.directory();
    writeFileSync(join(directory, 'no-koffi.mjs'), NO_KOFFI);
    noKoffi = { NODE_OPTIONS: `--import ${join(directory, 'no-koffi.mjs')}` };
    oldKernel = { LD_PRELOAD: join(directory, 'old-kernel.so') };
    if (noCompiler !== null) return;
    writeFileSync(join(directory, 'old-kernel.c'), OLD_KERNEL);
    const args = [
      '-shared',
      '-fPIC',
      '-o',
      oldKernel['LD_PRELOAD']!,
      join(directory, 'old-kernel.c'),
      '-ldl',
    ];
    expect(spawnSync('gcc', args, { encoding: 'utf8', timeout: 60_000 })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });
  afterEach(() => scratch.clean());
  afterAll(() => kept.clean());

  /** The mount serves pipes and segments, says by which transport, and ends. */
  async function expectNative(directory: string): Promise<void> {
    const script = `cd '${directory}'; awk '$1 == "transport" { print $2 }' info/transport
      mkfifo pipes/a; echo hello > pipes/a & cat pipes/a; wait
      truncate -s 8K shm/1; echo stored | dd of=shm/1 conv=notrunc status=none; head -c 6 shm/1`;
    const { stdout, stderr } = await run('bash', ['-c', script]);
    expect({ stdout, stderr }).toEqual({ stdout: 'fuse-native\nhello\nstored', stderr: '' });
    const [{ pid }] = JSON.parse((await run('cat', [join(directory, 'info/version.json')])).stdout) as [
      { pid: number },
    ];
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(isMounted(directory)).toBe(false);
    await until(() => !isRunning(pid));
  }

  function expectRemark({ status, stdout, stderr }: Finished, reason: string): void {
    expect([status, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/^ipcfs: mounted by fuse-native, [^\n]* since raw failed: [^\n]*\n$/);
    expect(stderr).toContain(reason);
  }

  function expectRefusal({ status, stdout, stderr }: Finished, reason: string): void {
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^ipcfs: [^\n]*\n$/);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain('since raw failed');
  }

  test.skipIf(noCompiler !== null)('an old kernel: fuse-native mounts, and one line says why', async () => {
    const directory = scratch.directory();
    const reason = 'this kernel speaks FUSE 7.23';
    expectRemark(await ipcfs(['mount', directory], { env: oldKernel }), reason);
    await expectNative(directory);
    // What only raw can do is not done without it, and raw alone says what to do.
    for (const args of [
      ['--transport', 'raw'],
      ['--allow-other'],
      ['--shm-backing', 'passthrough'],
      ['--fuse-module', 'no-such-package'],
    ]) {
      expectRefusal(await ipcfs(['mount', ...args, directory], { env: oldKernel }), reason);
      expect(isMounted(directory)).toBe(false);
    }
  });

  test.skipIf(noCompiler !== null)('in the foreground the line comes once the mount answers', async () => {
    const directory = scratch.directory();
    const server = scratch.start(process.execPath, [mainProgram, 'mount', '-f', directory], {
      env: oldKernel,
    });
    await until(() => server.stderr.endsWith('\n'));
    expect(server.stderr).toMatch(/^ipcfs: mounted by fuse-native, [^\n]*FUSE 7\.23[^\n]*\n$/);
    await expectNative(directory);
    expect(await server.finished()).toMatchObject({ status: 0 });
  });

  test('no binary of koffi: the same, with memory and events that need none', async () => {
    const directory = scratch.directory();
    const reason = "'npm install --include=optional'";
    expectRefusal(await ipcfs(['mount', '--transport', 'raw', directory], { env: noKoffi }), reason);
    expectRemark(await ipcfs(['mount', directory], { env: noKoffi }), reason);
    const status = await ipcfs(['status', directory], { env: noKoffi });
    expect(status).toMatchObject({ status: 0, stderr: '' });
    expect(await ipcfs(['waits', directory], { env: noKoffi })).toMatchObject({
      status: 0,
      stdout: 'no call is blocked\n',
    });
    const script = `exec 3<>'${directory}/kqueue'; echo "add proc $$ exit" >&3; read -r event <&3; echo "$event"`;
    expect((await run('bash', ['-c', script])).stdout).toMatch(/^error proc \d+ errno=EOPNOTSUPP udata=-\n$/);
    await expectNative(directory);
    const { stdout } = await ipcfs(['doctor'], { env: noKoffi });
    expect(stdout).toMatch(/^no {6}transport raw +the npm package koffi has no binary/m);
    expect(stdout).toMatch(/^ok {6}transport fuse-native/m);
  });

  test('a dead mount of raw is taken away without koffi', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid));
    expectRemark(await ipcfs(['mount', directory], { env: noKoffi }), 'koffi');
    await expectNative(directory);
  });
});

describeMount('a user whose only helper is that of libfuse 2', () => {
  const scratch = new Scratch();
  const kept = new Scratch();
  let namespace: MountNamespace;

  beforeAll(async () => {
    const directory = kept.directory();
    namespace = await MountNamespace.startWithDevice(
      directory,
      `mkdir '${directory}/real' '${directory}/bin'
      mount --bind /usr/bin '${directory}/real'
      find '${directory}/real' -mindepth 1 -maxdepth 1 -exec ln -s -t '${directory}/bin' '{}' +
      rm -f '${directory}'/bin/fusermount*
      cp '${directory}/real/fusermount3' '${directory}/bin/fusermount'; chmod 4755 '${directory}/bin/fusermount'
      mount --bind '${directory}/bin' /usr/bin`,
    );
  });
  afterEach(() => scratch.clean());
  afterAll(async () => {
    await namespace.end();
    await kept.clean();
  });

  function asUser(args: readonly string[]): Promise<Finished> {
    return namespace.run(process.execPath, [mainProgram, ...args], nobody);
  }

  test('raw mounts and unmounts through it, and doctor says so', async () => {
    const directory = scratch.directory(nobody.uid);
    expect(await asUser(['mount', directory])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const script = `awk '$1 == "transport" { print $2 }' '${directory}/info/transport'`;
    expect((await namespace.run('bash', ['-c', script], nobody)).stdout).toBe('raw\n');
    expect(await asUser(['umount', directory])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(namespace.isMounted(directory)).toBe(false);
    expect((await asUser(['doctor'])).stdout).toMatch(/^ok {6}right to mount +through .*\/fusermount$/m);
  });

  test('without any helper each transport says in one line what to install', async () => {
    const directory = scratch.directory(nobody.uid);
    await namespace.run('bash', ['-c', 'mv /usr/bin/fusermount /usr/bin/hidden'], { uid: 0, gid: 0 });
    try {
      for (const transport of ['auto', 'raw', 'fuse-native']) {
        const { status, stderr } = await asUser(['mount', '--transport', transport, directory]);
        expect(status).toBe(1);
        expect(stderr).toMatch(
          /^ipcfs: mounting needs root or fusermount3?: install the package fuse3 [^\n]*\n$/,
        );
      }
      expect(namespace.isMounted(directory)).toBe(false);
    } finally {
      await namespace.run('bash', ['-c', 'mv /usr/bin/hidden /usr/bin/fusermount'], { uid: 0, gid: 0 });
    }
  });
});
