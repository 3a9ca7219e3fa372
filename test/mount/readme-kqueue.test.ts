import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ipcfsCommand, Scratch } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

/** The shell examples of the section 'Kqueues' of the README. */
function examples(): string[] {
  const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = /^## Kqueues$.*?(?=^## )/ms.exec(text)![0];
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, script]) => script!);
}

describeMount('the examples about kqueues in the README run as written', () => {
  const scratch = new Scratch();
  afterEach(() => scratch.clean());

  test.each(examples().filter((script) => script.includes('exec ')))('in the mount:\n%s', async (script) => {
    const directory = scratch.directory();
    await scratch.mount(directory);
    const expected = [...script.matchAll(/echo "\$event" +# (.*)$/gm)].map(([, line]) => `${line!}\n`);
    expect(expected).not.toEqual([]);
    expect(await run('bash', ['-euc', script], { cwd: directory })).toMatchObject({
      status: 0,
      stdout: expected.join(''),
      stderr: '',
    });
  });

  test('ipcfs wait', async () => {
    const [script, ...others] = examples().filter((candidate) => candidate.includes('ipcfs wait'));
    expect(others).toEqual([]);
    const directory = scratch.directory();
    const outside = scratch.directory();
    symlinkSync(directory, join(outside, 'mnt'));
    await scratch.mount(directory);
    const { status, stdout, stderr } = await run(
      'bash',
      ['-euc', `ipcfs() { ${ipcfsCommand} "$@"; }\n${script!}`],
      {
        cwd: outside,
      },
    );
    expect([status, stderr]).toEqual([0, '']);
    const tick = { filter: 'timer', ident: '1', data: 1, flags: ['clear'], fflags: [], udata: 'tick' };
    const [first, second, ...ticks] = stdout.trimEnd().split('\n');
    expect(first).toBe(/# (timer .*)$/m.exec(script!)![1]);
    expect(second).toBe('nothing was made: 124');
    expect(ticks).toHaveLength(3);
    for (const line of ticks)
      expect(JSON.parse(line)).toMatchObject({ ...tick, data: expect.any(Number) as number });
  });
});
