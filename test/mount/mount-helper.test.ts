import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ipcfs, isMounted, Scratch } from '../support/cli.ts';
import { describeMount, mainProgram } from '../support/mount.ts';
import { run, until } from '../support/process.ts';

const helper = fileURLToPath(new URL('../../scripts/system/mount.fuse.ipcfs', import.meta.url));
const unit = fileURLToPath(new URL('../../scripts/system/ipcfs@.service', import.meta.url));
const EXIT_USAGE = 2;

describeMount('mount(8), fstab and systemd', () => {
  const scratch = new Scratch();
  let programs = '';
  let directory = '';

  beforeEach(() => {
    programs = scratch.directory();
    directory = scratch.directory();
    mkdirSync(join(programs, 'bin'));
    writeFileSync(
      join(programs, 'bin/ipcfs'),
      `#!/bin/sh\nexec '${process.execPath}' '${mainProgram}' "$@"\n`,
      {
        mode: 0o755,
      },
    );
  });
  afterEach(() => scratch.clean());

  /**
   * Runs a script where ipcfs and its helper are installed: in a mount namespace of its own, whose mounts go with it. The script's
   * $fstab is /etc/fstab there.
   */
  function installed(script: string) {
    const installation = `set -e
      mount --bind '${programs}/bin' /usr/local/bin
      cp '${helper}' '${programs}/helper'
      if [ -e /sbin/mount.fuse.ipcfs ]; then mount --bind '${programs}/helper' /sbin/mount.fuse.ipcfs
      else mount -t tmpfs none '${programs}/sbin' 2>/dev/null || mkdir '${programs}/sbin'
        cp -a /sbin/. '${programs}/sbin/'; cp '${helper}' '${programs}/sbin/'; mount --bind '${programs}/sbin' /sbin; fi
      touch '${programs}/fstab'; mount --bind '${programs}/fstab' /etc/fstab
      fstab=/etc/fstab; directory='${directory}'
      trap 'umount "$directory" 2>/dev/null || true' EXIT
      ${script}`;
    return run('unshare', ['--mount', '--propagation', 'private', 'bash', '-c', installation], {
      timeoutMs: 60_000,
    });
  }

  test('mount -t fuse.ipcfs mounts with options, and umount(8) ends it', async () => {
    const result = await installed(`
      mount -t fuse.ipcfs ipcfs "$directory" -o noatime,nofail,_netdev,sysctl.kern.ipc.shmmni=77,spin=0,pipe_buf=512,noexec
      cat "$directory/sysctl/kern/ipc/shmmni" "$directory/sysctl/kern/ipc/pipe_buf"
      findmnt -n -o FSTYPE,SOURCE "$directory"; findmnt -n -o VFS-OPTIONS "$directory" | tr , '\\n' | grep noexec
      mkfifo "$directory/pipes/a"; echo through > "$directory/pipes/a" & cat "$directory/pipes/a"; wait
      umount "$directory"; findmnt "$directory" || echo gone`);
    expect(result.stdout.replaceAll(/ +/g, ' ')).toBe('77\n512\nfuse.ipcfs ipcfs\nnoexec\nthrough\ngone\n');
    expect([result.status, result.stderr]).toEqual([0, '']);
  });

  test('a line in fstab', async () => {
    const result = await installed(`
      echo "ipcfs $directory fuse.ipcfs nofail,spin=0,sysctl.kern.ipc.shmmni=256 0 0" > $fstab
      mount "$directory"; cat "$directory/sysctl/kern/ipc/shmmni"; umount "$directory"`);
    expect(result).toMatchObject({ status: 0, stdout: '256\n', stderr: '' });
  });

  test.each([
    ['frobnicate', "there is no mount option 'frobnicate': known are allow_other, "],
    ['foreground', "there is no mount option 'foreground'"],
    ['ro', "'ro' is not possible"],
    ['spin', "the mount option 'spin' needs a value"],
    ['noexec=1', "the mount option 'noexec' takes no value"],
    ['sysctl.kern.none=1', "there is no tunable 'kern.none'"],
    ['shm_backing=paper', '--shm-backing takes auto, passthrough or cached'],
  ])('-o %s is refused in one line, and nothing is mounted', async (options, words) => {
    const refused = await ipcfs(['ipcfs', directory, '-o', `rw,dev,suid,${options}`]);
    expect(refused).toMatchObject({ status: EXIT_USAGE, stdout: '' });
    expect(refused.stderr).toMatch(/^ipcfs: [^\n]+\n$/);
    expect(refused.stderr).toContain(words);
    expect(isMounted(directory)).toBe(false);
  });

  test('mount(8) shows what the helper says', async () => {
    const refused = await installed(`mount -t fuse.ipcfs ipcfs "$directory" -o frobnicate`);
    expect(refused.stderr).toMatch(/^ipcfs: there is no mount option 'frobnicate': /);
    expect(refused.status).not.toBe(0);
  });

  /** The command of a line of the unit, as systemd runs it for a directory. */
  function unitCommand(key: string): string {
    const line = new RegExp(`^${key}=(.*)$`, 'm').exec(readFileSync(unit, 'utf8'))![1]!;
    return line.replaceAll('%f', directory).replaceAll('$IPCFS_OPTIONS', '--spin 0');
  }

  test('the systemd unit is valid, and its commands mount and unmount', async () => {
    const verified = await installed(`
      cp '${unit}' '${programs}/ipcfs@.service'
      command -v systemd-analyze >/dev/null || exit 0
      systemd-analyze verify --man=no '${programs}/ipcfs@run-ipc.service'`);
    expect(verified).toMatchObject({ status: 0, stderr: '' });
    const env = { PATH: `${join(programs, 'bin')}:${process.env['PATH']!}` };
    const sh = (command: string) => run('sh', ['-c', command], { env });
    for (const key of ['ExecStartPre', 'ExecStart']) {
      expect(await sh(unitCommand(key))).toMatchObject({ status: 0, stderr: '' });
    }
    expect(isMounted(directory)).toBe(true);
    expect(await sh(unitCommand('ExecStop'))).toMatchObject({ status: 0, stderr: '' });
    await until(() => !isMounted(directory));
  });
});
