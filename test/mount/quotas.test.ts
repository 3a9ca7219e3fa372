import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { O_NONBLOCK } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';
import { alice, bob, usedBy } from '../support/users.ts';

/** Far beyond what a test has. */
const PLENTY = 1_000_000_000;

/** How each quota is reached, what the calls beyond it fail with, and what has to go on working. */
interface Case {
  readonly resource: string;
  readonly quota: number;
  /** Takes all that the quota allows; keeps it until its standard input ends. */
  readonly flood: string;
  /** Each of these fails then. */
  readonly beyond: readonly string[];
  readonly error: string;
  /** What another user does within a quota as large, in little time; it leaves nothing behind. */
  readonly other: string;
}

/** What names and faults outlive the processes that made them. */
const REMOVE_ALL =
  "rm -rf pipes/* kqueues/*; for n in pairs/*; do [ -d $n ] && rmdir $n; done; rm -f shm/0x*; echo 'fault remove all' > ctl";

const cases: readonly Case[] = [
  {
    resource: 'names',
    quota: 3,
    flood: 'mkdir pipes/d; mkfifo pipes/d/f; mkdir pairs/p',
    beyond: [
      ...['mkfifo pipes/n', 'mkdir pipes/n', 'ln -s a pipes/n', 'ln pipes/d/f pipes/n', ': > pipes/n'],
      ...['mkdir pairs/n', 'touch kqueues/n'],
    ],
    error: 'Disk quota exceeded',
    other: 'mkfifo pipes/o; mkdir pairs/o; touch kqueues/o; rm pipes/o kqueues/o; rmdir pairs/o',
  },
  {
    resource: 'pipes',
    quota: 2,
    flood: 'mkfifo pipes/f; mkdir pairs/p',
    beyond: ['mkfifo pipes/n', ': > pipes/n', 'mkdir pairs/n'],
    error: 'Disk quota exceeded',
    other: 'mkfifo pipes/o; mkdir pairs/o; rm pipes/o; rmdir pairs/o',
  },
  {
    resource: 'pipe_bytes',
    quota: 20480,
    flood: 'mkfifo pipes/f pipes/g; exec 3<>pipes/f',
    beyond: ['exec 4<>pipes/g', 'mkdir pairs/n'],
    error: 'Cannot allocate memory',
    other: 'mkfifo pipes/o; exec 3<>pipes/o; echo b >&3; read -r line <&3; [ "$line" = b ]; rm pipes/o',
  },
  {
    resource: 'open_files',
    quota: 2,
    flood: 'exec 3<info/version 4<info/version',
    beyond: ['exec 5<info/version', 'exec 5<>kqueue', 'exec 5<>pipes/n', 'ls pipes'],
    error: 'Too many open files',
    other: 'exec 3<info/version 4<>kqueue',
  },
  {
    resource: 'held_bytes',
    // A table is charged in pieces of 12 KiB: one fits beside nothing else.
    quota: 66_000,
    flood: "exec 3<>kqueue; for n in {1..60}; do echo 'add vnode none' >&3; done",
    beyond: ['cat info/sysctls', 'cat info/users'],
    error: 'Cannot allocate memory',
    other: 'cat info/version; ls pipes',
  },
  {
    resource: 'kqueues',
    quota: 2,
    flood: 'exec 3<>kqueue; touch kqueues/q',
    beyond: ['exec 4<>kqueue', 'exec 4<>kqueue.bin', 'touch kqueues/n'],
    error: 'Cannot allocate memory',
    other: 'exec 3<>kqueue; touch kqueues/o; rm kqueues/o',
  },
  {
    resource: 'knotes',
    quota: 2,
    flood: "exec 3<>kqueue; echo 'add user 1' >&3; echo 'add vnode pipes' >&3",
    beyond: ["exec 4>kqueue; echo 'add user 3' >&4", "exec 4>kqueue; echo 'add proc 1 exit' >&4"],
    error: 'Cannot allocate memory',
    other: "exec 3<>kqueue; echo 'add user 1 trigger' >&3; read -r event <&3; [[ $event = 'user 1'* ]]",
  },
  {
    resource: 'timers',
    quota: 1,
    flood: "exec 3<>kqueue; echo 'add timer 1 1m' >&3; echo 'add timer 1 data=1m' >&3",
    beyond: ["exec 4>kqueue; echo 'add timer 2 data=1m' >&4"],
    error: 'Cannot allocate memory',
    other: "exec 3<>kqueue; echo 'add timer 1 data=1' >&3; read -r event <&3; [[ $event = 'timer 1'* ]]",
  },
  {
    resource: 'segments',
    quota: 1,
    flood: 'truncate -s 4096 shm/1',
    beyond: ['truncate -s 4096 shm/2', 'exec 5> shm/2'],
    error: 'No space left on device',
    other: 'truncate -s 4096 shm/3; rm shm/3',
  },
  {
    resource: 'segment_bytes',
    quota: 8192,
    flood: 'truncate -s 8192 shm/1',
    beyond: ['truncate -s 1 shm/2', 'echo a > shm/2', 'head -c 4097 /dev/zero > shm/2'],
    error: 'Cannot allocate memory',
    other: 'head -c 8192 /dev/zero > shm/3; rm shm/3',
  },
  {
    resource: 'blocked_calls',
    quota: 1,
    flood: 'mkfifo pipes/f pipes/w pipes/v; exec 3<>pipes/f 4<>kqueue 5<>shm/0x77 6<>pipes/w; { cat <&3 & }',
    beyond: [
      'cat <&3',
      'cat pipes/w',
      'head -c 100000 /dev/zero >&6',
      'dd count=1 bs=4096 <&4',
      'cat shm/0x77',
    ],
    error: 'Resource temporarily unavailable',
    other: 'mkfifo pipes/o; cat pipes/o & echo b > pipes/o; wait; rm pipes/o',
  },
  {
    resource: 'faults',
    quota: 1,
    flood: "exec 3<>ctl; echo 'fault add pipes/f read eof' >&3; read -r ok id <&3",
    beyond: [
      "exec 4<>ctl; echo 'fault add pipes/f read eof' >&4; read -r ok why <&4; [ $why != EDQUOT ] || ! echo 'Disk quota exceeded' >&2",
    ],
    error: 'Disk quota exceeded',
    other:
      'exec 3<>ctl; echo \'fault add pipes/o read eof\' >&3; read -r ok id <&3; [ $ok = ok ]; echo "fault remove $id" >&3',
  },
];

