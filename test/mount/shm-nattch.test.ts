import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { whyNoCompiler } from '../support/c-program.ts';
import { describeMount, TestMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

const source = fileURLToPath(new URL('../support/programs/nattch.c', import.meta.url));
const noCompiler = whyNoCompiler('/usr/include/linux/fuse.h');

describeMount('attachments are counted right after the calls that end them', () => {
  let mount: TestMount;
  const directory = mkdtempSync(join(tmpdir(), 'ipcfs-nattch-'));
  beforeAll(async () => {
    mount = await TestMount.start();
    const compiled = await run('gcc', ['-Wall', '-Werror', '-o', join(directory, 'nattch'), source]);
    expect(compiled.stderr).toBe('');
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true });
    await mount.stop();
  });

  test.skipIf(noCompiler !== null).each(['keep', 'close'])(
    'S46, S65: nattch in shm/ctl and in info/shm is exact when munmap or waitpid has returned (descriptors: %s)',
    async (descriptors) => {
      const { stdout, stderr } = await run(join(directory, 'nattch'), [mount.directory, descriptors], {
        timeoutMs: 60_000,
      });
      expect([stdout, stderr]).toEqual(['0 0\n', '']);
    },
    70_000,
  );
});
