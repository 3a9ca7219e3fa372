import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

/** Each line is read by a thread of its own, which ends. */
const program = `
import os, threading, time
pipes = [os.open('pipes/jobs', os.O_RDONLY) for _ in range(3)]
for pipe in pipes:
    thread = threading.Thread(target=os.read, args=(pipe, 100))
    thread.start()
    thread.join()
print('read', flush=True)
time.sleep(100)
`;

describeMount('lines of a process with threads', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  test('go back into the pipe when it is killed, also those that a thread has read which has ended', async () => {
    await mount.output('touch pipes/jobs; echo "set pipes/jobs hold lines" > ctl; seq 3 > pipes/jobs');
    const worker = mount.start(`exec python3 -c "${program}"`);
    await until(() => worker.stdout === 'read\n');
    expect(await mount.output('stat -c %s pipes/jobs')).toBe('0\n');
    worker.kill('SIGKILL');
    await worker.finished();
    expect(await mount.output('stat -c %s pipes/jobs')).toBe('6\n');
    expect(await mount.output('head -n 3 pipes/jobs')).toBe('1\n2\n3\n');
  });
});
