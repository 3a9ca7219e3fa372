import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TraceFields } from '../../src/cli/trace/trace-lines.ts';
import { ipcfs } from '../support/cli.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { type Finished, until } from '../support/process.ts';

const LONG = { timeoutMs: 60_000 };

function sum(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describeMount('ipcfs replay', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-replay-'));
  const recording = join(scratch, 'recording.json');
  const bytes = randomBytes(250_000);
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
    writeFileSync(join(scratch, 'bytes'), bytes);
    // Small writes with a pause, a large one that waits for its reader, and another pipe.
    const script = `mkfifo pipes/a pipes/b; cat pipes/a > '${scratch}/got' & cat pipes/b > /dev/null &
      { printf one; sleep 0.4; printf two; dd if='${scratch}/bytes' bs=250000 iflag=fullblock status=none; } > pipes/a
      echo other > pipes/b; wait`;
    const args = [
      'trace',
      mount.directory,
      '--json',
      '--content',
      '--output',
      recording,
      '--',
      'bash',
      '-c',
      script,
    ];
    const { status, stderr } = await ipcfs(args, { ...LONG, cwd: mount.directory });
    expect([status, stderr]).toEqual([0, '']);
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(scratch, { recursive: true });
  });

  function recordOf(file = recording): TraceFields[] {
    return readFileSync(file, 'latin1')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as TraceFields);
  }

  /** Plays into pipes/NAME and gives what its reader gets, and how the calls look that do it. */
  async function played(
    options: readonly string[],
  ): Promise<{ got: Buffer; writes: TraceFields[]; finished: Finished }> {
    const output = join(scratch, 'played');
    const again = join(scratch, 'again.json');
    const reader = mount.start(`cat pipes/a > '${output}'`, LONG);
    await mount.untilBlocked('pipes/a', 'fifoor');
    const watching = mount.start(
      `exec 3<>info/trace.json; until [ -e pipes/played ]; do sleep 0.02; done; echo end >&3; cat <&3 > '${again}'`,
      LONG,
    );
    await until(async () => (await mount.table('handles')).some((row) => row['path'] === 'info/trace.json'));
    const finished = await ipcfs(
      ['replay', recording, mount.directory, '--object', 'pipes/a', ...options],
      LONG,
    );
    await reader.finished();
    await mount.output('mkfifo pipes/played');
    await watching.finished();
    await mount.output('rm pipes/played');
    const writes = recordOf(again).filter(
      ({ type, call, object }) => type === 'end' && call === 'write' && object === 'pipes/a',
    );
    return { got: readFileSync(output), writes, finished };
  }

  test('the reader gets the recorded bytes, in the recorded writes, with their timing', async () => {
    const expected = Buffer.concat([Buffer.from('onetwo'), bytes]);
    expect(sum(readFileSync(join(scratch, 'got')))).toBe(sum(expected));
    const { got, writes, finished } = await played([]);
    expect([finished.status, finished.stderr]).toEqual([0, '']);
    expect(sum(got)).toBe(sum(expected));
    expect(writes.map(({ size }) => size)).toEqual([3, 3, 250_000]);
    const recorded = recordOf().filter(
      ({ type, call, object }) => type === 'end' && call === 'write' && object === 'pipes/a',
    );
    const pause = (lines: readonly TraceFields[]): number => lines[1]!.time - lines[0]!.time;
    expect(pause(recorded)).toBeGreaterThan(0.39);
    expect(pause(writes)).toBeGreaterThan(0.39);
  });

  test('--speed makes it faster, and max waits for readers only', async () => {
    const { writes } = await played(['--speed', '4']);
    expect(writes[1]!.time - writes[0]!.time).toBeGreaterThan(0.09);
    const fast = await played(['--speed', 'max']);
    expect(sum(fast.got)).toBe(sum(Buffer.concat([Buffer.from('onetwo'), bytes])));
    expect(fast.writes[1]!.time - fast.writes[0]!.time).toBeLessThan(0.39);
  });

  test('--from reads writes what each read got', async () => {
    const reads = recordOf().filter(
      ({ type, call, object, result }) =>
        type === 'end' && call === 'read' && object === 'pipes/a' && result! > 0,
    );
    const { got, writes } = await played(['--speed', 'max', '--from', 'reads']);
    expect(writes.map(({ size }) => size)).toEqual(reads.map(({ result }) => result));
    expect(sum(got)).toBe(sum(Buffer.concat([Buffer.from('onetwo'), bytes])));
  });

  test('several pipes are played at once, and pipes that are not there are made', async () => {
    await mount.output('rm pipes/a pipes/b');
    const playing = ipcfs(['replay', recording, mount.directory, '--speed', 'max'], LONG);
    // In the other order: neither waits for the other.
    await mount.untilBlocked('pipes/b', 'fifoow');
    expect(await mount.output('cat pipes/b', LONG)).toBe('other\n');
    expect(sum(await mount.output('cat pipes/a | sha256sum'))).toBe(
      sum(`${sum(Buffer.concat([Buffer.from('onetwo'), bytes]))}  -\n`),
    );
    expect((await playing).status).toBe(0);
  });

  test('of a pair, what one end has read is written to the other, and comes out where it came out', async () => {
    const file = join(scratch, 'pair.json');
    const script = 'mkdir pairs/p; exec 3<>pairs/p/0 4<>pairs/p/1; echo there >&3; head -c 6 <&4';
    const recorded = await ipcfs(
      ['trace', mount.directory, '--json', '--content', '--output', file, '--', 'bash', '-c', script],
      { ...LONG, cwd: mount.directory },
    );
    expect([recorded.status, recorded.stdout]).toEqual([0, 'there\n']);
    await mount.output('rmdir pairs/p');
    for (const from of ['writes', 'reads']) {
      const reader = mount.start(
        'mkdir pairs/p; exec 3<pairs/p/1; head -c 6 <&3; exec 3<&-; until rmdir pairs/p 2> /dev/null; do sleep 0.05; done',
        LONG,
      );
      await mount.untilBlocked('pairs/p/1', 'piperd');
      const { status } = await ipcfs(['replay', file, mount.directory, '--from', from], LONG);
      expect(status).toBe(0);
      expect((await reader.finished()).stdout).toBe('there\n');
    }
  });

  test('what cannot be played is one line: no bytes, no such pipe, no trace, a reader that goes', async () => {
    const refused = async (file: string, ...options: string[]): Promise<string> => {
      const { status, stderr } = await ipcfs(['replay', file, mount.directory, ...options], LONG);
      expect([status, stderr.split('\n').length]).toEqual([1, 2]);
      return stderr;
    };
    expect(await refused(recording, '--object', 'pipes/nothing')).toContain(
      'has no writes of a pipe that matches',
    );
    const bare = join(scratch, 'bare.json');
    writeFileSync(bare, '{"type":"end","time":1,"call":"write","object":"pipes/a","result":3}\n');
    expect(await refused(bare)).toContain('has none of the 3 bytes: record with --content');
    expect(await refused(join(scratch, 'bytes'))).toContain('is no line of a trace');
    expect(await refused(join(scratch, 'missing'))).toContain('cannot be read (ENOENT)');
    const going = mount.start('head -c 1 pipes/a', LONG);
    await mount.untilBlocked('pipes/a', 'fifoor');
    expect(await refused(recording, '--object', 'pipes/a')).toContain('(EPIPE): its reader has gone');
    await going.finished();
  });

  test('lost lines, missing bytes and a last line in part are said or left out; the rest is played', async () => {
    const line = (offset: number, text: string): string =>
      `{"type":"end","time":1,"call":"write","object":"pipes/g","offset":${offset},"result":${text.length},"content":"${btoa(text)}"}\n`;
    const file = join(scratch, 'gaps.json');
    writeFileSync(
      file,
      `${line(9, 'behind')}{"type":"lost","time":1,"lines":4}\n${line(0, 'first')}{"type":"en`,
    );
    const playing = ipcfs(['replay', file, mount.directory], LONG);
    await mount.untilBlocked('pipes/g', 'fifoow');
    expect(await mount.output('cat pipes/g')).toBe('firstbehind');
    const { status, stderr } = await playing;
    expect([status, stderr.split('\n')]).toEqual([
      0,
      [
        `ipcfs: ${file} has lost 4 lines: bytes may be missing`,
        `ipcfs: ${file} lacks bytes at 1 places: they were written before, or not recorded`,
        '',
      ],
    ]);
  });
});
