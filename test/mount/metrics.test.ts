import { afterAll, beforeAll, expect, test } from 'vitest';
import { EAGAIN } from '../../src/kern/errno.ts';
import { type ExposedFamily, parseExposition, valueOf } from '../support/exposition.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { until } from '../support/process.ts';

type Families = ReadonlyMap<string, ExposedFamily>;

describeMount('info/metrics', () => {
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(() => mount.stop());

  async function metrics(): Promise<Families> {
    return parseExposition(await mount.output('cat info/metrics'));
  }

  /** How much a metric grows while a script runs. */
  async function growth(
    script: () => Promise<unknown>,
    name: string,
    labels: Record<string, string> = {},
  ): Promise<number> {
    const before = valueOf(await metrics(), name, labels);
    await script();
    return valueOf(await metrics(), name, labels) - before;
  }

  test('operations, their errors and their bytes', async () => {
    const driver = await mount.driver();
    const fd = await driver.open(await mount.fifo('bytes'), 'rwn');
    const before = await metrics();
    await driver.writePattern(fd, 1000);
    await driver.write(fd, 'abc');
    await driver.read(fd, 2000);
    expect((await driver.read(fd, 1)).result).toBe(-EAGAIN);
    const after = await metrics();
    const grown = (name: string, labels: Record<string, string>): number =>
      valueOf(after, name, labels) - valueOf(before, name, labels);
    expect(grown('ipcfs_operations_total', { operation: 'write' })).toBe(2);
    expect(grown('ipcfs_operation_duration_seconds_count', { operation: 'write' })).toBe(2);
    expect(grown('ipcfs_written_bytes_total', { engine: 'pipe' })).toBe(1003);
    expect(grown('ipcfs_read_bytes_total', { engine: 'pipe' })).toBe(1003);
    expect(grown('ipcfs_operation_errors_total', { operation: 'read', errno: 'EAGAIN' })).toBe(1);
    expect(grown('ipcfs_read_bytes_total', { engine: 'tree' })).toBeGreaterThan(1000);
    await driver.close(fd);
  });

  test('objects of every kind', async () => {
    const driver = await mount.driver();
    const script = async (): Promise<void> => {
      await mount.output('mkfifo pipes/o1; ln pipes/o1 pipes/o2; mkdir pairs/o; truncate -s 5000 shm/0x77');
      const queue = await driver.open('kqueue', 'rw');
      await driver.write(queue, 'add timer 1 data=1m\nadd user 1 clear\nmodify user 1 trigger\n');
      await driver.read(queue, 1000);
    };
    const before = await metrics();
    await script();
    const after = await metrics();
    const grown = Object.fromEntries(
      [
        'pipes',
        'pairs',
        'kqueues',
        'knotes',
        'timers',
        'segments',
        'segment_bytes',
        'kqueue_events_total',
      ].map((name) => [name, valueOf(after, `ipcfs_${name}`) - valueOf(before, `ipcfs_${name}`)]),
    );
    expect(grown).toEqual({
      pipes: 1,
      pairs: 1,
      kqueues: 1,
      knotes: 2,
      timers: 1,
      segments: 1,
      segment_bytes: 8192,
      kqueue_events_total: 1,
    });
    // The queue and info/metrics itself.
    await until(
      async () => valueOf(await metrics(), 'ipcfs_open_files') === 2,
      () => 'two open files',
    );
    expect(valueOf(after, 'ipcfs_pipe_buffer_limit_bytes')).toBe(await mount.sysctl('kern.ipc.maxpipekva'));
    expect(valueOf(after, 'ipcfs_pipe_buffer_bytes')).toBe(await mount.sysctl('kern.ipc.pipekva'));
    expect(valueOf(after, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    await mount.output('rm pipes/o1 pipes/o2 shm/0x77; rmdir pairs/o');
    await mount.endDrivers();
  });

  test('a call that blocks counts as blocked, and its time apart', async () => {
    const open = { operation: 'open' };
    const grown = await growth(
      async () => {
        await mount.fifo('blocked');
        const reader = mount.start('exec cat pipes/blocked');
        await mount.untilBlocked('pipes/blocked', 'fifoor');
        expect(valueOf(await metrics(), 'ipcfs_blocked_calls', open)).toBe(1);
        reader.kill('SIGKILL');
        await reader.finished();
        await until(
          async () => valueOf(await metrics(), 'ipcfs_blocked_calls', open) === 0,
          () => 'no open that is blocked',
        );
      },
      'ipcfs_operation_blocked_seconds_count',
      open,
    );
    expect(grown).toBe(1);
  });

  test('the JSON says the same', async () => {
    const text = await metrics();
    const json = JSON.parse(await mount.output('cat info/metrics.json')) as {
      name: string;
      type: string;
      help: string;
      metrics: { labels: Record<string, string>; value?: number; count?: number }[];
    }[];
    expect(json.map(({ name, type, help }) => [name, type, help])).toEqual(
      [...text.values()].map(({ name, type, help }) => [name, type, help]),
    );
    const operations = json.find(({ name }) => name === 'ipcfs_operations_total')!.metrics;
    const write = operations.find(({ labels }) => labels['operation'] === 'write')!;
    expect(write.value).toBe(valueOf(text, 'ipcfs_operations_total', { operation: 'write' }));
    const durations = json.find(({ name }) => name === 'ipcfs_operation_duration_seconds')!.metrics;
    for (const { labels, count } of durations) {
      if (labels['operation'] !== 'write') continue;
      expect(count).toBe(valueOf(text, 'ipcfs_operation_duration_seconds_count', labels));
    }
  });

  test('everybody may read it, in small pieces, and it is one state', async () => {
    const text = await mount.output('dd if=info/metrics bs=7 status=none', { uid: 65534, gid: 65534 });
    expect(parseExposition(text).has('ipcfs_build_info')).toBe(true);
  });
});
