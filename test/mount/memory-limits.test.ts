import { afterEach, expect, test } from 'vitest';
import { O_NONBLOCK, O_RDWR } from '../support/driver-protocol.ts';
import type { Driver } from '../support/driver-client.ts';
import { MemoryCgroup } from '../support/memory-cgroup.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';
import { ControlFile, MIB, procBytes } from '../support/shm-files.ts';

const ENOMEM = -12;
/** Fills a ring of 64 KiB so far that another such write would not fit. */
const FILL_BYTES = 60_000;
const PIPES = 2000;

type Limit = 'as' | 'data';
const limits: readonly Limit[] = ['as', 'data'];

describeMount('memory of the server is limited', () => {
  const mounts: TestMount[] = [];
  const groups: MemoryCgroup[] = [];
  afterEach(async () => {
    for (const mount of mounts.splice(0)) await mount.stop();
    for (const group of groups.splice(0)) await group.remove();
  });

  async function mounted(wrapper: readonly string[] = []): Promise<TestMount> {
    const mount = await TestMount.start([], { wrapper });
    mounts.push(mount);
    return mount;
  }

  /** Lets the server have `moreBytes` beside what it has; without a number as much as it wants. */
  async function limitMemory({ server }: TestMount, limit: Limit, moreBytes: number | null): Promise<void> {
    const field = limit === 'as' ? 'VmSize' : 'VmData';
    const bytes =
      moreBytes === null ? 'unlimited' : procBytes(`/proc/${server.pid}/status`, field) + moreBytes;
    const { status, stderr } = await run('prlimit', ['--pid', String(server.pid), `--${limit}=${bytes}:`]);
    expect([status, stderr]).toEqual([0, '']);
  }

  /** What works again as soon as the server has collected what was given back. */
  async function untilService(mount: TestMount): Promise<void> {
    const script = `set -e; rm -f pipes/s; mkfifo pipes/s; echo 'add read pipes/s' > kqueue
      echo through > pipes/s & cat pipes/s; wait; exec 3<>kqueue; echo 'add user 1 trigger' >&3; read -r event <&3; echo $event
      echo segment > shm/0x51; cat shm/0x51; rm shm/0x51 pipes/s; cat info/waits > /dev/null`;
    const expected = 'through\nuser 1 data=0 flags=- fflags=0 udata=-\nsegment\n';
    let seen = '';
    await until(
      async () => {
        const { stdout, stderr } = await mount.sh(script);
        seen = stdout + stderr;
        return stdout === expected;
      },
      () => seen,
      20_000,
    );
    expect(mount.server.stderr).toBe('');
  }

  /** Fills pipes, and holds them open, until no more can be had: the descriptors. */
  async function fillPipes(driver: Driver): Promise<number[]> {
    const filled: number[] = [];
    for (let pipe = 1; pipe <= PIPES; pipe++) {
      const flags = O_RDWR | O_NONBLOCK;
      const { result: fd } = await driver.call({ call: 'open', path: `pipes/d/${pipe}`, flags });
      const { result } = fd < 0 ? { result: fd } : await driver.writePattern(fd, FILL_BYTES);
      if (result === FILL_BYTES) {
        filled.push(fd);
        continue;
      }
      expect(result).toBe(ENOMEM);
      if (fd >= 0) await driver.close(fd);
      return filled;
    }
    throw new Error('memory has no limit');
  }

  async function expectLimitedPipes(mount: TestMount): Promise<void> {
    await mount.output(`mkdir pipes/d; cd pipes/d; mkfifo $(seq ${PIPES})`);
    const driver = await mount.driver();
    const filled = await fillPipes(driver);
    expect(filled.length).toBeGreaterThan(10);
    // Others find what they need for a message and an event.
    const others = `mkdir -p pipes/a; { exec 3<>kqueue; echo 'add user 1 trigger' >&3; read -r event <&3; }; ls pipes | wc -l; cat info/version`;
    await until(async () => (await mount.sh(others)).stdout.startsWith('2\nname'));
    // What was taken is there, byte for byte.
    for (const fd of filled) {
      const { result, value } = await driver.call({
        call: 'readPattern',
        fd,
        count: 2 * FILL_BYTES,
        offset: 0,
      });
      expect([result, value]).toEqual([FILL_BYTES, 0]);
    }
    for (const fd of filled) await driver.close(fd);
    // What was given back can be taken again, as soon as it has been collected.
    await until(async () => {
      const again = await fillPipes(driver);
      for (const fd of again) await driver.close(fd);
      return again.length > filled.length / 2;
    });
    await mount.endDrivers();
    await untilService(mount);
  }

  test.for(limits)(
    '[SEC-18] RLIMIT %s: pipes take bytes until ENOMEM, all bytes come out, others go on',
    { timeout: 120_000 },
    async (limit) => {
      const mount = await mounted();
      await limitMemory(mount, limit, 32 * MIB);
      await expectLimitedPipes(mount);
    },
  );

  test.for(limits)(
    '[SEC-18] RLIMIT %s with nothing left: every call works or is ENOMEM, the server goes on, and all works with more',
    { timeout: 60_000 },
    async (limit) => {
      const mount = await mounted();
      await mount.output('mkfifo pipes/a; ln -s a pipes/link; truncate -s 4096 shm/1');
      // Below what it has: as much as it holds in reserve is left to it.
      // Collections until then count, so it is set anew until nothing is given.
      await until(async () => {
        await limitMemory(mount, limit, -16 * MIB);
        return (await mount.sh('mkfifo pipes/probe && rm pipes/probe')).status !== 0;
      });
      const calls = [
        ...['mkfifo pipes/b', 'mkdir pairs/p', 'ln -s a pipes/c', 'ln pipes/a pipes/d', 'touch kqueues/q'],
        ...['exec 3<>kqueue', "echo 'add user 1' > kqueue", 'echo stat 1 > shm/ctl', 'truncate -s 1M shm/2'],
        ...['head -c 100000 /dev/zero > shm/3', 'cat info/sysctls', 'cat info/metrics', 'ls -lR .'],
        ...[
          'exec 3<>pipes/a && timeout 0.2 cat <&3',
          'exec 3<>pipes/a && head -c 300000 /dev/zero | timeout 0.2 dd bs=300000 >&3',
        ],
      ];
      const script = calls.map((call) => `( ${call} ) 2>&1 > /dev/null; echo "= $?"`).join('\n');
      for (let round = 0; round < 3; round++) {
        const { stdout, stderr } = await mount.sh(script, { timeoutMs: 30_000 });
        const said = (stdout + stderr).split('\n').filter((line) => line !== '' && !line.startsWith('='));
        const others = said.filter(
          (line) => !line.includes('Cannot allocate memory') && !line.includes('records'),
        );
        expect(others).toEqual([]);
        expect(said.filter((line) => line.includes('mkfifo'))).toHaveLength(1);
      }
      // What takes nothing works: names are shown and removed.
      expect(await mount.output('readlink pipes/link; rm pipes/link; stat -c %s shm/1')).toBe('a\n4096\n');
      await limitMemory(mount, limit, null);
      await until(async () => (await mount.sh('mkfifo pipes/b')).status === 0);
      await untilService(mount);
    },
  );

  test('S18, S60: RLIMIT_MEMLOCK: locking beyond it is EIO, wired segments are ENOMEM, also where nothing may be locked; within it all works', async () => {
    const mount = await mounted(['setpriv', '--bounding-set', '-ipc_lock']);
    const limitLocked = async (bytes: number): Promise<void> => {
      const command = ['--pid', String(mount.server.pid), `--memlock=${bytes}:65536`];
      expect((await run('prlimit', command)).status).toBe(0);
    };
    const control = await ControlFile.open(mount);
    const small = await control.id('get private 16384');
    const large = await control.id(`get private ${MIB}`);
    await control.askAll(`attach ${small}\nattach ${large}\n`);
    await limitLocked(65_536);
    expect(await control.ask(`lock ${large}`)).toBe('error EIO');
    expect(await control.ask(`lock ${small}`)).toBe('ok');
    expect(procBytes(`/proc/${mount.server.pid}/status`, 'VmLck')).toBe(16_384);
    expect(await control.ask(`unlock ${small}`)).toBe('ok');
    await limitLocked(0);
    expect(await control.ask(`lock ${small}`)).toBe('error EIO');
    await mount.setSysctl('kern.ipc.shm_use_phys', 1);
    expect(await control.ask('get private 4096')).toBe('error ENOMEM');
    await limitLocked(65_536);
    expect(await control.ask('get private 4096')).toMatch(/^ok/);
    await mount.setSysctl('kern.ipc.shm_use_phys', 0);
    await mount.endDrivers();
    await untilService(mount);
  });

  const missing = MemoryCgroup.missing();
  const why = missing === null ? '' : ` (${missing})`;
  test.skipIf(missing !== null)(
    `[SEC-18] a control group: pipes and segments are ENOMEM beyond its memory, and Linux ends nobody${why}`,
    { timeout: 120_000 },
    async () => {
      const group = MemoryCgroup.make('server', 128 * MIB) as MemoryCgroup;
      groups.push(group);
      const mount = await mounted(group.wrapper);
      await mount.setSysctl('kern.ipc.shmmax', 1024 * MIB);
      expect(await mount.sysctl('kern.ipc.maxpipekva')).toBeLessThan((128 * MIB) / 64);
      expect((await mount.sh('head -c 400M /dev/zero > shm/1', { timeoutMs: 30_000 })).stderr).toContain(
        'Cannot allocate memory',
      );
      // What could be written is a segment.
      await mount.output('rm shm/1');
      await untilService(mount);
      expect(group.killCount()).toBe(0);
      mounts.pop();
      await mount.stop();
      const filled = await TestMount.start(['--sysctl', `kern.ipc.maxpipekva=${1024 * MIB}`], {
        wrapper: group.wrapper,
      });
      mounts.push(filled);
      await expectLimitedPipes(filled);
      expect(group.killCount()).toBe(0);
    },
  );

  test('[SEC-18] a small heap: registrations are ENOMEM before V8 would end the server, and can be made again after a close', async () => {
    const mount = await mounted(['env', 'NODE_OPTIONS=--max-old-space-size=96']);
    const register = `exec 3<>kqueue; seq -f 'add user %.0f' 1 3000000 >&3; cat info/knotes > /dev/null; echo tried`;
    for (let round = 0; round < 2; round++) {
      const { stdout, stderr } = await mount.sh(register, { timeoutMs: 60_000 });
      expect(stdout).toBe('tried\n');
      expect(stderr).toContain('seq: write error: Cannot allocate memory');
      for (const line of stderr.trimEnd().split('\n')) expect(line).toContain('Cannot allocate memory');
      await until(async () => (await mount.sh('mkfifo pipes/b && rm pipes/b')).status === 0);
    }
    await untilService(mount);
  }, 180_000);
});
