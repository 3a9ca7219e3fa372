import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted, isRunning, Scratch } from '../support/cli.ts';
import {
  cannotKillCallersOfStoppedServers,
  describeMount,
  mainProgram,
  TestMount,
} from '../support/mount.ts';
import { type Finished, run, until } from '../support/process.ts';

/** Descriptors that no segment takes (RESERVED_DESCRIPTORS of the host). */
const RESERVED = 16;

describeMount('faults around the server', () => {
  const scratch = new Scratch();
  const mounts: TestMount[] = [];
  afterEach(async () => {
    for (const mount of mounts.splice(0)) await mount.stop();
    await scratch.clean();
  });

  async function mounted(wrapper: readonly string[] = []): Promise<TestMount> {
    const mount = await TestMount.start([], { wrapper });
    mounts.push(mount);
    return mount;
  }

  async function blockedCalls(directory: string): Promise<number> {
    const { stdout } = await run('cat', [join(directory, 'info/waits.json')]);
    return (JSON.parse(stdout) as { inferred: string }[]).filter(({ inferred }) => inferred === '-').length;
  }

  /** Sets how many files the server may have open, its own included. */
  async function limitFiles({ server }: TestMount, count: number): Promise<void> {
    const { status, stderr } = await run('prlimit', ['--pid', String(server.pid), `--nofile=${count}:`]);
    expect([status, stderr]).toEqual([0, '']);
  }

  /** The highest descriptor of the server that it has not inherited from whoever runs the tests. */
  function highestDescriptor({ server }: TestMount): number {
    const inherited = 100;
    return Math.max(
      ...readdirSync(`/proc/${server.pid}/fd`)
        .map(Number)
        .filter((fd) => fd < inherited),
    );
  }

  /** Makes segments until there are no more; the key that could not be made. */
  async function fillSegments(mount: TestMount): Promise<number> {
    const script = 'key=1; while truncate -s 4096 shm/$key 2>/dev/null; do key=$((key + 1)); done; echo $key';
    return Number(await mount.output(script));
  }

  test('SIGTERM with 1,000 blocked calls ends the server within 2 s, and all of them', async () => {
    const directory = scratch.directory();
    const server = await scratch.mountInForeground(directory);
    const crowd = scratch.start(
      'bash',
      [
        '--norc',
        '-c',
        `mkdir pipes/crowd; cd pipes/crowd; mkfifo $(seq 500)
         for ((i = 1; i <= 500; i++)); do
           { read -r line <> $i; } 2>/dev/null &
           { printf '%070000d' 1 >&3; } 3<>$i.w 2>/dev/null &
         done; wait; echo done`,
      ],
      { cwd: directory, timeoutMs: 60_000 },
    );
    await until(
      async () => (await blockedCalls(directory)) === 1000,
      async () => `${await blockedCalls(directory)} blocked calls`,
      30_000,
    );
    const startMs = performance.now();
    server.child.kill('SIGTERM');
    expect(await server.finished()).toMatchObject({ status: 0, stderr: '' });
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(isMounted(directory)).toBe(false);
    expect((await crowd.finished()).stdout).toBe('done\n');
  }, 60_000);

  test('a server that is stopped for a while: callers wait, then all goes on, and nothing is lost', async () => {
    const mount = await mounted();
    const total = 30_000_000;
    const copy = mount.start(
      `mkfifo pipes/a; head -c ${total} /dev/urandom > pipes/a | tee /dev/null &
       cksum < pipes/a | cut -d ' ' -f 2; wait; exec 3<>kqueue; echo "add timer 1 data=20ms oneshot" >&3; read -r event <&3; echo $event`,
      { timeoutMs: 60_000 },
    );
    await until(
      async () => Number((await mount.pipe('pipes/a').catch(() => ({ 'bytes-out': 0 })))['bytes-out']) > 0,
    );
    for (let round = 0; round < 3; round++) {
      process.kill(mount.server.pid, 'SIGSTOP');
      const beside = mount.start('mkfifo pipes/beside; rm pipes/beside; echo served');
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect([beside.isFinished, copy.isFinished]).toEqual([false, false]);
      if (!cannotKillCallersOfStoppedServers) {
        const killed = mount.start('exec cat info/version');
        killed.kill('SIGKILL');
        await killed.finished();
      }
      process.kill(mount.server.pid, 'SIGCONT');
      expect((await beside.finished()).stdout).toBe('served\n');
    }
    expect((await copy.finished()).stdout).toBe(
      `${total}\ntimer 1 data=1 flags=clear,oneshot fflags=0 udata=-\n`,
    );
  }, 60_000);

  /** A shell in a mount namespace where `$full` is a directory on a full disk, and TMPDIR. */
  function onFullDisk(script: string): Promise<Finished> {
    const full = scratch.directory();
    const setup = `set -e; full='${full}'; mount -t tmpfs -o size=64k none "$full"; cd "$full"
      dd if=/dev/zero of=fill bs=4k 2>/dev/null || true; : > log; export TMPDIR="$full"
      if echo x > log; then exit 99; fi`;
    return run('unshare', ['-m', 'bash', '--norc', '-c', `${setup} 2>/dev/null\n${script}`], {
      timeoutMs: 30_000,
    });
  }

  test('a full disk as working directory, as TMPDIR, and behind the log: mounting works, and the server goes on', async () => {
    const directory = scratch.directory();
    const { status, stdout, stderr } = await onFullDisk(
      `DEBUG='ipcfs:*' ${ipcfsCommand} mount -f '${directory}' 2>log & server=$!
       until [ -e '${directory}/info/version' ]; do kill -0 $server; done
       cd '${directory}'
       mkfifo pipes/a; echo through > pipes/a & cat pipes/a
       head -c 100000 /dev/zero > shm/1; stat -c %s shm/1
       mkdir pairs/p; exec 3<>kqueue; echo 'add timer 1 data=1ms oneshot' >&3; read -r event <&3; echo $event; exec 3>&-
       kill -0 $server && echo alive
       cd /; ${ipcfsCommand} umount '${directory}'; wait $server; echo "ended with $?"
       cd "$full"; ${ipcfsCommand} mount '${directory}' && cat '${directory}/info/version.json' > /dev/null && ${ipcfsCommand} umount '${directory}' && echo again`,
    );
    expect(stderr).toBe('');
    expect(stdout).toBe(
      'through\n100000\ntimer 1 data=1 flags=clear,oneshot fflags=0 udata=-\nalive\nended with 0\nagain\n',
    );
    expect(status).toBe(0);
  }, 40_000);

  test('without descriptors a new segment is ENFILE; all else goes on, and segments too once there are some', async () => {
    const mount = await mounted();
    await mount.output('mkfifo pipes/a');
    const highest = highestDescriptor(mount);
    await limitFiles(mount, highest + 4 + RESERVED);
    // Numbers below the highest may be free; each segment takes one.
    const next = await fillSegments(mount);
    expect(next).toBeGreaterThan(1);
    expect((await mount.sh(`truncate -s 4096 shm/${next}`)).stderr).toContain(
      'Too many open files in system',
    );
    const conversation = `exec 3<>shm/ctl; echo 'get private 4096 create' >&3; read -r answer <&3; echo "$answer"`;
    expect(await mount.output(conversation)).toBe('error ENFILE\n');
    expect((await mount.table('shm')).length).toBe(next - 1);
    // What opens files for a moment, and what opens none.
    const others = `echo x > pipes/a & cat pipes/a; wait
      echo bytes | dd of=shm/1 conv=notrunc status=none; head -c 5 shm/1; echo
      exec 3<>kqueue 4<>pipes/a; echo 'add read fd:4' >&3; echo hello >&4; read -r event <&3; echo "$event"
      exec 5<>kqueue; { read -r line < pipes/b; exit 3; } & echo "add proc $! exit" >&5; echo > pipes/b; read -r event <&5; echo "$event"`;
    expect(await mount.output(`mkfifo pipes/b; ${others}`)).toMatch(
      /^x\nbytes\nread fd:4 data=6 .*\nproc \d+ data=0x300 .*\n$/,
    );
    expect((await mount.table('waits')).length).toBe(0);
    await limitFiles(mount, highest + 101);
    expect(await mount.output(`truncate -s 4096 shm/${next}; ${conversation}`)).toMatch(/^ok \d+\n$/);
    expect(isRunning(mount.server.pid)).toBe(true);
  });

  test('the limit of files below what is open: who reads from /proc finds what is there', async () => {
    const mount = await mounted();
    await mount.output('mkfifo pipes/a');
    await limitFiles(mount, highestDescriptor(mount) + 1);
    const next = await fillSegments(mount);
    const script = `exec 3<>kqueue 4<>pipes/a; echo 'add read fd:4' >&3; echo hello >&4; read -r event <&3; echo "$event"`;
    expect(await mount.output(script)).toMatch(/^read fd:4 data=6 /);
    expect((await mount.sh(`truncate -s 4096 shm/${next}`)).stderr).toContain(
      'Too many open files in system',
    );
    expect(await mount.output('echo x > pipes/a & cat pipes/a')).toBe('x\n');
  });

  test('too few files to start with are one line that says what to do', async () => {
    const directory = scratch.directory();
    const command = ['--nofile=30:30', process.execPath, mainProgram, 'mount', directory];
    const { status, stdout, stderr } = await run('prlimit', command);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^ipcfs: too few files may be open: raise the limit with 'ulimit -n 1024'\n$/);
    expect(isMounted(directory)).toBe(false);
  });

  test('too few files for the server are one line too, and no mount that can do less', async () => {
    const directory = scratch.directory();
    const command = ['--nofile=64:64', process.execPath, mainProgram, 'mount', directory];
    const { status, stdout, stderr } = await run('prlimit', command);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^ipcfs: too few files may be open: raise the limit with 'ulimit -n 1024'\n$/);
    expect(isMounted(directory)).toBe(false);
  });

  test('without descriptors, listening to signals and forks is ENFILE, and works once there are some', async () => {
    const mount = await mounted();
    const taken = readdirSync(`/proc/${mount.server.pid}/fd`).map(Number);
    // The number that it would get next.
    let free = 0;
    while (taken.includes(free)) free++;
    await limitFiles(mount, free);
    const add = async (change: string): Promise<string> =>
      await mount.output(
        `exec 3<>kqueue; echo '${change}' >&3; timeout 0.5 dd bs=4096 count=1 status=none <&3 || echo waits`,
      );
    const changes = ['add signal USR1 receipt', `add proc ${process.pid} fork receipt`];
    for (const change of changes) expect(await add(change)).toMatch(/errno=ENFILE/);
    await limitFiles(mount, 1024);
    for (const change of changes) expect(await add(change)).toMatch(/errno=0/);
    expect(mount.server.stderr).toBe('');
  });

  test('the size of files is limited: ENOMEM for a segment beyond it, and the server goes on', async () => {
    const mount = await mounted();
    const pid = String(mount.server.pid);
    expect((await run('prlimit', ['--pid', pid, '--fsize=100000:'])).status).toBe(0);
    expect((await mount.sh('truncate -s 1M shm/1')).stderr).toContain('Cannot allocate memory');
    expect((await mount.sh('head -c 200000 /dev/zero > shm/2')).stderr).toContain('Cannot allocate memory');
    expect(
      await mount.output(
        'truncate -s 50000 shm/3; stat -c %s shm/3; mkfifo pipes/a; echo x > pipes/a & cat pipes/a',
      ),
    ).toBe('50000\nx\n');
    expect((await run('prlimit', ['--pid', pid, '--fsize=unlimited:'])).status).toBe(0);
    expect(await mount.output('truncate -s 1M shm/1; stat -c %s shm/1')).toBe('1048576\n');
  });

  test('a directory in a mount whose server was killed cannot be mounted on, and one line says what to do', async () => {
    const directory = scratch.directory();
    const pid = await scratch.mount(directory);
    const inside = join(directory, 'pipes');
    const link = join(scratch.directory(), 'link');
    symlinkSync(inside, link);
    expect((await run('stat', [inside])).status).toBe(0);
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid));
    for (const path of [inside, link, join(inside, 'deeper')]) {
      const { status, stdout, stderr } = await ipcfs(['mount', path]);
      expect([status, stdout, stderr]).toEqual([
        1,
        '',
        `ipcfs: ${path} lies in ${directory}, whose server has ended: run 'ipcfs umount ${directory}' first\n`,
      ]);
    }
    expect(isMounted(inside)).toBe(false);
    expect((await ipcfs(['umount', directory])).status).toBe(0);
  });

  test('a killed server: blocked callers get an error within 2 s, mount and umount take away what it left', async () => {
    for (const command of ['mount', 'umount']) {
      const directory = scratch.directory();
      const pid = await scratch.mount(directory);
      const blocked = scratch.start(
        'bash',
        [
          '--norc',
          '-c',
          `mkfifo pipes/{1..40}; touch kqueues/q
           for ((i = 1; i <= 40; i += 4)); do
             cat pipes/$i & echo x > pipes/$((i + 1)) & cat <> pipes/$((i + 2)) & { cat; } <> kqueues/q &
           done; wait`,
        ],
        { cwd: directory, timeoutMs: 30_000 },
      );
      await until(async () => (await blockedCalls(directory)) === 40);
      const startMs = performance.now();
      process.kill(pid, 'SIGKILL');
      await blocked.finished();
      expect(performance.now() - startMs).toBeLessThan(2000);
      expect((await ipcfs([command, directory])).status).toBe(0);
      expect(isMounted(directory)).toBe(command === 'mount');
      if (command === 'mount') {
        expect((await run('ls', [join(directory, 'pipes')])).stdout).toBe('');
        expect((await ipcfs(['umount', directory])).status).toBe(0);
      }
    }
  }, 40_000);
});
