import { afterAll, beforeAll, expect, test } from 'vitest';
import { HELD } from '../../scripts/soak/samples.ts';
import { FIONREAD, LINUX_POLLIN } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

interface MetricFamily {
  readonly name: string;
  readonly metrics: readonly { readonly value?: number }[];
}

/** Calls that wait until they are killed, with what info/waits says of them. */
const BLOCKED: readonly (readonly [what: string, wait: string, script: string])[] = [
  ['open for reading', 'fifoor', 'exec cat pipes/v'],
  ['open for writing', 'fifoow', 'echo x > pipes/v'],
  ['read', 'piperd', 'exec 3<>pipes/v; exec cat <&3'],
  ['small write', 'pipewr', 'exec 3<>pipes/v; while :; do echo a line; done >&3'],
  ['direct write', 'pipdwt', 'exec 3<>pipes/v; exec dd if=/dev/zero bs=30000 >&3'],
  ['large write', 'pipdwt', 'exec 3<>pipes/v; exec dd if=/dev/zero bs=5M >&3'],
  [
    'read of a kqueue',
    'kqread',
    'exec 3<>kqueue; echo "add read pipes/v" >&3; echo "add timer 1 data=9999999" >&3; cat <&3',
  ],
  ['read of a named kqueue', 'kqread', 'exec 3<>kqueues/v; echo "add vnode pipes/v write" >&3; cat <&3'],
  ['open of a segment in creation', 'shmwait', 'exec 3>shm/0x77; head -c 100000 /dev/zero >&3; cat shm/0x77'],
];

/** Calls that come one after the other; the kill hits any of them. */
const BUSY: readonly (readonly [what: string, script: string])[] = [
  ['streams', 'while :; do cat /dev/zero > pipes/v & cat pipes/v > /dev/null; done'],
  ['opens and closes', 'while :; do : 3<>pipes/v; done'],
  [
    'writes to a kqueue',
    'exec 3<>kqueue; while :; do echo "add user 1 clear"; echo "modify user 1 trigger"; echo "delete user 1"; done >&3',
  ],
  ['new kqueues', 'while :; do echo "add timer 1 data=1ms" > kqueue; done'],
  [
    'events of processes',
    'exec 3<>kqueue; while :; do echo "add proc $$ fork exit" >&3; (:); head -c 1 <&3 >/dev/null; done',
  ],
  ['segments', 'while :; do truncate -s 200K shm/0x77; head -c 100K shm/0x77 >/dev/null; rm shm/0x77; done'],
  [
    'a conversation',
    'exec 3<>shm/ctl; while :; do echo "get 0x77 64K create" >&3; read -r ok id <&3; echo "attach $id" >&3; read -r ok <&3; echo "rmid $id" >&3; read -r ok <&3; done',
  ],
  ['tables', 'while :; do cat $(find info -maxdepth 1 -type f) > /dev/null; done'],
  ['directories', 'while :; do ls -lR pipes info; done'],
  ['names', 'cd pipes; while :; do mkfifo w; mv w x; ln x w; rm x w; mkdir w; rmdir w; done'],
  [
    'pairs',
    'while :; do mkdir pairs/v; exec 3<>pairs/v/0 4<>pairs/v/1; echo x >&3; exec 3>&- 4>&-; rmdir pairs/v; done',
  ],
  ['tunables', 'while :; do echo 8192 > sysctl/kern/ipc/pipe_mindirect; done'],
];

const ROUNDS = 3;
const LONGEST_LIFE_MS = 60;

