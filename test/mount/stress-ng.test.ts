import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

const isMissing = spawnSync('stress-ng', ['--version'], { stdio: 'ignore' }).status !== 0;

/** Where CI is set a missing program fails, as a missing /dev/fuse does. */
const describeStress = isMissing && process.env['CI'] === undefined ? describe.skip : describeMount;

describeStress(`stress-ng in pipes/${isMissing ? ' (there is no stress-ng)' : ''}`, () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('P44, P64: --fifo --verify: what several readers of several pipes get is what was written', async () => {
    const options = '--fifo 2 --fifo-readers 4 --verify --timeout 5 --temp-path pipes';
    const { status, stdout, stderr } = await mount.sh(`stress-ng ${options} 2>&1`, { timeoutMs: 25_000 });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/successful run completed/);
    expect(stdout).not.toMatch(/fail|error/i);
    // It was here, and has left nothing.
    const written = await mount.output(`grep '^ipcfs_written_bytes_total{engine="pipe"}' info/metrics`);
    expect(Number(written.split(' ')[1])).toBeGreaterThan(1000);
    expect(await mount.table('pipes')).toEqual([]);
    expect((await mount.table('handles')).length).toBe(1);
  });
});
