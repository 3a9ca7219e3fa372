import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileC, whyNoCompiler } from '../support/c-program.ts';
import { ipcfs, ipcfsCommand } from '../support/cli.ts';
import { describeMount, isOnRing, TestMount } from '../support/mount.ts';
import { run, until } from '../support/process.ts';
import { checkTraceEvents } from '../support/trace-events.ts';

const LONG = { timeoutMs: 60_000 };
const reasonNotC = whyNoCompiler('/usr/include/pthread.h');
const WAITING = 10_000;
/** So many threads read one byte each. */
const WAITERS = `
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int pipe_fd;
static void *take(void *unused) { char byte; return read(pipe_fd, &byte, 1) == 1 ? NULL : (void *)1; }
int main(int argc, char **argv) {
  int count = atoi(argv[2]), failed = 0;
  pthread_t *threads = calloc(count, sizeof *threads);
  pthread_attr_t attributes;
  pipe_fd = open(argv[1], O_RDWR);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 32768);
  for (int i = 0; i < count; i++) if (pthread_create(&threads[i], &attributes, take, NULL) != 0) return 2;
  puts("started"); fflush(stdout);
  for (int i = 0; i < count; i++) { void *result; pthread_join(threads[i], &result); failed |= result != NULL; }
  return failed;
}
`;

/** What a page has between its head and its tail. */
function rowsOf(file: string): unknown[][] {
  const page = readFileSync(file, 'utf8');
  expect(page).toMatch(/\n<\/script>\n<\/body>\n<\/html>\n$/);
  const data = page.slice(
    page.lastIndexOf('id="data">') + 'id="data">'.length,
    page.lastIndexOf('</script>'),
  );
  return data
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row) as unknown[]);
}

const events = (file: string): ReturnType<typeof checkTraceEvents> =>
  checkTraceEvents(readFileSync(file, 'utf8'));