describeMount('clients that are killed with SIGKILL', () => {
  const seed = seedFromEnvironment();
  const random = new Random(seed);
  let mount: TestMount;
  let start: Record<string, number>;

  async function held(): Promise<Record<string, number>> {
    const families = JSON.parse(await mount.output('cat info/metrics.json')) as MetricFamily[];
    const transport = await mount.table('transport');
    const counts = HELD.map((name) => {
      const family = families.find((candidate) => candidate.name === name)!;
      return [name, family.metrics.reduce((sum, { value }) => sum + value!, 0)] as const;
    });
    const kept = transport
      .filter(({ name }) => name === 'sleeping-write-bytes' || name === 'held-back-writes')
      .map(({ name, value }) => [name as string, Number(value)] as const);
    return Object.fromEntries([...counts, ...kept]);
  }

  /** Removes what a victim may have left by its name, and waits for all else to be as it was. */
  async function expectNothingLeft(what: string): Promise<void> {
    const remains = 'pipes/v pipes/w pipes/x kqueues/v shm/0x77';
    await mount.output(`rm -rf ${remains}; if [ -e pairs/v ]; then rmdir pairs/v; fi`);
    let seen: Record<string, number> = {};
    await until(
      async () => {
        seen = await held();
        return JSON.stringify(seen) === JSON.stringify(start);
      },
      () => `${what}, seed ${seed}: ${JSON.stringify(seen)} instead of ${JSON.stringify(start)}`,
    );
  }

  beforeAll(async () => {
    mount = await TestMount.start();
    start = await held();
  });
  afterAll(() => mount.stop());

  test('the counts that are compared see what a client holds', async () => {
    await mount.output('mkfifo pipes/v');
    const victim = mount.start('exec 3<>pipes/v; exec dd if=/dev/zero bs=500K count=1 >&3');
    await mount.untilBlocked('pipes/v', 'pipdwt');
    const seen = await held();
    expect(seen['ipcfs_open_files']).toBeGreaterThan(start['ipcfs_open_files']!);
    expect(seen['ipcfs_blocked_calls']).toBe(1);
    expect(seen['ipcfs_pipe_buffer_bytes']).toBeGreaterThan(0);
    expect(seen['sleeping-write-bytes']).toBeGreaterThan(0);
    victim.kill('SIGKILL');
    await victim.finished();
    await expectNothingLeft('a direct write');
  });

  test.each(BLOCKED)('in a blocked %s', async (what, wait, script) => {
    for (let round = 0; round < ROUNDS; round++) {
      await mount.output('mkfifo pipes/v; touch kqueues/v');
      const victim = mount.start(script);
      await until(
        async () => (await mount.table('waits')).some((row) => row['wait'] === wait),
        () => `a ${what} that waits for ${wait}: ${victim.stderr}`,
      );
      victim.kill('SIGKILL');
      await victim.finished();
      await expectNothingLeft(what);
    }
  });

  test.each(BUSY)('in the middle of %s', async (what, script) => {
    for (let round = 0; round < ROUNDS; round++) {
      await mount.output('mkfifo pipes/v');
      const victim = mount.start(script);
      await new Promise((resolve) => setTimeout(resolve, 5 + random.below(LONGEST_LIFE_MS)));
      expect([what, victim.isFinished]).toEqual([what, false]);
      victim.kill('SIGKILL');
      await victim.finished();
      await expectNothingLeft(what);
    }
  });

  test('in a poll, an ioctl, and with a segment mapped', async () => {
    for (const isMapped of [true, false]) {
      await mount.output('mkfifo pipes/v; truncate -s 1M shm/0x77');
      const driver = await mount.driver();
      const pipe = await driver.open('pipes/v', 'rw');
      const segment = await driver.open('shm/0x77', 'rw');
      if (isMapped) {
        await driver.map(segment, 1_000_000);
        await driver.close(segment);
        await mount.output('rm shm/0x77');
        driver.begin({ call: 'fill', mapping: 0, byte: 1 });
        driver.begin({ call: 'poll', fds: [{ fd: pipe, events: LINUX_POLLIN }], timeoutMs: 60_000 });
        await driver.untilPolling();
      } else {
        for (let call = 0; call < 2000; call++)
          driver.begin({ call: 'ioctl', fd: pipe, request: FIONREAD, argument: 0 });
      }
      await mount.endDrivers();
      await expectNothingLeft(isMapped ? 'poll and mapping' : 'ioctl');
    }
  });
});
