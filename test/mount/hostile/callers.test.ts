import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';
import { until } from '../../support/process.ts';
import { alice, usedBy } from '../../support/users.ts';

/** With any other pattern Linux dumps elsewhere, or into a program. */
const dumpsHere = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim() === 'core';

describeMount('callers that are not what they seem', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
    await hostile.mount.output(
      'mkfifo pipes/copies pipes/traced pipes/crowd pipes/sleepers pipes/owned',
      alice,
    );
  });
  afterAll(() => hostile.stop());

  async function expectNothingLeft(): Promise<void> {
    for (const resource of ['open_files', 'blocked_calls', 'knotes'])
      await until(
        async () => (await usedBy(hostile.mount, alice, resource)) === 0,
        () => resource,
      );
  }

  test('[SEC-14] callers that are traced while they sleep, and killed then, leave nothing', async () => {
    const program = hostile.program('traced-callers');
    const attack = async (): Promise<void> => {
      const { stdout, stderr } = await hostile.attack(`${program} 3`);
      expect([stdout, stderr]).toEqual(['enough 1\n', '']);
    };
    expect(await hostile.brokenBy(attack)).toEqual([]);
    await expectNothingLeft();
  }, 120_000);

  test('[SEC-16] pages that are given by vmsplice and change meanwhile, tee and splice do nothing but copy', async () => {
    const program = hostile.program('kernel-copies');
    const attack = async (): Promise<void> => {
      const { stdout, stderr } = await hostile.attack(`${program} 3`);
      expect([stdout, stderr]).toEqual(['failed 0 short 0 enough 1\n', '']);
    };
    expect(await hostile.brokenBy(attack)).toEqual([]);
    await expectNothingLeft();
  }, 120_000);

  test('[SEC-6] a thread number that another process gets while a change is on its way lends it no group', async () => {
    await hostile.mount.output(
      'mkdir -m 750 pipes/staff; mkfifo -m 644 pipes/staff/f; chgrp 2000 pipes/staff',
    );
    const reuse = `exec ${hostile.program('reused-threads')} 40`;
    expect(await hostile.mount.output(reuse, { timeoutMs: 60_000 })).toBe('taken 40\n');
    const granted = `exec 3<>kqueue; echo 'add read pipes/staff/f receipt' >&3; read -r answer <&3; echo "$answer"`;
    expect(
      await hostile.mount.output(
        `setpriv --reuid 1001 --regid 1001 --groups 2000 bash -c "${granted.replaceAll('$', '\\$').replaceAll('"', '\\"')}"`,
      ),
    ).toContain('errno=0');
    expect((await hostile.attack(granted)).stdout).toContain('errno=EACCES');
  }, 90_000);

  test('[SEC-7] [SEC-11] callers in other namespaces of processes and users have their own rights, by the numbers of the server', async () => {
    const theirs = hostile.mount.start('exec sleep 60', { uid: 1002, gid: 1002 });
    const script = `exec 3<>kqueue 9<>pipes/copies
      for change in "read fd:9" "read fd:0" "read pipes/victim/pipe" "proc ${theirs.pid} exit" "signal TERM"; do
        echo "add $change receipt" >&3; read -r answer <&3; echo "$answer"; done`;
    const { stdout, stderr } = await hostile.attack(
      `unshare --user --map-root-user --pid --fork --mount-proc bash -c '${script.replaceAll("'", `'\\''`)}'`,
    );
    expect([stderr, stdout.split('\n').slice(0, 3)]).toEqual([
      '',
      [
        'error read fd:9 errno=0 udata=-',
        'error read fd:0 errno=0 udata=-',
        'error read pipes/victim/pipe errno=EACCES udata=-',
      ],
    ]);
    expect(
      (await hostile.attack('unshare --user --map-root-user bash -c "echo 1 > sysctl/kern/ipc/shmmni"'))
        .status,
    ).not.toBe(0);
  });

  test('[SEC-11] FIOSETOWN from other namespaces takes no process and no group of others', async () => {
    const theirs = hostile.mount.start('exec sleep 60', { uid: 1002, gid: 1002 });
    const script = `import fcntl, os, struct
file = os.open("pipes/copies", os.O_RDWR)
for owner in (${theirs.pid}, -${theirs.pid}, 1, -1, ${process.pid}, -${hostile.serverPid}):
    for request, sign in ((0x4004667c, 1), (0x40047476, -1)):
        try:
            fcntl.ioctl(file, request, struct.pack("i", sign * owner))
            print("taken", owner)
        except OSError as error:
            print(error.strerror)`;
    for (const space of ['--user --map-root-user', '--user --map-root-user --pid --fork --mount-proc']) {
      const { stdout, stderr } = await hostile.attack(
        `exec unshare ${space} python3 -c '${script.replaceAll("'", `'\\''`)}'`,
      );
      expect(stderr).toBe('');
      expect(stdout).not.toContain('taken');
      expect(stdout.match(/Operation not permitted/g)?.length).toBeGreaterThanOrEqual(8);
    }
    theirs.kill('SIGKILL');
  });

  test('[SEC-15] hundreds of processes in groups, made the receivers of SIGIO one after the other: others go on', async () => {
    const program = hostile.program('signal-owners');
    const attack = async (): Promise<void> => {
      const { stdout, stderr } = await hostile.attack(`${program} 300 40 3 500`);
      expect([stdout, stderr]).toEqual(['taken 1\n', '']);
    };
    expect(await hostile.brokenBy(attack)).toEqual([]);
    await expectNothingLeft();
  }, 120_000);

  test.skipIf(!dumpsHere)(
    '[SEC-13] core dumps into the mount are charged, and end with their process',
    async () => {
      const dump = (directory: string): string =>
        `cd ${directory}; ulimit -c unlimited; timeout -s KILL 10 bash -c 'x=$(printf %2000000d 1); kill -ABRT $$'; true`;
      for (const directory of ['pipes', 'kqueues', 'shm', 'pairs', 'info', 'sysctl']) {
        const broken = await hostile.brokenBy(() => hostile.attack(dump(directory)));
        expect([directory, broken]).toEqual([directory, []]);
      }
      await hostile.mount.output('rm -f pipes/core* kqueues/core* shm/core*');
      await expectNothingLeft();
    },
    200_000,
  );

  test('[SEC-13] a segment is neither swapped to nor a block device for who is not root', async () => {
    await hostile.mount.output('truncate -s 1M shm/0x55; chmod 600 shm/0x55', alice);
    for (const attempt of [
      '/usr/sbin/mkswap shm/0x55 && /usr/sbin/swapon shm/0x55',
      '/usr/sbin/losetup -f shm/0x55',
    ]) {
      expect([attempt, (await hostile.attack(attempt)).status]).not.toEqual([attempt, 0]);
    }
    // Linux asks for the blocks of the file, which a FUSE mount without a block device has not.
    expect(
      (await hostile.mount.sh('/usr/sbin/mkswap -q shm/0x55; /usr/sbin/swapon shm/0x55')).stderr,
    ).toContain('Invalid argument');
    expect(await hostile.mount.output('cat info/version')).toContain('ipcfs');
    await hostile.mount.output('rm shm/0x55', alice);
  });

  test('[SEC-13] [SEC-14] 2,000 blocked calls, 100,000 registrations beyond the quota, and calls that fail: others go on', async () => {
    const attack = async (): Promise<void> => {
      const { stdout, stderr } = await hostile.attack(`${hostile.program('crowd')} 2000 100000 5`);
      expect([stdout, stderr]).toEqual([expect.stringMatching(/^calls 2000 knotes 100000\nend\n$/), '']);
    };
    expect(await hostile.brokenBy(attack)).toEqual([]);
    await expectNothingLeft();
  }, 200_000);
});
