import { readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { ipcfs } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { RunBench } from '../support/run-bench.ts';
import { checkTraceEvents } from '../support/trace-events.ts';

describeMount('ipcfs run --trace', () => {
  const bench = new RunBench();
  afterEach(() => {
    bench.expectNothingLeft();
  });
  afterAll(() => {
    bench.clean();
  });

  const path = (name: string): string => join(bench.directory, name);

  test('FILE.json has lines with all bytes, of the command only, and can be replayed', async () => {
    const script = 'mkfifo pipes/a; cat pipes/a & { echo one; echo two; } > pipes/a; wait; sleep 0.3';
    const { status, stdout, stderr } = await bench.script(script, ['--trace', path('t.json'), '--leaks']);
    // What was left replaces the status.
    expect([status, stdout, stderr]).toEqual([4, 'one\ntwo\n', 'ipcfs: leak: pipes/a not removed\n']);
    const lines = bench
      .read('t.json')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ call: 'mknod', object: 'pipes/a', command: 'mkfifo' });
    // The run itself looks at its tables all the time.
    expect(lines.filter(({ object }) => String(object).startsWith('info/'))).toEqual([]);
    const mount = await TestMount.start();
    try {
      const reading = mount.output('mkfifo pipes/a; cat pipes/a', { timeoutMs: 30_000 });
      expect(await ipcfs(['replay', path('t.json'), mount.directory], { timeoutMs: 30_000 })).toMatchObject({
        status: 0,
      });
      expect(await reading).toBe('one\ntwo\n');
    } finally {
      await mount.stop();
    }
  });

  test('the run has the processor after its command', async () => {
    const script = `nice; until [ "$(sed 's/.*) //' /proc/$PPID/stat | cut -d ' ' -f 17)" = 10 ]; do sleep 0.01; done`;
    expect(await bench.script(script, ['--trace', path('t.json')])).toMatchObject({
      status: 0,
      stdout: `${getPriority()}\n`,
    });
  });

  test('FILE.perfetto.json and FILE.html are pictures; the deadlock that ends the run is in them', async () => {
    const script = `mkfifo pipes/a pipes/b
      bash -c 'exec 3<pipes/a 4>pipes/b; read -r x <&3' & bash -c 'exec 4>pipes/a 3<pipes/b; read -r x <&3' & wait`;
    const words =
      /deadlock: bash \d+ in read of pipes\/. and bash \d+ in read of pipes\/. wait for each other/;
    const perfetto = await bench.script(script, ['--trace', path('t.perfetto.json')]);
    expect([perfetto.status, perfetto.stderr]).toEqual([3, expect.stringMatching(words)]);
    const { traceEvents, slices } = checkTraceEvents(bench.read('t.perfetto.json'));
    expect(traceEvents.filter(({ name }) => words.test(name ?? ''))).toHaveLength(1);
    expect(slices.filter(({ name }) => name.startsWith('read pipes/'))).toHaveLength(2);
    const page = await bench.script(script, ['--trace', path('t.html')]);
    expect(page.status).toBe(3);
    const rows = readFileSync(path('t.html'), 'utf8').match(/^\["d",.*$/gm)!;
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatch(words);
  });

  test('with --deadlock off the picture has deadlocks all the same', async () => {
    const script = `mkfifo pipes/a; bash -c 'exec 3<>pipes/a; exec 4<pipes/a 5>pipes/a 3>&-; read -r x <&4' & sleep 1.5; kill $!`;
    await bench.script(script, ['--deadlock', 'off', '--trace', path('off.html')]);
    expect(bench.read('off.html')).toMatch(/^\["d",[^\n]*waits for itself/m);
  });

  test('a file that cannot be written is one line and status 1; one that is full does not stop the command', async () => {
    const nowhere = await bench.script('echo run', ['--trace', '/nowhere/t.html']);
    expect([nowhere.status, nowhere.stdout, nowhere.stderr]).toEqual([
      1,
      '',
      'ipcfs: the trace cannot be written to /nowhere/t.html (ENOENT): there is no such directory\n',
    ]);
    const full = await bench.script('mkfifo pipes/a; sleep 0.2; echo run; exit 7', ['--trace', '/dev/full']);
    expect([full.status, full.stdout, full.stderr]).toEqual([
      1,
      'run\n',
      'ipcfs: the trace cannot be written to /dev/full (ENOSPC): no space is left: write it elsewhere\nipcfs: the command itself ended with 7\n',
    ]);
  });
});
