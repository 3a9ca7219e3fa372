import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { ipcfs, ipcfsCommand } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Finished, until } from '../support/process.ts';

const LONG = { timeoutMs: 60_000 };

describeMount('ipcfs trace', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-trace-'));
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(scratch, { recursive: true });
  });

  /** `ipcfs trace DIR OPTIONS -- bash -c SCRIPT`, in the mount. */
  function trace(options: readonly string[], script: string): Promise<Finished> {
    return ipcfs(['trace', mount.directory, ...options, '--', 'bash', '-c', script], {
      ...LONG,
      cwd: mount.directory,
    });
  }

  function fieldsOf(text: string): TraceFields[] {
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as TraceFields);
  }

  async function untilSubscribed(): Promise<void> {
    await until(async () => (await mount.table('handles')).some((row) => row['path'] === 'info/trace.json'));
  }

  test('a command is traced from its first call to its last, and its status is the status', async () => {
    const script = 'mkfifo "$IPCFS/pipes/c"; echo hi 1<>pipes/c; rm pipes/c; echo output; exit 7';
    const { status, stdout, stderr } = await trace([], script);
    expect([status, stdout]).toEqual([7, 'output\n']);
    const [header, ...lines] = stderr.split('\n').slice(0, -1);
    expect(header).toBe('time duration blocked pid command call object details result');
    const calls = lines.map((line) => line.split(' ')).filter((words) => words[6] === 'pipes/c');
    expect(calls[0]!.slice(4, 6)).toEqual(['mkfifo', 'mknod']);
    expect(calls.at(-1)!.slice(4, 6)).toEqual(['rm', 'unlink']);
    expect(calls.map((words) => words[5])).toContain('write');
  });

  test('a command that a signal ends gives the status that a shell gives', async () => {
    expect((await trace([], 'kill -TERM $$')).status).toBe(128 + 15);
  });

  test('each of its threads has the processor after what it traces, the command has its own', async () => {
    // The scheduling policy in stat: 0 for the usual one, 5 for SCHED_IDLE.
    const script = `policy() { sed 's/.*) //' "$@" | cut -d ' ' -f 39 | sort -u; }; policy /proc/self/stat
      until [ "$(policy /proc/$PPID/task/*/stat)" = 5 ]; do sleep 0.01; done`;
    const { status, stdout } = await trace(['--output', '/dev/null'], script);
    expect([status, stdout]).toEqual([0, '0\n']);
  });

  test('only the command and its children are traced, grandchildren too', async () => {
    const other = mount.start('while :; do : 3<>pipes/other; done', LONG);
    const output = join(scratch, 'tree');
    const script = 'bash -c "(mkfifo pipes/mine); cat info/version"; sleep 0.2; rm pipes/mine';
    const { status } = await trace(['--json', '--output', output], script);
    other.kill('SIGKILL');
    expect(status).toBe(0);
    const objects = new Set(fieldsOf(readFileSync(output, 'latin1')).map(({ object }) => object));
    expect([...objects]).toEqual(expect.arrayContaining(['pipes/mine', 'info/version']));
    expect([...objects]).not.toContain('pipes/other');
  });

  test('objects, processes and calls select lines', async () => {
    const script =
      'mkfifo pipes/x pipes/y; echo a 1<>pipes/x; echo b 1<>pipes/y; mkdir pipes/z; rmdir pipes/z; rm pipes/x pipes/y';
    const selected = async (options: readonly string[]): Promise<string[]> => {
      const { stderr } = await trace(['--json', ...options], script);
      return fieldsOf(stderr).map(({ call, object }) => `${call} ${object}`);
    };
    expect(await selected(['--object', 'pipes/x', '--call', 'write,unlink'])).toEqual([
      'write pipes/x',
      'unlink pipes/x',
    ]);
    expect(await selected(['--object', '*/[!x]', '--call', 'write,mkdir'])).toEqual([
      'write pipes/y',
      'mkdir pipes/z',
    ]);
    expect(await selected(['--pid', '1'])).toEqual([]);
  });

  test('--pid selects a process', async () => {
    const tracing = mount.start(
      `exec ${ipcfsCommand} trace . --pid $$ --output '${join(scratch, 'pid')}'`,
      LONG,
    );
    await untilSubscribed();
    tracing.kill('SIGKILL');
    const driver = await mount.driver();
    const own = mount.start(
      `exec ${ipcfsCommand} trace . --json --pid ${driver.pid} > '${join(scratch, 'pid')}'`,
      LONG,
    );
    await untilSubscribed();
    await mount.output('mkfifo pipes/p');
    await driver.close(await driver.open('pipes/p', 'rw'));
    const read = (): TraceFields[] => fieldsOf(readFileSync(join(scratch, 'pid'), 'latin1'));
    await until(() => read().some(({ call }) => call === 'release'));
    own.kill('SIGKILL');
    expect(new Set(read().map(({ process }) => process))).toEqual(new Set([driver.pid]));
    await mount.output('rm pipes/p');
  });

  test('--content shows bytes, as many as are asked for', async () => {
    const script = 'echo secret 1<>pipes/s; rm pipes/s';
    const contents = async (...options: string[]): Promise<unknown> => {
      const { stderr } = await trace(['--json', '--call', 'write', ...options], script);
      return fieldsOf(stderr)[0]!.content;
    };
    expect(await contents('--content')).toBe(btoa('secret\n'));
    expect(await contents('--content=3')).toBe(btoa('sec'));
    expect(await contents()).toBeUndefined();
    const { stderr } = await trace(['--content', '--call', 'write'], script);
    expect(stderr).toMatch(/ write pipes\/s size=7,offset=0,fill=7 7 secret\\012\n$/);
  });

  test('an output that is full, closed or not to be had is one line and status 1; the command goes on', async () => {
    const full = await mount.sh(`${ipcfsCommand} trace . > /dev/full`, LONG);
    expect([full.status, full.stderr]).toEqual([
      1,
      'ipcfs: the trace cannot be written to standard output (ENOSPC): no space is left: write it elsewhere\n',
    ]);
    const closed = mount.start(`${ipcfsCommand} trace . | read -r header; echo "\${PIPESTATUS[0]}"`, LONG);
    await until(async () => {
      await mount.output('mkfifo pipes/go; rm pipes/go');
      return closed.isFinished;
    });
    const { stdout, stderr } = await closed.finished();
    expect([stdout, stderr]).toEqual([
      '1\n',
      'ipcfs: the trace cannot be written to standard output (EPIPE): nobody reads it any more\n',
    ]);
    const beside = await trace(['--output', '/dev/full'], 'sleep 0.3; mkfifo pipes/made; exit 5');
    expect([beside.status, beside.stderr.split('\n').length]).toEqual([1, 2]);
    expect(await mount.output('ls pipes')).toContain('made\n');
    const nowhere = await trace(['--output', '/nowhere/file'], 'true');
    expect([nowhere.status, nowhere.stderr]).toEqual([
      1,
      'ipcfs: the trace cannot be written to /nowhere/file (ENOENT): there is no such directory\n',
    ]);
  });

  test('a command that cannot be run, a directory that is no mount, a mount that ends: one line and status 1', async () => {
    const missing = await ipcfs(['trace', mount.directory, '--', '/nowhere/program'], LONG);
    expect([missing.status, missing.stderr]).toEqual([
      1,
      expect.stringContaining("'/nowhere/program' cannot be run (ENOENT)"),
    ]);
    const elsewhere = await ipcfs(['trace', scratch]);
    expect([elsewhere.status, elsewhere.stderr]).toEqual([1, expect.stringContaining('is no ipcfs mount')]);
    const own = await TestMount.start();
    const tracing = mount.start(`exec ${ipcfsCommand} trace '${own.directory}'`, LONG);
    await until(async () => (await own.table('handles')).some((row) => row['path'] === 'info/trace.json'));
    await own.stop();
    const { status, stderr } = await tracing.finished();
    expect([status, stderr]).toEqual([1, `ipcfs: the mount on ${own.directory} has ended: mount it again\n`]);
  });

  test('a wrong option is a usage error that says what to write', async () => {
    for (const [options, message] of [
      [['--pid', '0'], "--pid takes the number of a process or a thread, not '0'"],
      [['--call', 'read,wirte'], "--call does not know 'wirte'"],
      [['--content=x'], "--content takes a number of bytes, 1 or more, as in --content=64, not 'x'"],
    ] as const) {
      const { status, stderr } = await ipcfs(['trace', ...options, mount.directory]);
      expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});
