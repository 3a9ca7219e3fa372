import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IoRing } from '../../src/host/linux/io/io-ring.ts';
import { parseExposition, valueOf } from '../support/exposition.ts';
import { describeMount, isOnRing, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

const MIB = 1024 * 1024;
const probe = IoRing.open(1);
if (typeof probe !== 'number') probe.close();
const canSendInBackground = !isOnRing && typeof probe !== 'number' && availableParallelism() > 1;

describeMount('writes of many bytes', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function metric(name: string): Promise<number> {
    return valueOf(parseExposition(await mount.output('cat info/metrics')), name, {});
  }

  test.skipIf(availableParallelism() < 2)('the server goes to the processor of the writer', async () => {
    const server = await mount.output(`awk 'NR == 2 { print $3 }' info/version`);
    const processors = `grep -h Cpus_allowed_list: /proc/${server.trim()}/task/*/status | sort | uniq -c`;
    const before = await mount.output(processors);
    await mount.output('mkfifo pipes/bulk');
    // Two processors of those that may be used; the writer is held on one of them, then on the other.
    const writer = mount.start(
      `dd if=pipes/bulk of=/dev/null bs=64K status=none &
       set -- $(taskset -cp $$ | sed 's/.*: //; s/[-,]/ /g')
       dd if=/dev/zero of=pipes/bulk bs=64K status=none & writer=$!
       while kill -0 $writer; do
         for processor in $1 $2; do taskset -cp $processor $writer > /dev/null; sleep 0.1; done
       done`,
      { timeoutMs: 60_000 },
    );
    await until(async () => (await metric('ipcfs_loop_moves_total')) >= 3, undefined, 30_000);
    writer.kill('SIGKILL');
    await writer.finished();
    expect(await mount.output(processors)).toBe(before);
  });

  describe.skipIf(!canSendInBackground)('large answers, which the kernel sends by itself', () => {
    const bytesOf = (n: number): string => `yes 'writer ${n} has written this' | nl | head -c ${64 * MIB}`;

    test('bring every byte', async () => {
      const before = await metric('ipcfs_background_answers_total');
      const transfer = (n: number): Promise<string> =>
        mount.output(
          `mkfifo pipes/large${n}
           ${bytesOf(n)} | dd of=pipes/large${n} bs=1M iflag=fullblock status=none &
           dd if=pipes/large${n} bs=1M status=none | md5sum; wait`,
          { timeoutMs: 60_000 },
        );
      const expected = await mount.output([1, 2, 3].map((n) => `${bytesOf(n)} | md5sum`).join('; '));
      expect((await Promise.all([1, 2, 3].map(transfer))).join('')).toBe(expected);
      expect(await metric('ipcfs_background_answers_total')).toBeGreaterThanOrEqual(before + 100);
    });

    test('may find their readers killed, which holds nothing', async () => {
      await mount.output(
        `mkfifo pipes/killed
         for after in $(seq 0 40); do
           dd if=/dev/zero of=pipes/killed bs=1M count=2000 status=none & writer=$!
           dd if=pipes/killed of=/dev/null bs=1M status=none & reader=$!
           until [ "$(stat -c %s pipes/killed)" -gt 0 ]; do kill -0 $writer || break; done
           sleep 0.00$after
           kill -9 $reader; wait $reader $writer || true
         done 2> /dev/null`,
        { timeoutMs: 60_000 },
      );
      const facts = await mount.table('transport');
      const fact = (name: string): unknown => facts.find((row) => row['name'] === name)?.['value'];
      expect([fact('sleeping-write-bytes'), fact('held-back-writes')]).toEqual([0, 0]);
      expect(await mount.table('waits')).toEqual([]);
    });
  });
});