describeMount('quotas', () => {
  let mount: TestMount;
  const shells: Running[] = [];
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(async () => {
    for (const shell of shells.splice(0)) {
      shell.kill('SIGKILL');
      await shell.finished();
    }
    for (const { resource } of cases) await mount.setSysctl(`ipcfs.quota.${resource}`, PLENTY);
    await mount.output(REMOVE_ALL);
  });

  /** A shell of alice's that has reached the quota, and tells when she has tried to get more. */
  async function floodBy({ resource, quota, flood, beyond }: Case) {
    await mount.setSysctl(`ipcfs.quota.${resource}`, quota);
    const tries = beyond.map((attempt) => `( ${attempt} ) > /dev/null && echo 'succeeded: ${attempt}'`);
    const shell = mount.start(
      `${flood}\necho held\nread -r go\n${tries.join('\n')}\necho tried\nread -r go\n`,
      alice,
    );
    shells.push(shell);
    // A call in the background of the flood may take a moment to block.
    await until(
      async () => shell.stdout === 'held\n' && (await usedBy(mount, alice, resource)) > quota / 2,
      async () => `${shell.stderr}; ${await mount.output('cat info/users')}`,
    );
    return {
      shell,
      tryMore: async (): Promise<void> => {
        shell.child.stdin!.write('go\n');
        await until(
          () => shell.stdout.endsWith('tried\n'),
          () => `${shell.stdout}; ${shell.stderr}`,
        );
      },
    };
  }

  test.for(cases)(
    '[SEC-13] $resource: who has reached the quota is refused more, others go on',
    async (own) => {
      const { resource, quota, beyond, error, other } = own;
      const { shell, tryMore } = await floodBy(own);
      const flooded = await usedBy(mount, alice, resource);
      expect(flooded).toBeLessThanOrEqual(quota);
      await tryMore();
      expect(shell.stdout).toBe('held\ntried\n');
      const errors = shell.stderr.split('\n').filter((line) => line.includes(error));
      expect(errors, shell.stderr).toHaveLength(beyond.length);
      const rows = await mount.table('users');
      const row = rows.find(
        (candidate) => candidate['uid'] === alice.uid && candidate['resource'] === resource,
      )!;
      expect([row['used'], row['quota']]).toEqual([flooded, quota]);
      expect(row['refused']).toBeGreaterThanOrEqual(beyond.length);
      await mount.output(`set -e\n${other}`, { ...bob, timeoutMs: 5000 });
      expect(await usedBy(mount, bob, resource)).toBe(0);
      // What is given back can be taken again.
      shell.kill('SIGKILL');
      await shell.finished();
      await mount.output(REMOVE_ALL);
      await until(
        async () => (await usedBy(mount, alice, resource)) === 0,
        () => mount.output('cat info/users'),
      );
      await mount.output(`set -e\n${other}`, alice);
    },
  );

  test('[SEC-13] root has no quota', async () => {
    for (const { resource } of cases) await mount.setSysctl(`ipcfs.quota.${resource}`, 0);
    for (const { other } of cases) await mount.output(`set -e\n${other}`);
    const refused = (await mount.table('users')).filter((row) => row['uid'] === 0 && row['refused'] !== 0);
    expect(refused).toEqual([]);
    expect((await mount.sh('cat info/version', alice)).stderr).toContain('Too many open files');
  });

  test('[SEC-14] kill -9 in the middle of everything gives all of it back', async () => {
    const shell = mount.start(
      `mkfifo pipes/f; exec 3<>pipes/f 4<>kqueue 5<>kqueue.bin 6<>shm/ctl 7<info/sysctls 8<>shm/0x55
      echo 'add timer 1 data=1m' >&4; echo 'add vnode none' >&4; echo 'add read pipes/f' >&4; echo 'stat 9' >&6
      cat <&3 & cat pipes/f > /dev/null & cat shm/0x55 & head -c 200000 /dev/zero > pipes/f & mkfifo pipes/g; cat pipes/g & wait`,
      alice,
    );
    shells.push(shell);
    const open = [
      'pipe_bytes',
      'open_files',
      'held_bytes',
      'kqueues',
      'knotes',
      'timers',
      'segments',
      'blocked_calls',
    ];
    const used = (): Promise<number[]> => Promise.all(open.map((resource) => usedBy(mount, alice, resource)));
    await until(
      async () => !(await used()).includes(0) && (await usedBy(mount, alice, 'blocked_calls')) >= 3,
      async () => `${shell.stderr} ${await mount.output('cat info/users')}`,
    );
    shell.kill('SIGKILL');
    await until(
      async () => (await used()).every((count) => count === 0),
      () => mount.output('cat info/users'),
    );
    expect([await usedBy(mount, alice, 'names'), await usedBy(mount, alice, 'pipes')]).toEqual([2, 2]);
    await mount.output('rm pipes/f pipes/g');
    expect(await usedBy(mount, alice, 'names')).toBe(0);
  });

  test('names keep their account when they are moved, swapped, or given to another', async () => {
    await mount.output('mkdir -m 777 pipes/d pipes/e; mkfifo pipes/d/root; mkfifo pipes/d/spare');
    await mount.output('mkfifo pipes/d/a; ln pipes/d/a pipes/d/b; ln -s a pipes/d/c', alice);
    expect(await usedBy(mount, alice, 'names')).toBe(3);
    await mount.output('chown 1002 pipes/d/a; mv pipes/d/a pipes/e/a; mv -f pipes/d/b pipes/d/spare');
    expect([await usedBy(mount, alice, 'names'), await usedBy(mount, bob, 'names')]).toEqual([3, 0]);
    const driver = await mount.driver();
    await driver.call({ call: 'renameat2', from: 'pipes/e/a', to: 'pipes/d/root', flags: 2 });
    expect(await usedBy(mount, alice, 'names')).toBe(3);
    await mount.output('rm pipes/e/a');
    expect(await usedBy(mount, alice, 'names')).toBe(3);
    await mount.output('rm pipes/d/root');
    expect(await usedBy(mount, alice, 'names')).toBe(2);
    await mount.output('rm -r pipes/d pipes/e');
    expect([await usedBy(mount, alice, 'names'), await usedBy(mount, alice, 'pipes')]).toEqual([0, 0]);
  });

  test('a name that could not be opened is not charged for', async () => {
    await mount.setSysctl('ipcfs.quota.open_files', 1);
    const { stderr } = await mount.sh('exec 3<info/version; : > pipes/n; : > shm/0x5', alice);
    expect(stderr.match(/Too many open files/g)).toHaveLength(2);
    for (const resource of ['names', 'pipes', 'segments'])
      expect(await usedBy(mount, alice, resource)).toBe(0);
  });

  test('quotas follow the limit that all share, until they are set; the mount sets them too', async () => {
    const other = await TestMount.start([
      '--sysctl',
      'ipcfs.quota.knotes=7',
      '--sysctl',
      'kern.ipc.shmmni=10',
    ]);
    try {
      expect(await other.sysctl('ipcfs.quota.knotes')).toBe(7);
      expect(await other.sysctl('ipcfs.quota.segments')).toBe(5);
      expect(await other.sysctl('ipcfs.quota.pipe_bytes')).toBe(
        Math.floor((await other.sysctl('kern.ipc.maxpipekva')) / 2),
      );
      await other.setSysctl('kern.kq_calloutmax', 100);
      expect(await other.sysctl('ipcfs.quota.timers')).toBe(50);
      await other.setSysctl('ipcfs.quota.timers', 90);
      expect(await other.sysctl('ipcfs.quota.timers')).toBe(90);
      expect((await other.sh('echo 8 > sysctl/ipcfs/quota/knotes', alice)).stderr).toContain(
        'Permission denied',
      );
    } finally {
      await other.stop();
    }
  });

  test('a poll is no blocked call, and a non-blocking one is never refused otherwise than by EAGAIN', async () => {
    await mount.setSysctl('ipcfs.quota.blocked_calls', 0);
    await mount.output('mkfifo -m 666 pipes/p');
    const driver = await mount.driver(alice);
    const fd = await driver.open('pipes/p', 'rw');
    const waiting = driver.begin({ call: 'poll', fds: [{ fd, events: 1 }], timeoutMs: 10_000 });
    await mount.output('echo a > pipes/p');
    expect((await waiting.promise).result).toBe(1);
    expect((await driver.read(fd, 10)).text).toBe('a\n');
    expect((await driver.read(fd, 10)).result).toBe(-11);
    const other = await driver.open('pipes/p', 'rw', O_NONBLOCK);
    expect((await driver.read(other, 10)).result).toBe(-11);
  });
});
