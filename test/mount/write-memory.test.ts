import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, isOnRing, TestMount } from '../support/mount.ts';
import { type Running, until } from '../support/process.ts';

const MIB = 1024 * 1024;
const BUDGET_BYTES = 4 * MIB;
const WRITERS = 40;
/** Beside the budget: 16 KiB of each writer that is held back, spare buffers, and what a garbage collector has not collected yet. */
const ALLOWANCE_BYTES = 24 * MIB;

describeMount('the memory of writes that sleep', () => {
  let mount: TestMount;
  let server: number;
  beforeAll(async () => {
    mount = await TestMount.start(['--sysctl', `ipcfs.write_memory=${BUDGET_BYTES}`]);
    server = Number(await mount.output(`awk 'NR == 2 { print $3 }' info/version`));
    // Bytes of writer N: a counter in words of their own, so that any that are lost, doubled or from elsewhere show.
    await mount.output(`for n in $(seq ${WRITERS}); do mkfifo pipes/$n; done`);
  });
  afterAll(() => mount.stop());

  const fact = async (name: string): Promise<number> => {
    const row = (await mount.table('transport')).find((candidate) => candidate['name'] === name);
    return Number(row!['value']);
  };
  const bytesOf = (n: number): string => `yes 'bytes of writer ${n}' | head -c ${MIB} | nl | head -c ${MIB}`;
  const resident = (): number =>
    1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server}/status`, 'latin1'))![1]);

  /** One write of 1 MiB on each pipe, beside a descriptor that keeps it open and reads nothing. */
  async function blockWriters(): Promise<{ writers: Running[]; holder: Running }> {
    const holder = mount.start(
      `for n in $(seq ${WRITERS}); do exec {fd}<>pipes/$n; done; echo ready; exec sleep 1000`,
    );
    await until(() => holder.stdout.includes('ready'));
    const writers = Array.from({ length: WRITERS }, (_, index) =>
      mount.start(
        `${bytesOf(index + 1)} | dd of=pipes/${index + 1} bs=${MIB} iflag=fullblock status=none; exit $?`,
        {
          timeoutMs: 60_000,
        },
      ),
    );
    await until(async () => (await mount.table('waits')).length === WRITERS, undefined, 30_000);
    return { writers, holder };
  }

  /** Entries of a ring keep all bytes: beyond the budget their writers are charged for them. */
  async function expectBudgetKept(): Promise<void> {
    const bytes = await fact('sleeping-write-bytes');
    if (isOnRing) expect(bytes).toBe(WRITERS * MIB);
    else expect(bytes).toBeLessThanOrEqual(BUDGET_BYTES);
  }

  async function untilNothingIsKept(): Promise<void> {
    await until(async () => (await fact('sleeping-write-bytes')) === 0);
    expect(await fact('held-back-writes')).toBe(0);
  }

  test('blocked writers hold the budget and no more, and every byte of theirs arrives', async () => {
    const before = resident();
    const { writers, holder } = await blockWriters();
    await expectBudgetKept();
    if (!isOnRing) {
      expect(await fact('held-back-writes')).toBeGreaterThanOrEqual(WRITERS - BUDGET_BYTES / MIB);
      expect(resident() - before).toBeLessThan(BUDGET_BYTES + ALLOWANCE_BYTES);
    }

    // Others wait in the mount meanwhile: their calls are on the way again too, and must not be lost.
    const bystander = mount.start('mkfifo pipes/idle; exec head -c 3 pipes/idle');
    await mount.untilBlocked('pipes/idle', 'fifoor');
    // All of them are wanted by turns: whoever gets the bytes back takes the room of others.
    await mount.output(`for n in $(seq ${WRITERS}); do head -c 20000 pipes/$n > /dev/null; done`, {
      timeoutMs: 30_000,
    });
    await expectBudgetKept();
    for (let n = 1; n <= WRITERS; n++) {
      const read = `head -c ${MIB - 20_000} pipes/${n} | cmp - <(${bytesOf(n)} | tail -c +20001)`;
      expect(await mount.sh(read, { timeoutMs: 30_000 })).toMatchObject({ status: 0, stdout: '' });
    }
    for (const writer of writers) expect((await writer.finished()).status).toBe(0);
    holder.kill('SIGKILL');
    await mount.output('printf abc > pipes/idle');
    expect((await bystander.finished()).stdout).toBe('abc');
    await untilNothingIsKept();
  });

  test('readers and writers at full speed beyond the budget lose nothing', async () => {
    const sums = await mount.sh(
      `for n in $(seq 12); do
         (${bytesOf(1)}; ${bytesOf(2)}; ${bytesOf(3)}) | dd of=pipes/$n bs=${MIB} iflag=fullblock status=none &
         dd if=pipes/$n bs=96K status=none | md5sum &
       done; wait`,
      { timeoutMs: 60_000 },
    );
    const expected = await mount.output(`(${bytesOf(1)}; ${bytesOf(2)}; ${bytesOf(3)}) | md5sum`);
    expect(sums.stdout).toBe(expected.repeat(12));
    await untilNothingIsKept();
  });

  test('a signal ends a write that is held back with what was read or fits into the pipe', async () => {
    const { writers, holder } = await blockWriters();
    if (!isOnRing) expect(await fact('held-back-writes')).toBeGreaterThan(0);
    // Half of them die in the way that nobody can answer, half are asked to end.
    for (const [index, writer] of writers.entries()) writer.kill(index % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
    await Promise.all(writers.map((writer) => writer.finished()));
    await untilNothingIsKept();
    const sizes = await mount.output(
      `for n in $(seq ${WRITERS}); do stat -c %s pipes/$n; done | sort -n | uniq`,
    );
    for (const size of sizes.trim().split('\n')) expect(Number(size)).toBeLessThanOrEqual(65_536);
    holder.kill('SIGKILL');
    expect((await holder.finished()).signal).toBe('SIGKILL');
  });
});
