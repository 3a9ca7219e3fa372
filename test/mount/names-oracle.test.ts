import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

const program = fileURLToPath(new URL('../../dist/test/support/name-calls/main.js', import.meta.url));

/** A tmpfs that every Linux has. */
const TMPFS = '/dev/shm';

/** Where this file system is meant to be different; native-notes/deviations.md says why. */
const DEVIATIONS: Readonly<Record<string, unknown>> = {
  // Of a directory, a pipe to 0 and a pipe to 10 bytes; tmpfs refuses the latter two with EINVAL.
  truncate: ['EISDIR', 'ok', 'ok'],
};

type Results = Readonly<Record<string, unknown>>;

describeMount('names, modes and errors are those of tmpfs', () => {
  let mount: TestMount;
  let here: Results;
  let oracle: Results;
  beforeAll(async () => {
    mount = await TestMount.start();
    await mount.output('mkdir pipes/calls; chmod 755 .');
    const directory = mkdtempSync(join(TMPFS, 'ipcfs-test-'));
    try {
      const results = async (path: string): Promise<Results> => {
        const { stdout, stderr } = await run(process.execPath, [program, path], { timeoutMs: 25_000 });
        expect(stderr).toBe('');
        return JSON.parse(stdout) as Results;
      };
      oracle = await results(directory);
      here = await results(mount.path('pipes/calls'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
  afterAll(() => mount.stop());

  test('every case was run to its end, on both', () => {
    expect(Object.keys(oracle).length).toBeGreaterThan(20);
    // A case that failed as a whole is the name of an error.
    for (const [name, result] of Object.entries(oracle))
      expect([name, typeof result]).toEqual([name, 'object']);
    expect(Object.keys(here)).toEqual(Object.keys(oracle));
  });

  test('each case gives the same results', () => {
    const expected = { ...oracle, ...DEVIATIONS };
    for (const [name, result] of Object.entries(expected)) expect([name, here[name]]).toEqual([name, result]);
  });

  test('each deviation is still one', () => {
    for (const [name, result] of Object.entries(DEVIATIONS)) expect(oracle[name]).not.toEqual(result);
  });
});
