import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';
import { ControlFile } from '../support/shm-files.ts';

const blockProgram = fileURLToPath(new URL('../../dist/scripts/bench/programs/block.js', import.meta.url));
/** Calls that wait: IPCFS_CROWD_CALLS=10000 for the whole crowd. */
const CROWD_CALLS = Number(process.env['IPCFS_CROWD_CALLS'] ?? 1000);
const CALLS_PER_PROCESS = Math.min(1000, CROWD_CALLS / 2);
const CROWD_TIMEOUT_MS = 120_000;
/** Nobody waits longer beside them. */
const PROMPT_MS = 1000;

describeMount(`faults on demand and ${CROWD_CALLS} calls that wait`, () => {
  let mount: TestMount;
  let control: ControlFile;
  beforeAll(async () => {
    mount = await TestMount.start();
    control = await ControlFile.open(mount, {}, 'ctl');
    await mount.fifo('crowd');
  });
  afterAll(() => mount.stop());

  test(
    'a stall holds all of them, others are served and broken meanwhile, and its removal lets all go on',
    async () => {
      const stall = await control.id('fault add pipes/crowd read stall');
      const crowd: Running[] = [];
      try {
        for (let calls = 0; calls < CROWD_CALLS; calls += CALLS_PER_PROCESS) {
          const script = `exec '${process.execPath}' '${blockProgram}' $(yes pipes/crowd | head -n ${CALLS_PER_PROCESS})`;
          const env = { UV_THREADPOOL_SIZE: String(CALLS_PER_PROCESS) };
          crowd.push(mount.start(script, { env, timeoutMs: 2 * CROWD_TIMEOUT_MS }));
        }
        await until(
          async () => Number((await mount.table('faults'))[0]!['blocked']) === CROWD_CALLS,
          async () => JSON.stringify(await mount.table('faults')),
          CROWD_TIMEOUT_MS,
        );
        const startMs = performance.now();
        const short = await control.id('fault add pipes/other read short=1');
        const script = 'exec 3<>pipes/other; printf abcd >&3; dd bs=9 count=1 status=none <&3';
        expect(await mount.output(script)).toBe('a');
        expect(await control.ask(`fault remove ${short}`)).toBe('ok');
        expect(performance.now() - startMs).toBeLessThan(PROMPT_MS);
        crowd[0]!.kill('SIGKILL');
        await until(async () => {
          const { blocked } = (await mount.table('faults'))[0]!;
          return Number(blocked) === CROWD_CALLS - CALLS_PER_PROCESS;
        });
        expect(await control.ask(`fault remove ${stall}`)).toBe('ok');
        await until(
          async () => (await mount.blockedCount('pipes/crowd', 'piperd')) === CROWD_CALLS - CALLS_PER_PROCESS,
          undefined,
          CROWD_TIMEOUT_MS,
        );
      } finally {
        for (const running of crowd) running.kill('SIGKILL');
        await until(async () => (await mount.table('waits')).length === 0, undefined, CROWD_TIMEOUT_MS);
      }
    },
    2 * CROWD_TIMEOUT_MS,
  );

  test('kill -9 of who reads the answers: what was added stays, what was not read is gone, others go on', async () => {
    const asking = mount.start(
      "exec 3<>ctl; for n in {1..500}; do echo 'fault add pipes/* read short=1 count=1' >&3 || break; done; echo full; exec sleep 60",
      { timeoutMs: 60_000 },
    );
    const reading = mount.start(
      "exec 3<>ctl; printf 'fault list\\nfault li' >&3; head -c 1 <&3 > /dev/null; echo read; exec sleep 60",
      { timeoutMs: 60_000 },
    );
    await until(() => asking.stdout === 'full\n' && reading.stdout === 'read\n');
    asking.kill('SIGKILL');
    reading.kill('SIGKILL');
    await Promise.all([asking.finished(), reading.finished()]);
    await until(async () => {
      const open = (await mount.table('handles')).filter((row) => row['path'] === 'ctl');
      return open.length === 1;
    });
    const [count] = (await control.ask('fault remove all')).split(' ').slice(1);
    expect(Number(count)).toBe(500);
    expect(await mount.table('faults')).toEqual([]);
  });
});
