import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseExposition, valueOf } from '../support/exposition.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

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
});
