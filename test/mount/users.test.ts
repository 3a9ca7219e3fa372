import { copyFileSync, chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { LinuxHost } from '../../src/host/linux/linux-host.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { EBADF, EPERM, ESRCH, negatedErrno } from '../../src/kern/errno.ts';
import type { SignalOwner } from '../../src/kern/host.ts';
import {
  decodeRecords,
  encodeRecords,
  EV_ADD,
  EV_ERROR,
  EVFILT_READ,
  RECORD_BYTES,
} from '../support/kevent-records.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { Running, until } from '../support/process.ts';
import { alice, asUser, bob, runAs } from '../support/users.ts';

/** A group that neither alice nor bob is in by itself. */
const STAFF = 2000;

/** _IOW('f', 124, int) and _IOW('t', 118, int). */
const FIOSETOWN = 0x4004667c;
const TIOCSPGRP = 0x40047476;

/** Bytes that nobody else may find anywhere. */
const SECRET = 'zebra7391';

describeMount('several users', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());
  afterEach(() =>
    mount.output('rm -rf pipes/* kqueues/*; for n in pairs/*; do [ -d $n ] && rmdir $n; done; rm -f shm/0x*'),
  );

  /** What a kqueue answers a change that alice writes: the errno's name. */
  async function watchingError(change: string, groups: readonly number[] = []): Promise<string> {
    const script = `exec 3<>kqueue; echo 'add ${change} receipt' >&3; read -r answer <&3; echo "$answer"`;
    const { stdout } = await runAs(mount, alice, script, groups);
    return /errno=(\S+)/.exec(stdout)?.[1] ?? stdout;
  }

  test('[SEC-1] supplementary groups count, in each way to a pipe, a segment, a queue and a directory', async () => {
    await mount.output(
      `mkfifo -m 660 pipes/g; mkdir -m 770 pipes/d pairs/p; mkfifo -m 666 pipes/d/f; touch kqueues/q; chmod 660 kqueues/q
      truncate -s 4096 shm/0x6; chmod 660 shm/0x6; chgrp ${STAFF} pipes/g pipes/d pairs/p pairs/p/0 kqueues/q shm/0x6`,
    );
    const id = (await mount.output('ls shm/id')).trim();
    for (const script of [
      'exec 3<>pipes/g',
      'exec 3<>pipes/d/f',
      'mkfifo pipes/d/new; rm pipes/d/new',
      'exec 3<>pairs/p/0',
      'exec 3<>kqueues/q',
      'head -c 1 shm/0x6 > /dev/null',
      `exec 3<>shm/ctl; echo 'attach ${id}' >&3; read -r answer <&3; [ "$answer" = ok ]`,
    ]) {
      const member = await runAs(mount, alice, `set -e; ${script}`, [3000, STAFF]);
      expect([script, member.status, member.stderr]).toEqual([script, 0, '']);
      const stranger = await runAs(mount, alice, `set -e; ${script}`, [3000]);
      expect([script, stranger.status]).not.toEqual([script, 0]);
    }
  });

  test('[SEC-1] nobody gets at another user: reading, writing, removing, renaming, changing', async () => {
    await mount.output(
      'umask 077; mkfifo pipes/own; mkdir pipes/dir; mkfifo pipes/dir/f; mkdir pairs/own; touch kqueues/own; truncate -s 4096 shm/0x9',
      alice,
    );
    const attempts = [
      ...[
        'cat pipes/own',
        'echo > pipes/own',
        'echo >> pipes/own',
        'rm -f pipes/own',
        'mv pipes/own pipes/x',
      ],
      ...['ln pipes/own pipes/x', 'chmod 666 pipes/own', 'chown 1002 pipes/own', 'touch -d @1 pipes/own'],
      ...[
        'ls pipes/dir',
        'stat pipes/dir/f',
        'mkfifo pipes/dir/x',
        'rm -rf pipes/dir',
        'mv pipes/dir pipes/x',
      ],
      ...['exec 3<>pairs/own/0', 'rmdir pairs/own', 'mv pairs/own pairs/x', 'chmod 777 pairs/own'],
      ...['exec 3<>kqueues/own', 'exec 3>kqueues/own', 'rm -f kqueues/own', 'mv kqueues/own kqueues/x'],
      ...['cat shm/0x9', 'exec 3<>shm/0x9', 'rm -f shm/0x9', 'chmod 666 shm/0x9', 'truncate -s 4096 shm/0x9'],
      ...['mkfifo x', 'mkdir info/x', 'rm -f info/pipes', 'rm -f kqueue', 'mv pipes x', 'chmod 777 .'],
    ];
    for (const attempt of attempts) {
      const { status, stderr } = await mount.sh(attempt, bob);
      expect([attempt, status]).not.toEqual([attempt, 0]);
      expect([attempt, stderr]).toEqual([
        attempt,
        expect.stringMatching(/Permission denied|not permitted|Not a directory|Invalid argument/),
      ]);
    }
    expect(await mount.output('ls -A pipes pipes/dir pairs kqueues', alice)).toBe(
      'kqueues:\nown\n\npairs:\nown\n\npipes:\ndir\nown\n\npipes/dir:\nf\n',
    );
  });

  test('[SEC-2] the bytes of pipes and segments are shown to their owners and root, whatever mode they have', async () => {
    const holder = mount.start(
      `umask 0; mkfifo pipes/own; mkdir pairs/own; exec 3<>pipes/own 4<>pairs/own/0; echo ${SECRET} | tee /dev/fd/3 >&4
      echo ${SECRET} > shm/0x9; chmod 666 pairs/own/*; echo ready; read -r`,
      alice,
    );
    await until(() => holder.stdout === 'ready\n');
    const views = ['pipes/own', 'pairs/own/1', 'shm/0x9'].map((path) => `info/content/${path}`);
    for (const view of views) {
      expect(await mount.output(`cat ${view}`, alice)).toContain(SECRET);
      expect(await mount.output(`cat ${view}`)).toContain(SECRET);
      expect((await mount.sh(`cat ${view}`, bob)).stderr).toContain('Permission denied');
      expect((await mount.sh(`exec 3<>${view}`, alice)).status).not.toBe(0);
    }
    await mount.output('chown 1002 pipes/own');
    expect((await mount.sh('cat info/content/pipes/own', alice)).stderr).toContain('Permission denied');
    expect(await mount.output('cat info/content/pipes/own', bob)).toContain(SECRET);
    holder.kill('SIGKILL');
    await holder.finished();
  });

  test('[SEC-3] no table shows bytes of another user: not what is queued, nor tokens and values of registrations', async () => {
    const holder = mount.start(
      `umask 0; mkfifo pipes/a; touch kqueues/q; exec 3<>pipes/a 4<>kqueues/q 5<>kqueue 6<>shm/ctl; echo ${SECRET} >&3
      echo ${SECRET} > shm/0x9; for fd in 4 5; do echo 'add user 1 data=73910 fflags=0x7b5 udata=${SECRET} trigger' >&$fd; done
      echo 'add read pipes/a udata=${SECRET}' >&5; echo -n ${SECRET} >&6; { cat <&5 > /dev/null & }; echo ready; read -r`,
      alice,
    );
    await until(() => holder.stdout === 'ready\n');
    // The trace is no table: it waits for lines, and test/vfs/trace.test.ts says who sees what in them.
    const search = `cd info; find . -maxdepth 1 -type f -printf '%P\\n' | sort | xargs grep -l -e ${SECRET} -e 73910 -e 7b5; true`;
    expect(await mount.output(search, bob)).toBe('');
    const seen = 'knotes\nknotes.json\n';
    expect(await mount.output(search, alice)).toBe(seen);
    expect(await mount.output(search)).toBe(seen);
    const rows = (await mount.output('cat info/knotes', bob))
      .split('\n')
      .filter((line) => line.includes('user'));
    expect(rows).toHaveLength(2);
    // A named queue belongs to whom its name belongs to.
    await mount.output('chown 1002 kqueues/q');
    expect(await mount.output(search, bob)).toBe(seen);
    holder.kill('SIGKILL');
    await holder.finished();
  });

  test('[SEC-4] only root writes tunables, and nobody writes or makes anything else there', async () => {
    const before = await mount.output('cd info; cut -c 1-60 sysctls');
    const script = `find sysctl -type f | while read -r name; do echo 1 > $name && echo "written: $name"; done
      find sysctl -type d | while read -r name; do mkdir $name/x || : > $name/y && echo "made: $name"; done
      chmod 666 sysctl/kern/ipc/shmmni && echo changed; rm -f sysctl/kern/ipc/shmmni && echo removed; true`;
    const { stdout } = await mount.sh(script, alice);
    expect(stdout).toBe('');
    expect(await mount.output('cd info; cut -c 1-60 sysctls')).toBe(before);
  });

  test('[SEC-5] the mount has nosuid, nodev and the kernel checks its modes', () => {
    const line = readFileSync('/proc/mounts', 'latin1')
      .split('\n')
      .find((entry) => entry.split(' ')[1] === mount.directory)!;
    const options = line.split(' ')[3]!.split(',');
    expect(options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'default_permissions']));
  });

  test('[SEC-6] a path in a change is walked with the rights of who writes it', async () => {
    await mount.output(
      `umask 0; mkdir -m 700 pipes/closed; mkfifo pipes/closed/f; mkdir -m 711 pipes/search; mkfifo pipes/search/f
      mkfifo -m 622 pipes/drop; mkfifo -m 644 pipes/look; mkfifo -m 604 pipes/group; chgrp ${STAFF} pipes/group
      mkdir -m 750 pipes/staff; mkfifo pipes/staff/f; chgrp ${STAFF} pipes/staff; ln -s closed/f pipes/link
      truncate -s 4096 shm/0x9; chmod 600 shm/0x9; touch kqueues/q; chmod 600 kqueues/q`,
    );
    const denied = [
      ...[
        'read pipes/closed/f',
        'write pipes/closed/f',
        'vnode pipes/closed/f delete',
        'vnode pipes/closed write',
      ],
      ...[
        'read pipes/search/../closed/f',
        'read pipes/link',
        'vnode pipes/link delete',
        'read pipes/closed/none',
      ],
      ...['vnode pipes/search write', 'read pipes/drop', 'write pipes/look', 'vnode shm/0x9 attrib'],
      ...['read kqueues/q', 'vnode info/content/pipes/closed/f write', 'vnode info/content/pipes/look write'],
    ];
    for (const change of denied) expect([change, await watchingError(change)]).toEqual([change, 'EACCES']);
    const allowed = [
      'read pipes/search/f',
      'write pipes/drop',
      'read pipes/look',
      'vnode pipes write',
      'read pipes/group',
    ];
    for (const change of allowed) expect([change, await watchingError(change)]).toEqual([change, '0']);
    expect(await watchingError('read pipes/staff/f')).toBe('EACCES');
    expect(await watchingError('read pipes/staff/f', [STAFF])).toBe('0');
    // One class of the mode counts: the group's, which may not.
    expect(await watchingError('read pipes/group', [STAFF])).toBe('EACCES');
  });

  test('[SEC-7] fd:N is a descriptor of the process that writes; no number leads to that of another', async () => {
    const holder = mount.start('mkfifo pipes/f; exec 9<>pipes/f 250<>pipes/f; echo ready; read -r');
    await until(() => holder.stdout === 'ready\n');
    const handles = await mount.table('handles');
    const handle = handles.find((row) => row['path'] === 'pipes/f')!['handle']!;
    for (const ident of ['fd:9', `fd:${handle}`]) {
      expect([ident, await watchingError(`read ${ident}`)]).toEqual([ident, 'EBADF']);
    }
    // A pipe of the kernel, which is its own.
    expect(await watchingError('read fd:2')).toBe('0');
    expect(await watchingError(`read ${handle}`)).toBe('ENOENT');
    const driver = await mount.driver(alice);
    const queue = await driver.open('kqueue.bin', 'rw');
    const hex = encodeRecords([{ ident: 250, filter: EVFILT_READ, flags: EV_ADD }]);
    expect((await driver.call({ call: 'writeHex', fd: queue, hex })).result).toBe(RECORD_BYTES);
    const answer = await driver.call({ call: 'readHex', fd: queue, count: RECORD_BYTES });
    expect(decodeRecords(answer.text!)).toMatchObject([
      { flags: EV_ERROR, data: BigInt(negatedErrno(-EBADF)) },
    ]);
    const own = `mkfifo pipes/own; exec 9<>pipes/own; exec 3<>kqueue; echo 'add read fd:9 receipt' >&3; read -r answer <&3; echo $answer`;
    expect((await runAs(mount, alice, own)).stdout).toBe('error read fd:9 errno=0 udata=-\n');
    holder.kill('SIGKILL');
    await holder.finished();
  });

  test('[SEC-8] a set-user-id program lends nobody its rights by what it writes', async () => {
    await mount.output(
      'mkdir -m 700 pipes/closed; mkfifo pipes/closed/f; mkfifo pipes/f; truncate -s 4096 shm/0x9; chmod 600 shm/0x9',
    );
    const id = (await mount.output('ls shm/id')).trim();
    const directory = mkdtempSync(join(tmpdir(), 'ipcfs-suid-'));
    try {
      chmodSync(directory, 0o755);
      const tee = join(directory, 'tee');
      copyFileSync('/usr/bin/tee', tee);
      chmodSync(tee, 0o4755);
      const requests = ['attach', 'rmid', 'lock', 'stat'].map((word) => `${word} ${id}`);
      const asked = requests.map((line) => `echo '${line}' | ${tee} >&3; read -r answer <&3; echo "$answer"`);
      expect(await mount.output(`exec 3<>shm/ctl; id -u >&2; ${asked.join('; ')}`, alice)).toBe(
        'error EACCES\nerror EPERM\nerror EPERM\nerror EACCES\n',
      );
      const changes = ['read pipes/closed/f', 'read fd:1', 'read fd:3'];
      const written = changes.map(
        (line) => `echo 'add ${line}' | ${tee} >&3; read -r answer <&3; echo "$answer"`,
      );
      expect(await mount.output(`exec 3<>kqueue; ${written.join('; ')}`, alice)).toBe(
        'error read pipes/closed/f errno=EACCES udata=-\n' +
          'error read fd:1 errno=EPERM udata=-\nerror read fd:3 errno=EPERM udata=-\n',
      );
      expect(await mount.output('ls shm/id')).toBe(`${id}\n`);
      // What root has opened for somebody is used with that one's own rights.
      const lent = `exec 3<>shm/ctl; ${asUser(bob, `echo "rmid ${id}" >&3`)}; read -r answer <&3; echo "$answer"`;
      expect(await mount.output(lent)).toBe('error EPERM\n');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('[SEC-9] signals of a process are counted only for who could signal it', async () => {
    const count = `echo 'add signal TERM receipt' >&3`;
    const lent = `exec 3<>kqueue; ${asUser(alice, count)}; read -r answer <&3; echo "$answer"`;
    expect(await mount.output(lent)).toBe('error signal TERM errno=EPERM udata=-\n');
    const own = `exec 3<>kqueue; bash -c "${count}"; read -r answer <&3; echo "$answer"`;
    expect(await mount.output(own, alice)).toBe('error signal TERM errno=0 udata=-\n');
  });

  test('[SEC-10] a named kqueue is used as its mode says', async () => {
    await mount.output(
      'touch kqueues/{none,drop,look}; chmod 600 kqueues/none; chmod 622 kqueues/drop; chmod 644 kqueues/look',
    );
    const tries: [string, boolean][] = [
      ['exec 3>kqueues/none', false],
      ['exec 3<kqueues/none', false],
      ["echo 'add user 1 trigger udata=a' > kqueues/drop", true],
      ['exec 3<kqueues/drop', false],
      ['exec 3<kqueues/look', true],
      ['exec 3>kqueues/look', false],
      ['rm -f kqueues/look', false],
    ];
    for (const [script, works] of tries) {
      expect([script, (await mount.sh(script, alice)).status === 0]).toEqual([script, works]);
    }
    expect(await mount.output('head -c 7 < kqueues/drop')).toBe('user 1 ');
  });

  test('[SEC-11] SIGIO goes only to processes that the caller may signal, by number and by group', async () => {
    await mount.output('mkfifo -m 666 pipes/f');
    const driver = await mount.driver(alice);
    const fd = await driver.open('pipes/f', 'rw');
    const queue = await driver.open('kqueue', 'rw');
    const [mine, theirs] = [mount.start('sleep 30', alice), mount.start('sleep 30', bob)];
    const own = async (request: number, argument: number, file = fd): Promise<number> =>
      (await driver.call({ call: 'ioctl', fd: file, request, argument })).result;
    for (const file of [fd, queue]) {
      expect(await own(FIOSETOWN, mine.pid, file)).toBe(0);
      expect(await own(FIOSETOWN, theirs.pid, file)).toBe(-EPERM);
      expect(await own(FIOSETOWN, 1, file)).toBe(-EPERM);
      expect(await own(FIOSETOWN, -theirs.pid, file)).toBe(-EPERM);
      expect(await own(FIOSETOWN, 4_194_304, file)).toBe(-ESRCH);
      expect(await own(FIOSETOWN, -mine.pid, file)).toBe(0);
    }
    expect(await own(TIOCSPGRP, theirs.pid)).toBe(-EPERM);
    expect(await own(TIOCSPGRP, mine.pid)).toBe(0);
  });

  test('[SEC-11] a group is taken by its first process or by the caller in it, and not by looking at others', async () => {
    await mount.output('mkfifo -m 666 pipes/f');
    const driver = await mount.driver(alice);
    const fd = await driver.open('pipes/f', 'rw');
    // Its first process is bob's, a member hers; its first process has ended, a member is hers.
    const mixed = mount.start(
      `echo ready; ${asUser(alice, 'exec sleep 30')} & exec ${asUser(bob, 'exec sleep 30')}`,
    );
    const left = mount.start('sleep 30 & echo ready', alice);
    for (const group of [mixed, left]) await until(() => group.stdout === 'ready\n');
    const own = async (argument: number): Promise<number> =>
      (await driver.call({ call: 'ioctl', fd, request: FIOSETOWN, argument })).result;
    await until(async () => (await own(mixed.pid)) === -EPERM);
    await until(async () => (await own(left.pid)) === -ESRCH);
    expect(await own(-mixed.pid)).toBe(-EPERM);
    expect(await own(-left.pid)).toBe(-EPERM);
    expect([-EPERM, -ESRCH]).toContain(await own(-1));
    expect(await own(-(2 ** 31))).toBe(-ESRCH);
    process.kill(-left.pid, 'SIGKILL');
    await until(async () => (await own(-left.pid)) === -ESRCH);
    process.kill(-mixed.pid, 'SIGKILL');
    const script = `python3 -c 'import fcntl, os, struct; fcntl.ioctl(os.open("pipes/f", os.O_RDWR), ${FIOSETOWN}, struct.pack("i", -os.getpgrp()))'`;
    // The group's first process is root's shell, and the caller is in it.
    expect(await mount.sh(`${asUser(alice, script)}; exit $?`)).toMatchObject({ status: 0, stderr: '' });
  });

  test('[SEC-11] the right to signal is asked for again when the signal is sent', async () => {
    const script = "trap 'echo got' IO; echo ready; while :; do read -r -t 5 line && echo $line; done";
    const receiver = new Running('bash', ['-c', script]);
    await until(() => receiver.stdout === 'ready\n');
    const host = new LinuxHost();
    const owner = host.signalOwner(receiver.pid, rootCredentials) as SignalOwner;
    host.postSigio({ ...owner, credentials: { ...alice, pid: 0 } });
    host.postSigio({ ...owner, id: -receiver.pid, credentials: { ...alice, pid: 0 } });
    // The number is given to another process now.
    host.postSigio({ ...owner, identity: 1 } as SignalOwner);
    for (const line of ['one\n', 'two\n']) {
      receiver.child.stdin!.write(line);
      await until(
        () => receiver.stdout.endsWith(line),
        () => receiver.stdout + receiver.stderr,
      );
    }
    host.postSigio(owner);
    await until(() => receiver.stdout.endsWith('got\n'));
    receiver.kill('SIGKILL');
    await receiver.finished();
    expect(receiver.stdout).toBe('ready\none\ntwo\ngot\n');
  });
});
