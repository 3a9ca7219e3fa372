import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import { type DriverResult, O_APPEND, O_NONBLOCK, O_TRUNC, O_WRONLY } from '../support/driver-protocol.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { openEnds, openEndsNonBlocking, readPattern } from '../support/pipe-ends.ts';
import { until } from '../support/process.ts';

const EAGAIN = -11;
const MIB = 1024 * 1024;
/** What a call may take that waits for nobody: as the median of several, since a machine can be busy with other things. */
const PROMPT_MS = 100;
/** What one such call may take on the busiest machine. A call that waits for the blocked one would never return. */
const LATE_MS = 5000;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Each kind of call, as it stands in every round, answers at once. */
function expectPrompt(rounds: readonly (readonly DriverResult[])[]): void {
  for (const kind of rounds[0]!.keys()) {
    expect(median(rounds.map((round) => round[kind]!.elapsedMs))).toBeLessThan(PROMPT_MS);
  }
}

describeMount('many callers on pipes', () => {
  let mount: TestMount;
  let a: Driver;
  let b: Driver;
  let c: Driver;
  beforeAll(async () => {
    mount = await TestMount.start(['--pipe-buf', '512']);
    [a, b, c] = await Promise.all([mount.driver(), mount.driver(), mount.driver()]);
  });
  afterAll(() => mount.stop());

  test('P30, P54: records of 512 bytes from 8 writers are never mixed', async () => {
    const path = await mount.fifo('records');
    const writers = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const recordsEach = 400;
    const sources = mkdtempSync(join(tmpdir(), 'ipcfs-records-'));
    try {
      for (const writer of writers) {
        const records = Array.from({ length: recordsEach }, (_, index) =>
          String(index).padStart(6, '0').padEnd(511, writer),
        );
        writeFileSync(join(sources, writer), records.join('\n') + '\n');
      }
      // An odd block size of the reader leaves room for parts of a record, which nobody may use.
      const reader = mount.start(`exec dd if=${path} bs=1000 status=none`);
      const started = writers.map((writer) =>
        mount.start(`exec dd if=${join(sources, writer)} of=${path} bs=512 status=none`),
      );
      for (const writer of started) expect((await writer.finished()).status).toBe(0);
      expect((await reader.finished()).status).toBe(0);
      const next = new Map(writers.map((writer) => [writer, 0]));
      const records = reader.stdout.split('\n');
      expect(records.pop()).toBe('');
      expect(records.length).toBe(writers.length * recordsEach);
      for (const record of records) {
        const writer = record.at(-1)!;
        const index = next.get(writer) ?? -1;
        expect(record).toBe(String(index).padStart(6, '0').padEnd(511, writer));
        next.set(writer, index + 1);
      }
    } finally {
      rmSync(sources, { recursive: true });
    }
  });

  test('P54, P75: other calls answer at once beside a writer that waits for room', async () => {
    const path = await mount.fifo('beside-room');
    const { reader, writer } = await openEnds(a, b, path);
    await b.setNonBlocking(writer);
    expect((await b.writePattern(writer, 65536)).result).toBe(65536);
    await b.setNonBlocking(writer, false);
    const blocked = b.begin({ call: 'writePattern', fd: writer, count: 100 });
    await mount.untilBlocked(path, 'pipewr');
    const { result: fd, elapsedMs } = await c.call({
      call: 'open',
      path,
      flags: O_WRONLY | O_NONBLOCK,
    });
    expect(elapsedMs).toBeLessThan(LATE_MS);
    const refused: DriverResult[][] = [];
    for (let round = 0; round < 20; round++) {
      const opened = await c.call({ call: 'open', path, flags: O_WRONLY | O_NONBLOCK });
      const written = await c.write(opened.result, 'x');
      expect(written.result).toBe(EAGAIN);
      refused.push([opened, written, await c.close(opened.result)]);
    }
    expectPrompt(refused);
    expect(await c.write(fd, 'x')).toMatchObject({ result: EAGAIN });
    expect((await c.write(fd, 'x')).elapsedMs).toBeLessThan(LATE_MS);
    // Room comes, and the hysteresis keeps the first writer asleep.
    expect(await readPattern(a, reader, 60_000)).toEqual([60_000, 0]);
    const flags = O_WRONLY | O_APPEND | O_TRUNC;
    const appender = await c.call({ call: 'open', path, flags });
    expect(appender.elapsedMs).toBeLessThan(LATE_MS);
    const appended = await c.write(appender.result, 'appended');
    expect(appended.result).toBe(8);
    expect(appended.elapsedMs).toBeLessThan(LATE_MS);
    const stat = await c.call({ call: 'stat', path });
    expect(stat.stat!.size).toBe(5536 + 8);
    expect(stat.elapsedMs).toBeLessThan(LATE_MS);
    const chmod = await c.call({ call: 'chmod', path, mode: 0o600 });
    expect(chmod.result).toBe(0);
    expect(chmod.elapsedMs).toBeLessThan(LATE_MS);
    const rounds: DriverResult[][] = [];
    for (let round = 0; round < 20; round++) {
      const one = await c.call({ call: 'open', path, flags });
      rounds.push([
        one,
        await c.write(one.result, 'a'),
        await c.call({ call: 'stat', path }),
        await c.call({ call: 'chmod', path, mode: 0o600 }),
        await c.close(one.result),
      ]);
    }
    expectPrompt(rounds);
    expect(await mount.blockedCount(path, 'pipewr')).toBe(1);
    expect(blocked.result).toBeNull();
    expect(await readPattern(a, reader, 5536, 60_000)).toEqual([5536, 0]);
    expect((await blocked.promise).result).toBe(100);
    expect((await a.read(reader, 28)).text).toBe('appended' + 'a'.repeat(20));
    expect(await readPattern(a, reader, 1000)).toEqual([100, 0]);
  });

  test('P75: other calls answer at once beside a direct writer', async () => {
    const path = await mount.fifo('beside-direct');
    const { reader, writer } = await openEnds(a, b, path);
    const blocked = b.begin({ call: 'writePattern', fd: writer, count: 500_000 });
    await mount.untilBlocked(path, 'pipdwt');
    for (const more of [0, O_APPEND | O_TRUNC]) {
      const flags = O_WRONLY | O_NONBLOCK | more;
      const opened = await c.call({ call: 'open', path, flags });
      expect(opened.elapsedMs).toBeLessThan(LATE_MS);
      const written = await c.write(opened.result, 'x');
      expect(written.result).toBe(EAGAIN);
      expect(written.elapsedMs).toBeLessThan(LATE_MS);
      expect((await c.close(opened.result)).elapsedMs).toBeLessThan(LATE_MS);
    }
    expect((await c.call({ call: 'stat', path })).elapsedMs).toBeLessThan(LATE_MS);
    expect((await c.call({ call: 'chmod', path, mode: 0o600 })).elapsedMs).toBeLessThan(LATE_MS);
    expect(blocked.result).toBeNull();
    expect(await readPattern(a, reader, MIB)).toEqual([500_000, 0]);
    expect((await blocked.promise).result).toBe(500_000);
  });

  test('P132: a close is seen by the very next call, 10,000 times', async () => {
    const path = await mount.fifo('close-race');
    const fd = await a.open(path, 'rn');
    expect((await a.call({ call: 'closeRace', path, fd, rounds: 10_000 })).result).toBe(0);
    expect(await mount.pipe(path)).toMatchObject({ readers: 1, writers: 0, state: 'eof' });
  });

  test('P31, P64: with 2,000 readers blocked on 2,000 pipes everything else answers as before', async () => {
    const count = 2000;
    await mount.output(`mkdir pipes/crowd; cd pipes/crowd; mkfifo $(seq ${count})`);
    const crowd = mount.start(
      `cd pipes/crowd; for ((i = 1; i <= ${count}; i++)); do
         { read -r line <> $i; [ "$line" = "for $i" ] || echo "$i got $line"; } &
       done; wait; echo done`,
      { timeoutMs: 60_000 },
    );
    await until(
      async () => (await mount.table('waits')).filter((row) => row['wait'] === 'piperd').length === count,
      async () => `${(await mount.table('waits')).length} blocked readers; ${crowd.stdout}${crowd.stderr}`,
      25_000,
    );
    const path = await mount.fifo('outside');
    const { reader, writer } = await openEndsNonBlocking(a, b, path);
    const rounds: DriverResult[][] = [];
    for (let round = 0; round < 20; round++) {
      const calls = [
        await b.write(writer, 'x'),
        await a.read(reader, 10),
        await a.read(reader, 10),
        await c.call({ call: 'stat', path: 'pipes/crowd/1000' }),
        await c.call({ call: 'chmod', path: 'pipes/crowd/1000', mode: 0o600 }),
      ];
      expect(calls.map(({ result }) => result)).toEqual([1, 1, EAGAIN, 0, 0]);
      rounds.push(calls);
    }
    expectPrompt(rounds);
    expect((await mount.table('waits')).length).toBe(count);
    // Each reader gets its own line and ends.
    await mount.output(`cd pipes/crowd; for ((i = 1; i <= ${count}; i++)); do echo "for $i" > $i; done`);
    expect((await crowd.finished()).stdout).toBe('done\n');
    expect((await mount.table('waits')).length).toBe(0);
    expect((await mount.table('pipes')).filter((row) => row['state'] !== 'closed').length).toBeLessThan(10);
  }, 60_000);
});
