import { afterAll, beforeAll, expect, test } from 'vitest';
import { brokenBounds, HostileMount } from '../../support/hostile.ts';
import { describeMount } from '../../support/mount.ts';
import { until } from '../../support/process.ts';

const MIB = 1024 * 1024;

/** Bounds of time that the machine does not break. */
const anyTime = { p99Ms: 1000, maxMs: 10_000 };

const elapsed = (timeMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, timeMs));

describeMount('the bounds of attacks', () => {
  let hostile: HostileMount;
  beforeAll(async () => {
    hostile = await HostileMount.start();
  });
  afterAll(() => hostile.stop());

  /** Stops the server for `stopMs` and lets it run for `runMs`, so many times. */
  async function stopServer(stopMs: number, runMs: number, times: number): Promise<void> {
    for (let n = 0; n < times; n++) {
      process.kill(hostile.serverPid, 'SIGSTOP');
      await elapsed(stopMs);
      process.kill(hostile.serverPid, 'SIGCONT');
      await elapsed(runMs);
    }
  }

  test('a server that nobody attacks keeps them', async () => {
    const attack = (): Promise<unknown> =>
      hostile.attack('for n in {1..100}; do cat info/version > /dev/null; done');
    expect(await hostile.brokenBy(attack)).toEqual([]);
  });

  test('a stall that does not come again breaks no bound, one that does breaks it', async () => {
    let rounds = 0;
    const once = (): Promise<void> => stopServer(rounds++ === 0 ? 300 : 1, 200, 1);
    expect(await hostile.brokenBy(once, { p99Ms: anyTime.p99Ms })).toEqual([]);
    expect(rounds).toBeGreaterThan(1);
    expect(await hostile.brokenBy(() => stopServer(300, 200, 1), { p99Ms: anyTime.p99Ms })).toHaveLength(1);
  });

  test('one long stall breaks the bound of the longest call, and of no other', async () => {
    const damage = await hostile.during(async () => {
      await elapsed(1000);
      await stopServer(300, 1000, 1);
    });
    expect(brokenBounds(damage, { p99Ms: anyTime.p99Ms })).toEqual([
      expect.stringMatching(/^the longest call of another user: \d/),
    ]);
  });

  test('many short stalls break the bound of 99 % of the calls', async () => {
    const damage = await hostile.during(() => stopServer(30, 10, 60));
    expect(brokenBounds(damage, { maxMs: anyTime.maxMs })).toEqual([
      expect.stringMatching(/^99 % of the calls of another user: \d/),
    ]);
  });

  test('memory that an attacker makes the server take breaks the bound of memory, also when it is given back', async () => {
    const beforeBytes = hostile.residentBytes();
    const script = `cd pipes; mkfifo {1..100}; for n in {1..100}; do exec {fd}<>$n; printf '%060000d' 0 >&$fd; done`;
    const damage = await hostile.during(() => hostile.attack(script));
    expect(brokenBounds(damage, { residentBytes: beforeBytes + 3 * MIB, ...anyTime })).toEqual([
      expect.stringMatching(/^the server had \d+ MiB resident$/),
    ]);
  });

  test('calls that fail, and calls that are not made, break bounds', async () => {
    const failing = await hostile.during(async () => {
      await hostile.mount.output('mv pipes/victim/pipe pipes/victim/moved');
      await elapsed(200);
      await hostile.mount.output('mv pipes/victim/moved pipes/victim/pipe');
    });
    expect(brokenBounds(failing, anyTime)).toEqual(['calls of another user failed with ENOENT']);
    const idle = await hostile.during(() => Promise.resolve());
    expect(brokenBounds(idle, { calls: 100_000, ...anyTime })).toEqual([
      expect.stringMatching(/^another user made \d+ calls$/),
    ]);
  });

  test('a server that ends, and calls that it never answers, break bounds', async () => {
    const own = await HostileMount.start();
    const damage = await own.during(async () => {
      process.kill(own.serverPid, 'SIGKILL');
      await until(() => own.mount.server.isFinished);
    });
    expect(brokenBounds(damage)).toContain('the server ended');
    await expect(own.stop()).rejects.toThrow('SIGKILL');
  });
});
