import { mkdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { MountNamespace } from '../support/namespace.ts';
import type { Finished } from '../support/process.ts';
import { RunBench } from '../support/run-bench.ts';
import { alice } from '../support/users.ts';

const READY = 'readlink /proc/self/ns/user; id -u; id -g; grep CapEff /proc/self/status; ls "$IPCFS" | wc -l';
const NO_CAPABILITIES = 'CapEff:\t0000000000000000';

describeMount('ipcfs run of a user without the right to mount', () => {
  const bench = new RunBench();
  const kept = new Scratch();
  /** Where the helpers are not to be found, but everybody may open the device. */
  let namespace: MountNamespace;

  beforeAll(async () => {
    namespace = await MountNamespace.startWithDevice(
      kept.directory(),
      'for helper in fusermount3 fusermount; do path=$(type -P $helper) && mount --bind /dev/null "$(realpath "$path")"; done; true',
    );
  });
  afterAll(async () => {
    await namespace.end();
    bench.clean();
    await kept.clean();
  });

  function run(words: readonly string[], wrapper: readonly string[] = [], user = alice): Promise<Finished> {
    const [program, ...args] = [...wrapper, process.execPath, mainProgram, 'run', ...words] as [
      string,
      ...string[],
    ];
    return namespace.run(program, args, user, { env: bench.env, timeoutMs: 60_000 });
  }

  /** That the command ran with the mount in a user namespace, as the user and with no more rights. */
  function expectRun({ status, stdout, stderr }: Finished, user = alice): void {
    expect([status, stderr]).toEqual([0, '']);
    const [space, ...rest] = stdout.trim().split('\n');
    expect(space).toMatch(/^user:\[\d+\]$/);
    expect(space).not.toBe(readlinkSync('/proc/self/ns/user'));
    expect(rest).toEqual([String(user.uid), String(user.gid), NO_CAPABILITIES, '9']);
    bench.expectNothingLeft();
  }

  test('mounts in a user namespace, without a helper', async () => {
    expectRun(await run(['--', 'bash', '-c', READY]));
  });

  test('does so when programs may not gain rights, helper or not', async () => {
    expectRun(await run(['--', 'bash', '-c', READY], ['setpriv', '--no-new-privs', '--']));
  });

  test('does so when the helper refuses', async () => {
    const helpers = join(bench.directory, 'helpers');
    mkdirSync(helpers);
    bench.program('helpers/fusermount3', '#!/bin/sh\necho refused >&2; exit 1\n');
    const path = `PATH=${helpers}:${process.env['PATH']!}`;
    expectRun(await run(['--transport', 'raw', '--', 'bash', '-c', READY], ['env', path]));
  });

  test('finds deadlocks there, ends all and leaves nothing', async () => {
    const script = `cd "$IPCFS"; mkfifo pipes/a pipes/b
      bash -c 'exec 3<pipes/a 4>pipes/b; read -r x <&3; :' & bash -c 'exec 4>pipes/a 3<pipes/b; read -r x <&3; :' &
      setsid sleep 100 & wait`;
    const { status, stderr } = await run(['--', 'bash', '-c', script]);
    expect([status, stderr]).toEqual([
      3,
      expect.stringMatching(
        /^ipcfs: deadlock: bash \d+ in read .* and bash \d+ in read .* wait for each other[^\n]*\n$/,
      ),
    ]);
    bench.expectNothingLeft();
  });

  test('takes its settings along, from a file that can be read once too', async () => {
    const shell = `exec '${process.execPath}' '${mainProgram}' run --config /dev/stdin -- cat_it <<< kern.ipc.shmmni=66`;
    const { status, stdout } = await namespace.run(
      'bash',
      ['-c', shell.replace('cat_it', `bash -c 'cat "$IPCFS/sysctl/kern/ipc/shmmni"'`)],
      alice,
      { env: bench.env },
    );
    expect([status, stdout]).toEqual([0, '66\n']);
  });

  test('runs within a run make a namespace of their own', async () => {
    const inner = `env -u IPCFS_IO_URING | grep -c IPCFS_; '${process.execPath}' '${mainProgram}' run -- bash -c 'echo inner; exit 5'`;
    const { status, stdout } = await run(['--', 'bash', '-c', inner]);
    expect([status, stdout]).toEqual([5, '0\ninner\n']);
    bench.expectNothingLeft();
  });

  test('says in one line what to do without unshare', async () => {
    const { status, stdout, stderr } = await namespace.run(
      'env',
      ['PATH=/nowhere', process.execPath, mainProgram, 'run', '--', '/bin/true'],
      alice,
      { env: bench.env },
    );
    expect([status, stdout, stderr]).toEqual([
      1,
      '',
      'ipcfs: you may not mount here; nor can a user namespace be made (unshare, of util-linux, is not installed): run as root, install fuse3, or start the container with --cap-add SYS_ADMIN\n',
    ]);
  });

  test('says in one line what to do where there is no device, to root too', async () => {
    const hidden = await MountNamespace.start('mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3');
    try {
      for (const user of [alice, { uid: 0, gid: 0 }]) {
        const { status, stdout, stderr } = await hidden.run(
          process.execPath,
          [mainProgram, 'run', '--', '/bin/true'],
          user,
          { env: bench.env },
        );
        expect([status, stdout, stderr]).toEqual([
          1,
          '',
          "ipcfs: there is no /dev/fuse: load FUSE with 'modprobe fuse' as root, or start the container with --device /dev/fuse\n",
        ]);
      }
    } finally {
      await hidden.end();
    }
  });

  test('of root whom the right was taken from, mounts in a user namespace too', async () => {
    const { status, stdout } = await run(
      ['--', 'bash', '-c', 'id -u; ls "$IPCFS" | wc -l'],
      ['setpriv', '--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin', '--'],
      { uid: 0, gid: 0 },
    );
    expect([status, stdout]).toEqual([0, '0\n9\n']);
  });
});