describeMount('the pictures of ipcfs trace', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-pictures-'));
  const file = join(scratch, 'out');
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(scratch, { recursive: true });
  });

  /** Starts `ipcfs trace OPTION FILE DIR` and waits until it has subscribed. */
  async function start(option: string, to = file, of = mount): Promise<ReturnType<TestMount['start']>> {
    const tracing = mount.start(`exec ${ipcfsCommand} trace ${option} '${to}' '${of.directory}'`, LONG);
    await until(async () => (await of.table('handles')).some(({ path }) => path === 'info/trace.json'));
    return tracing;
  }

  test('--perfetto of a command has its processes, arrows from writes to reads, counters and blocked time', async () => {
    const script = `mkfifo pipes/p; cat pipes/p > /dev/null & exec 3> pipes/p; sleep 0.1; head -c 100000 /dev/zero >&3; exec 3>&-; wait; rm pipes/p; exit 7`;
    const { status } = await ipcfs(
      ['trace', '--perfetto', file, mount.directory, '--', 'bash', '-c', script],
      {
        ...LONG,
        cwd: mount.directory,
      },
    );
    expect(status).toBe(7);
    const { traceEvents, slices } = events(file);
    const names = traceEvents.filter(({ name }) => name === 'process_name').map(({ args }) => args!['name']);
    expect(names).toEqual(expect.arrayContaining(['pipes', 'cat', 'head', 'mkfifo']));
    const moved = traceEvents.filter(({ ph }) => ph === 's').map(({ args }) => Number(args!['bytes']));
    expect(moved.reduce((sum, bytes) => sum + bytes, 0)).toBe(100_000);
    expect(slices.some(({ name, begin, end }) => name === 'blocked' && end - begin > 50_000)).toBe(true);
    const fills = traceEvents.filter(({ ph }) => ph === 'C');
    expect(fills.map(({ args }) => args!['bytes'])).toContain(0);
    expect(Math.max(...fills.map(({ args }) => Number(args!['bytes'])))).toBeGreaterThan(0);
  });

  test('--html of a command has its calls, and a deadlock with who could end it', async () => {
    const stuck = (one: string, other: string): string =>
      `bash -c 'exec 3<pipes/${one} 4>pipes/${other}; read -r x <&3' &`;
    const script = `mkfifo pipes/d1 pipes/d2; ${stuck('d1', 'd2')} A=$!; bash -c 'exec 4>pipes/d1 3<pipes/d2; read -r x <&3' & B=$!
      until grep -q '^."d"' '${file}'; do sleep 0.05; done; kill $A $B; wait; rm pipes/d1 pipes/d2`;
    const { status } = await ipcfs(['trace', '--html', file, mount.directory, '--', 'bash', '-c', script], {
      ...LONG,
      cwd: mount.directory,
    });
    expect(status).toBe(0);
    const rows = rowsOf(file);
    const [deadlock, ...others] = rows.filter(([type]) => type === 'd');
    expect(others).toEqual([]);
    expect(deadlock![2]).toMatch(
      /^deadlock: bash \d+ in read of pipes\/d1 and bash \d+ in read of pipes\/d2 wait for each other/,
    );
    const calls = deadlock![3] as [process: number, thread: number, ...unknown[]][];
    const pids = calls.map(([process]) => process);
    expect(new Set(pids).size).toBe(2);
    expect(calls.map((call) => call.at(-1))).toEqual([[pids[1]], [pids[0]]]);
    expect(rows.at(-1)![0]).toBe('z');
    // Its own looks at the tables are no part of the picture.
    expect(rows.filter(([type, text]) => type === 's' && String(text).startsWith('info/'))).toEqual([]);
  });

  test.each([
    ['--perfetto', 'SIGINT', 130],
    ['--html', 'SIGTERM', 143],
  ] as const)('%s ends with %s, and has everything until then', async (option, signal, wanted) => {
    const tracing = await start(option);
    await mount.output('mkfifo pipes/last; rm pipes/last');
    process.kill(tracing.pid, signal);
    expect(await tracing.finished()).toMatchObject({ status: wanted, stdout: '', stderr: '' });
    const text = readFileSync(file, 'latin1');
    expect(text).toContain('pipes/last');
    if (option === '--perfetto')
      expect(events(file).traceEvents.map(({ name }) => name)).toContain('unlink pipes/last');
    else expect(rowsOf(file).at(-1)![0]).toBe('z');
  });

  test.each(['--perfetto', '--html'])(
    '%s is whole after kill -9 of the command and of the mount',
    async (option) => {
      const read = (): unknown => (option === '--perfetto' ? events(file) : rowsOf(file));
      const tracing = await start(option);
      await mount.output('mkfifo pipes/k; rm pipes/k');
      await until(() => readFileSync(file, 'latin1').includes('unlink'));
      tracing.kill('SIGKILL');
      await tracing.finished();
      read();
      const own = await TestMount.start();
      const second = await start(option, file, own);
      await own.output('mkfifo pipes/own');
      await until(() => readFileSync(file, 'latin1').includes('pipes/own'));
      await own.stop();
      const { status, stderr } = await second.finished();
      expect([status, stderr]).toEqual([
        1,
        `ipcfs: the mount on ${own.directory} has ended: mount it again\n`,
      ]);
      read();
      expect(readFileSync(file, 'latin1')).toContain('pipes/own');
    },
  );

  test('a file system that is full is one line and status 1, and what fits is whole', async () => {
    const small = join(scratch, 'small');
    mkdirSync(small);
    expect(await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'ipcfs-test', small])).toMatchObject({
      status: 0,
    });
    try {
      for (const option of ['--perfetto', '--html']) {
        const target = join(small, 'picture');
        const tracing = await start(option, target);
        const load = mount.start('exec 3<>pipes/full; while echo x >&3; do read -r x <&3; done', LONG);
        const { status, stderr } = await tracing.finished();
        load.kill('SIGKILL');
        await load.finished();
        expect([status, stderr]).toEqual([
          1,
          `ipcfs: the trace cannot be written to ${target} (ENOSPC): no space is left: write it elsewhere\n`,
        ]);
        if (option === '--perfetto') expect(events(target).slices.length).toBeGreaterThan(100);
        else expect(rowsOf(target).length).toBeGreaterThan(100);
        rmSync(target);
      }
    } finally {
      await run('umount', ['-l', small]);
    }
  });

  test('a pipe gets the end once', async () => {
    const script = `${ipcfsCommand} trace --perfetto /dev/stdout . -- mkfifo pipes/piped | cat > '${file}'; rm pipes/piped`;
    await mount.output(script, LONG);
    expect(events(file).slices.map(({ name }) => name)).toContain('mknod pipes/piped');
  });

  test('calls that the trace has lost are counted: what is in the picture, and they, are all', async () => {
    const calls = Number(process.env['IPCFS_TRACE_CALLS'] ?? 20_000);
    const program = `const { openSync, readSync, writeSync } = require('fs'); const d = openSync('pipes/many', 'r+'); const b = Buffer.alloc(1);
      for (let i = 0; i < ${calls}; i += 2) { writeSync(d, b); readSync(d, b); }`;
    await mount.output('mkfifo pipes/many; echo 65536 > sysctl/ipcfs/trace_bytes');
    const { status } = await ipcfs(
      [
        'trace',
        '--perfetto',
        file,
        '--call',
        'read,write',
        mount.directory,
        '--',
        process.execPath,
        '-e',
        program,
      ],
      { cwd: mount.directory, timeoutMs: 300_000 },
    );
    await mount.output('rm pipes/many; echo 8388608 > sysctl/ipcfs/trace_bytes');
    expect(status).toBe(0);
    const text = readFileSync(file, 'utf8');
    const shown = text.match(/"ph":"[XB]"[^\n]*"cat":"(?:read|write)"/g)!.length;
    const lost = Number(/"lost-lines":(\d+)/.exec(text)![1]);
    expect(lost).toBeGreaterThan(0);
    // Opens, looks and closes of the pipe may be among the lost lines.
    expect(shown + lost).toBeGreaterThanOrEqual(calls);
    expect(shown + lost).toBeLessThan(calls + 100);
  }, 320_000);

  // A burst of so many waits in the kernel, until answers fetch one each (R5).
  test.skipIf(reasonNotC !== null || isOnRing)(
    '10,000 calls that wait are in the picture, and a reader that is killed meanwhile harms nobody',
    async () => {
      const program = join(scratch, 'wait');
      compileC(WAITERS, program);
      await mount.output('mkfifo pipes/crowd; echo 20000 > sysctl/ipcfs/quota/blocked_calls');
      const tracing = await start('--perfetto');
      const killed = mount.start("exec cat info/trace > '/dev/null'", LONG);
      await until(async () => (await mount.table('handles')).some(({ path }) => path === 'info/trace'));
      const waiting = mount.start(`exec '${program}' pipes/crowd ${WAITING}`, LONG);
      await until(
        () => waiting.stdout.includes('started'),
        () => waiting.stderr,
        LONG.timeoutMs,
      );
      await until(
        async () =>
          (await mount.output('grep -c " piperd " info/waits || true', LONG)).trim() === String(WAITING),
        () => waiting.stderr,
        LONG.timeoutMs,
      );
      killed.kill('SIGKILL');
      await until(
        async () =>
          (await mount.output(`grep -c '"name":"blocked"' '${file}' || true`)).trim() === String(WAITING),
        () => `${WAITING} calls in the picture`,
        LONG.timeoutMs,
      );
      expect(
        events(file).slices.filter(({ name, end }) => name === 'blocked' && end === Infinity),
      ).toHaveLength(WAITING);
      await mount.output(`head -c ${WAITING} /dev/zero > pipes/crowd`, LONG);
      expect(await waiting.finished()).toMatchObject({ status: 0 });
      process.kill(tracing.pid, 'SIGINT');
      expect(await tracing.finished()).toMatchObject({ status: 130, stderr: '' });
      const { slices, otherData } = events(file);
      const reads = slices.filter(({ name, end }) => name === 'read pipes/crowd' && end !== Infinity);
      expect([reads.length, otherData['lost-lines']]).toEqual([WAITING, 0]);
      await mount.output('rm pipes/crowd');
    },
    LONG.timeoutMs,
  );

  test('a file is written in one form', async () => {
    for (const [options, message] of [
      [['--perfetto', file, '--html', file], '--perfetto does not go with --html: leave one out'],
      [['--html', file, '--json'], '--html does not go with --json: leave one out'],
      [['--perfetto', file, '--output', file], '--perfetto does not go with --output: leave one out'],
      [['--html', file, '--content'], '--html does not go with --content: leave one out'],
    ] as const) {
      const { status, stderr } = await ipcfs(['trace', mount.directory, ...options]);
      expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    expect(existsSync('/nowhere')).toBe(false);
  });
});
