import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ipcfs } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

describeMount('the kqueue scripts in scripts/demo', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  /** What a demo prints, a line an element. */
  async function demo(name: string): Promise<string[]> {
    const script = fileURLToPath(new URL(`../../scripts/demo/${name}.sh`, import.meta.url));
    const finished = await run(script, [mount.directory], { cwd: '/' });
    expect(finished).toMatchObject({ status: 0, signal: null, stderr: '' });
    return finished.stdout.trimEnd().split('\n');
  }

  afterEach(async () => {
    expect(await mount.output('ls pipes kqueues')).toBe('kqueues:\n\npipes:\n');
    expect(await mount.table('kqueues')).toEqual([]);
    expect(await mount.table('waits')).toEqual([]);
  });

  test('job-queue: every job is done once, by one of three workers', async () => {
    const lines = await demo('job-queue');
    const jobs = Array.from({ length: 12 }, (_, index) => index + 1);
    expect(lines.pop()).toBe('all jobs are done');
    for (const line of lines) expect(line).toMatch(/^worker [123]: job \d+ gives \d+$/);
    const done = lines.map((line) => line.replace(/^worker \d: /, ''));
    expect(done.sort()).toEqual(jobs.map((job) => `job ${job} gives ${job * job}`).sort());
  });

  test('supervisor: a child that exits is started again, until it has nothing more to do', async (context) => {
    const probe = await ipcfs(['wait', mount.directory, '--timeout', '0', `add proc ${process.pid} exit`]);
    context.skip(probe.stdout.includes('EOPNOTSUPP'), 'this mount has no process events');
    expect(await demo('supervisor')).toEqual([
      'attempt 1: started',
      'attempt 1: exited with 2',
      'attempt 2: started',
      'attempt 2: exited with 1',
      'attempt 3: started',
      'attempt 3: exited with 0',
      'the service is done',
    ]);
  });

  test('debounced-rebuild: one rebuild a burst', async () => {
    expect(await demo('debounced-rebuild')).toEqual([
      'rebuild 1: 5 files',
      'rebuild 2: 10 files',
      'two bursts, 2 rebuilds',
    ]);
  });

  test('pipeline-deadline: the answer or the timer, whichever comes first', async () => {
    expect(await demo('pipeline-deadline')).toEqual(['quick: 100', 'slow: no answer within 200 ms']);
  });

  test('shared-queue: one shell collects what another has registered', async () => {
    const lines = await demo('shared-queue');
    // The second shell may say that it is gone before or after the first one has seen its events.
    expect(lines.filter((line) => line.startsWith('first'))).toEqual([
      'first shell: user 7 data=0 flags=clear fflags=0x2a udata=from-second',
      'first shell: timer 1 data=1 flags=clear,oneshot fflags=0 udata=from-second',
    ]);
    expect(lines).toContain('second shell: gone');
    expect(lines.at(-1)).toBe('left in the queue: 0');
  });

  test.each(['job-queue', 'supervisor', 'debounced-rebuild', 'pipeline-deadline', 'shared-queue'])(
    '%s without a mount says so',
    async (name) => {
      const script = fileURLToPath(new URL(`../../scripts/demo/${name}.sh`, import.meta.url));
      const { status, stderr } = await run(script, []);
      expect(status).toBe(1);
      expect(stderr).toContain('the mount directory is missing');
    },
  );
});
