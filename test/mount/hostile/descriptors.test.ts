import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';
import { Running, until } from '../../support/process.ts';
import { alice, bob, usedBy } from '../../support/users.ts';

describeMount('descriptors in hostile hands', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
  });
  afterAll(() => hostile.stop());

  test('[SEC-1] [SEC-7] O_PATH, file handles and fanotify lead to nothing that the mode forbids', async () => {
    await hostile.mount.output('mkfifo -m 000 pipes/secret', bob);
    const { stdout, stderr } = await hostile.attack(`${hostile.program('descriptor-tricks')} pipes/secret`);
    const results = new Map(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ (?=\S+$)/) as [string, string]),
    );
    // What lies in the kernel's own hands: names of files, and a group for events without any.
    const harmless = ['open(O_PATH)', 'name_to_handle_at', 'fanotify_init', 'unshare(CLONE_NEWUSER)'];
    expect([stderr, results.size]).toEqual(['', 19]);
    for (const [what, result] of results)
      if (!harmless.includes(what))
        expect([what, result]).toEqual([what, expect.stringMatching(/^E[A-Z]+$/)]);
    expect(results.get('read fd:N')).toBe('EBADF');
    expect(results.get('open(/proc/self/fd)')).toBe('EACCES');
  });

  test('[SEC-4] a tunable that is open for reading is not written through /proc/self/fd', async () => {
    const before = await hostile.mount.sysctl('ipcfs.quota.knotes');
    const { stdout } = await hostile.attack(
      'exec 3<sysctl/ipcfs/quota/knotes; echo 1 > /proc/self/fd/3 || echo 1 > /dev/fd/3 || echo 1 >&3 || echo refused',
    );
    expect(stdout).toBe('refused\n');
    expect(await hostile.mount.sysctl('ipcfs.quota.knotes')).toBe(before);
  });

  test('[SEC-8] [SEC-14] descriptors that are passed on stay charged to who opened them, and carry only his rights', async () => {
    await hostile.mount.output(
      'mkfifo pipes/handed; mkdir -m 700 pipes/attacker; mkfifo pipes/attacker/f',
      alice,
    );
    const handover = hostile.mount.start(`exec ${hostile.program('handover')} 50`);
    await until(
      () => handover.stdout === 'sent\n',
      () => handover.stderr,
    );
    expect(await usedBy(hostile.mount, alice, 'open_files')).toBe(51);
    handover.child.stdin!.write('\n');
    await until(
      () => handover.stdout.endsWith('taken\n'),
      () => handover.stdout + handover.stderr,
    );
    expect(handover.stdout.split('\n').slice(1, 5)).toEqual([
      'error read pipes/victim/pipe errno=EACCES udata=-',
      'error read pipes/attacker/f errno=0 udata=-',
      'error read fd:0 errno=EPERM udata=-',
      'error user 2 errno=0 udata=-',
    ]);
    expect(await usedBy(hostile.mount, alice, 'open_files')).toBe(51);
    expect(await usedBy(hostile.mount, bob, 'open_files')).toBe(0);
    expect(await usedBy(hostile.mount, bob, 'knotes')).toBe(0);
    handover.child.stdin!.write('\n');
    expect((await handover.finished()).status).toBe(0);
    await until(async () => (await usedBy(hostile.mount, alice, 'open_files')) === 0);
    expect(await usedBy(hostile.mount, alice, 'knotes')).toBe(0);
  });

  test('[SEC-13] a name, a pipe and a segment that are given away stay charged to who made them', async () => {
    const names = await usedBy(hostile.mount, alice, 'names');
    await hostile.mount.output('mkfifo pipes/given; truncate -s 4096 shm/0x77', alice);
    await hostile.mount.output('chown 1002:1002 pipes/given shm/0x77');
    expect((await hostile.mount.sh('chown 1002 pipes/handed', alice)).status).not.toBe(0);
    expect(await usedBy(hostile.mount, alice, 'names')).toBe(names + 1);
    expect(await usedBy(hostile.mount, alice, 'segments')).toBe(1);
    expect(await usedBy(hostile.mount, bob, 'segments')).toBe(0);
    await hostile.mount.output('rm pipes/given shm/0x77', bob);
    expect(await usedBy(hostile.mount, alice, 'names')).toBe(names);
    expect(await usedBy(hostile.mount, alice, 'segments')).toBe(0);
  });

  test('[SEC-7] a descriptor that becomes one of a file system whose server never answers a close holds up no thread', async () => {
    const directory = join(hostile.scratch, 'foreign');
    mkdirSync(directory);
    const tasks = readdirSync(`/proc/${hostile.serverPid}/task`);
    const foreign = new Running(
      hostile.program('hanging-file-system'),
      [directory, String(alice.uid), 'text', ...tasks],
      { timeoutMs: 120_000 },
    );
    await until(
      () => foreign.stdout === 'ready\n',
      () => foreign.stderr,
    );
    await hostile.mount.output('mkfifo pipes/replaced', alice);
    const attack = `${hostile.program('replaced-descriptor')} ${directory}/f 4`;
    const broken = await hostile.brokenBy(async () => {
      const { stdout, stderr } = await hostile.attack(attack);
      expect([stdout, stderr]).toEqual([expect.stringMatching(/^applied [1-9]\d* refused \d+\n$/), '']);
    });
    expect(broken).toEqual([]);
    const held = tasks.filter((task) =>
      readFileSync(`/proc/${hostile.serverPid}/task/${task}/wchan`, 'latin1').startsWith('request_wait'),
    );
    expect([held, foreign.stdout]).toEqual([[], 'ready\n']);
    foreign.kill('SIGKILL');
    await foreign.finished();
    await hostile.mount.output(`umount -l ${directory}`);
  }, 120_000);

  test('[SEC-15] a process that another file system keeps in execve keeps nobody waiting who asks about it', async () => {
    const directory = join(hostile.scratch, 'held');
    mkdirSync(directory);
    const script = `$| = 1; print "$$\\n"; <STDIN>; open(F, "<", "${directory}/f"); exec("true")`;
    const kept = new Running('perl', ['-e', script.replaceAll('\\\\', '\\')], { timeoutMs: 60_000 });
    await until(() => kept.stdout.endsWith('\n'));
    const holding = new Running(
      hostile.program('hanging-file-system'),
      [directory, String(alice.uid), 'text', String(kept.pid)],
      { timeoutMs: 60_000 },
    );
    await until(() => holding.stdout === 'ready\n');
    try {
      kept.child.stdin!.write('\n');
      // Linux keeps readers of its `stat` waiting from now on.
      await until(() => holding.stdout === 'ready\nkept\n');
      const setOwner = `python3 -c 'import fcntl, struct; fcntl.ioctl(4, 0x4004667C, struct.pack("i", ${kept.pid}))'`;
      const ask = `mkfifo pipes/owned; exec 3<>kqueue 4<>pipes/owned; echo 'add proc ${kept.pid} exit receipt' >&3; read -r answer <&3; echo "$answer"; ${setOwner}`;
      expect(await hostile.mount.output(ask)).toBe(`error proc ${kept.pid} errno=0 udata=-\n`);
    } finally {
      // Everybody who reads its /proc files would wait as well.
      holding.kill('SIGKILL');
      await holding.finished();
      await kept.finished();
      await hostile.mount.output(`umount -l ${directory}`);
    }
  }, 60_000);

  test('[SEC-7] descriptors and names on a FUSE mount that never answers, and on an overlay of it, hold up nobody', async () => {
    const [lower, other, overlay] = ['silent', 'other', 'overlay'].map((name) => join(hostile.scratch, name));
    for (const directory of [lower!, other!, overlay!]) mkdirSync(directory);
    const silent = new Running(hostile.program('hanging-file-system'), [lower!, String(alice.uid), '', '0'], {
      timeoutMs: 120_000,
    });
    await until(
      () => silent.stdout === 'ready\n',
      () => silent.stderr,
    );
    await hostile.mount.output(`mount -t overlay -o lowerdir=${other}:${lower} overlay ${overlay}`);
    const change = (ident: string): string =>
      `echo "add read ${ident} receipt" >&3; read -r answer <&3; echo "$answer";`;
    const broken = await hostile.brokenBy(async () => {
      const { stdout, stderr } = await hostile.attack(
        `exec 3<>kqueue 4<${lower}/f 5<${overlay}/f; ${change('fd:4')} ${change(`${lower}/f`)} ${change('fd:5')}
          ${change(`${overlay}/f`)} kill -9 $$`,
      );
      expect([stdout, stderr]).toEqual([
        expect.stringMatching(/fd:4 errno=EBADF[^]*errno=EOPNOTSUPP[^]*fd:5 errno=EBADF[^]*errno=EOPNOTSUPP/),
        '',
      ]);
    });
    expect(broken).toEqual([]);
    silent.kill('SIGKILL');
    await silent.finished();
    await hostile.mount.output(`umount -l ${overlay} ${lower}`);
  }, 120_000);
});
