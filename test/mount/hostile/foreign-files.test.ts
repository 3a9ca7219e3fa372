import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';
import { Running, until } from '../../support/process.ts';
import { alice, bob, usedBy } from '../../support/users.ts';

/** Sockets that are watched at once; IPCFS_FOREIGN_KNOTES=100000 for the whole proof, below `prlimit --nofile=200000`: each takes a number. */
const KNOTES = Number(process.env['IPCFS_FOREIGN_KNOTES'] ?? 2000);
/** Of one process: the whole proof has 20 of them. */
const BATCH = Math.max(500, KNOTES / 20);
/** All processes of the whole proof share two processors. */
const KNOTES_TIMEOUT_MS = Math.max(10_000, 4 * KNOTES);

describeMount('files outside of the mount in hostile hands', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
  });
  afterAll(() => hostile.stop());

  const ask = (change: string): string => `echo '${change} receipt' >&3; read -r answer <&3; echo "$answer";`;

  test('[SEC-23] a pipe and a connection that their user holds up hold up nobody else', async () => {
    const directory = join(hostile.scratch, 'held');
    mkdirSync(directory);
    const silent = new Running(
      hostile.program('hanging-file-system'),
      [directory, String(alice.uid), '', '0'],
      {
        timeoutMs: 120_000,
      },
    );
    await until(
      () => silent.stdout === 'ready\n',
      () => silent.stderr,
    );
    let attacker: Running | null = null;
    const broken = await hostile.brokenBy(async () => {
      attacker ??= hostile.start(`exec ${hostile.program('held-files')} ${directory}/f`);
      await until(
        () => attacker!.stdout.split('\n').length >= 4,
        () => attacker!.stdout + attacker!.stderr,
      );
      const others = `exec 3<>kqueue 4< <(echo text; sleep 1); until ${ask('add read fd:4')} read -r event <&3; do :; done; echo "$event"`;
      const { stdout } = await hostile.attack(others, bob);
      expect(stdout).toContain('read fd:4 data=5 ');
    });
    expect(broken).toEqual([]);
    for (const line of attacker!.stdout.split('\n').slice(1, 3))
      expect(line).toMatch(/^error .* errno=E[A-Z]+ /);
    attacker!.kill('SIGKILL');
    silent.kill('SIGKILL');
    await Promise.all([silent.finished(), attacker!.finished()]);
    await hostile.mount.output(`umount -l ${directory}`);
  }, 120_000);

  test("[SEC-7] another user's descriptors are not reached, nor those of a process that got the number of another", async () => {
    const holder = hostile.start('exec 77</etc/passwd; echo open; exec sleep 60', bob);
    await until(() => holder.stdout === 'open\n');
    const { stdout } = await hostile.attack(`exec 3<>kqueue; ${ask('add vnode fd:77')}`);
    expect(stdout).toMatch(/^error vnode fd:77 errno=EBADF /);
    holder.kill('SIGKILL');
    await holder.finished();
    const program = `
import os, socket, time
q = os.open('kqueue', os.O_RDWR | os.O_NONBLOCK)
keep, far = socket.socketpair(); os.set_inheritable(keep.fileno(), True); n = keep.fileno()
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    own, peer = socket.socketpair(); os.dup2(own.fileno(), n); os.write(q, f'add read fd:{n}\\n'.encode()); os.write(w, b'x'); time.sleep(60)
os.read(r, 1); os.kill(pid, 9); os.waitpid(pid, 0)
far.send(b'secret')
for attempt in range(50):
    with open('/proc/sys/kernel/ns_last_pid', 'w') as f: f.write(str(pid - 1))
    other = os.fork()
    if other == 0: time.sleep(60)
    if other == pid: break
    os.kill(other, 9); os.waitpid(other, 0)
try: got = os.read(q, 1000)
except BlockingIOError: got = b''
print(other == pid, got, flush=True)
os.kill(other, 9)
`;
    const path = join(hostile.scratch, 'reused.py');
    writeFileSync(path, program);
    expect(await hostile.mount.output(`python3 ${path}`)).toBe("True b''\n");
  });

  test('[SEC-7] a caller that seccomp leaves nothing but read and write watches its own descriptors', async () => {
    const { stdout, status } = await hostile.attack(`exec ${hostile.program('confined-caller')}`);
    expect([stdout, status]).toEqual(['read fd:50 data=3 flags=oneshot fflags=0 udata=-\n', 0]);
  });

  test('[SEC-24] a path outside of the mount is followed with the rights of the caller', async () => {
    const secret = join(hostile.scratch, 'secret');
    mkdirSync(secret, { mode: 0o700 });
    writeFileSync(join(secret, 'file'), '');
    writeFileSync(join(hostile.scratch, 'private'), '', { mode: 0o600 });
    writeFileSync(join(hostile.scratch, 'public'), '', { mode: 0o644 });
    symlinkSync(join(secret, 'file'), join(hostile.scratch, 'link'));
    symlinkSync('public', join(hostile.scratch, 'fine'));
    chmodSync(join(hostile.scratch, 'public'), 0o644);
    const paths = [
      'secret/file',
      'link',
      'private',
      'public',
      'fine',
      'public/x',
      '../../proc/self/fd/0',
      'none',
    ];
    const answers = async (user: typeof alice): Promise<string[]> => {
      const script = paths.map((path) => ask(`add vnode ${hostile.scratch}/${path} write`)).join(' ');
      const { stdout } = await hostile.attack(
        `exec 3<>kqueue; ${script} ${ask(`add write ${hostile.scratch}/public`)}`,
        user,
      );
      return stdout.split('\n').map((line) => /errno=(\w+)/.exec(line)?.[1] ?? '');
    };
    expect(await answers(alice)).toEqual([
      'EACCES',
      'EACCES',
      'EACCES',
      '0',
      '0',
      'ENOTDIR',
      'EOPNOTSUPP',
      'ENOENT',
      'EACCES',
      '',
    ]);
    expect(await answers({ uid: 0, gid: 0 })).toEqual([
      '0',
      '0',
      '0',
      '0',
      '0',
      'ENOTDIR',
      'EOPNOTSUPP',
      'ENOENT',
      '0',
      '',
    ]);
  });

  test('[SEC-24] a descriptor of O_PATH is watched only by those who may read the file, an open one by those who have it', async () => {
    const secret = join(hostile.scratch, 'unread');
    writeFileSync(secret, '', { mode: 0o600 });
    const program = join(hostile.scratch, 'named.py');
    writeFileSync(
      program,
      `
import os
q = os.open('kqueue', os.O_RDWR)
def ask(fd):
    os.write(q, f'add vnode fd:{fd} write receipt\\n'.encode()); return os.read(q, 1000).decode().split('errno=')[1].split()[0]
named = os.open('${secret}', 0o10000000); given = os.open('${secret}', os.O_RDONLY)
os.setgroups([]); os.setgid(${alice.gid}); os.setuid(${alice.uid})
print(ask(named), ask(given), ask(os.open('/etc/passwd', 0o10000000)), flush=True)
`,
    );
    expect(await hostile.mount.output(`python3 ${program}`)).toBe('EACCES 0 0\n');
  });

  test('[SEC-24] a path begins at the root that the caller sees', async () => {
    const root = join(hostile.scratch, 'jail');
    mkdirSync(root);
    const script = `mkdir -p ${root}/mnt ${root}/etc; mount --bind . ${root}/mnt
      for d in bin lib lib64 usr; do [ -e /$d ] || continue; mkdir -p ${root}/$d; mount --bind /$d ${root}/$d; done; touch ${root}/etc/own
      chroot ${root} bash -c 'exec 3<>/mnt/kqueue; for p in /etc/own /../../etc/own /etc/passwd /../../../etc/passwd; do ${ask('add vnode $p write').replaceAll("'", '"')} done'`;
    const { stdout, stderr } = await hostile.mount.sh(`unshare -m bash << 'END'\n${script}\nEND`);
    expect([stdout.split('\n').map((line) => /errno=(\w+)/.exec(line)?.[1] ?? ''), stderr]).toEqual([
      ['0', '0', 'ENOENT', 'ENOENT', ''],
      '',
    ]);
  });

  test(`[SEC-13] [SEC-14] [SEC-23] ${KNOTES} sockets that are watched, and closed without a word`, async () => {
    const program = join(hostile.scratch, 'many.py');
    writeFileSync(
      program,
      `
import os, resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (${4 * BATCH}, ${4 * BATCH}))
q = os.open('kqueue', os.O_RDWR | os.O_NONBLOCK)
pairs = [socket.socketpair() for _ in range(${BATCH})]
for at in range(0, ${BATCH}, 500):
    os.write(q, ''.join(f'add read fd:{near.fileno()}\\n' for near, _ in pairs[at:at + 500]).encode())
try: print(os.read(q, 100).split()[3].decode(), flush=True)
except BlockingIOError: print('added', flush=True)
time.sleep(600)
`,
    );
    await hostile.mount.setSysctl('ipcfs.quota.foreign_files', KNOTES - BATCH / 2);
    const broken = await hostile.brokenBy(async () => {
      const running = Array.from({ length: KNOTES / BATCH }, () =>
        hostile.start(`exec python3 ${program}`, alice, { timeoutMs: 600_000 }),
      );
      const seen = await Promise.all(
        running.map(async (process) => {
          await until(
            () => process.stdout !== '',
            () => process.stderr,
            KNOTES_TIMEOUT_MS,
          );
          return process.stdout;
        }),
      );
      expect(seen.filter((text) => text === 'errno=ENOMEM\n').length).toBeGreaterThan(0);
      expect(await usedBy(hostile.mount, alice, 'foreign_files')).toBe(KNOTES - BATCH / 2);
      for (const process of running) process.kill('SIGKILL');
      await Promise.all(running.map((process) => process.finished()));
      const remaining = (): Promise<number> => usedBy(hostile.mount, alice, 'foreign_files');
      await until(
        async () => (await remaining()) === 0,
        async () => `${await remaining()} files are left`,
        KNOTES_TIMEOUT_MS,
      );
    });
    expect(broken).toEqual([]);
  }, 600_000);
});
