import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileWithHeaders, headerCompilers, whyNoHeaderCompiler } from '../support/c-program.ts';
import { describeMount, mainProgram, TestMount } from '../support/mount.ts';
import { run } from '../support/process.ts';

/** Rounds of what must be right each time: 1,000 are for by hand. */
const ROUNDS = process.env['IPCFS_C_ROUNDS'] ?? '100';
const LANGUAGES = Object.keys(headerCompilers) as (keyof typeof headerCompilers)[];
const missing = whyNoHeaderCompiler();

async function cflags(...options: readonly string[]): Promise<string[]> {
  const { status, stdout } = await run(process.execPath, [mainProgram, 'cflags', ...options]);
  expect(status).toBe(0);
  return stdout.trim().split(' ');
}

describe.skipIf(missing !== null)(`C programs${missing === null ? '' : ` (${missing})`}`, () => {
  describeMount('with the headers', () => {
    let mount: TestMount;
    let folder: string;
    beforeAll(async () => {
      mount = await TestMount.start();
      folder = mkdtempSync(join(tmpdir(), 'ipcfs-c-'));
      await mount.output('mkfifo pipes/c');
    });
    afterAll(async () => {
      rmSync(folder, { recursive: true });
      await mount.stop();
    });

    /** Runs a compiled program: what it prints is what was wrong. */
    async function check(program: string, ...args: readonly string[]): Promise<void> {
      const { status, signal, stdout, stderr } = await run(program, args, {
        env: { ...process.env, IPCFS: mount.directory },
        timeoutMs: 60_000,
      });
      expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    }

    describe.each(LANGUAGES)('%s', (language) => {
      test('K9: to K29: kqueue and kevent; K10: a kqueue is not inherited; nothing before a call is missed', async () => {
        const program = join(folder, `kqueue-${language}`);
        compileWithHeaders(language, program, ['kqueue.c', 'second-file.c'], await cflags());
        await check(program, mount.path('pipes/c'), ROUNDS);
        expect(await mount.table('kqueues')).toEqual([]);
      });

      test('shmget, shmat, shmdt, shmctl; the count is exact when shmdt or waitpid has returned', async () => {
        const program = join(folder, `shm-${language}`);
        compileWithHeaders(language, program, ['shm.c'], await cflags());
        await check(program, ROUNDS);
        expect(await mount.table('shm')).toEqual([]);
      });

      test('pipe and pipe2 make pairs without names', async () => {
        const program = join(folder, `pipes-${language}`);
        compileWithHeaders(language, program, ['pipes.c'], await cflags('--pipes'));
        await check(program);
        expect(await mount.output('ls pairs')).toBe('');
      });
    });

    test.each(['IPCFS_FREEBSD', 'IPCFS_NETBSD'])('%s has its own numbers, units and flags', async (macro) => {
      const program = join(folder, macro);
      compileWithHeaders('C99', program, ['kqueue-spellings.c'], [...(await cflags()), `-D${macro}`]);
      await check(program);
    });

    test('without a mount kqueue fails with ENOENT, and one line when IPCFS_VERBOSE is set', async () => {
      const program = join(folder, 'missing');
      compileWithHeaders('C99', program, ['missing-mount.c'], await cflags());
      const env = { ...process.env, IPCFS: join(folder, 'none') };
      expect(await run(program, [], { env })).toMatchObject({ status: 0, stdout: '', stderr: '' });
      const { status, stdout, stderr } = await run(program, [], { env: { ...env, IPCFS_VERBOSE: '1' } });
      expect([status, stdout]).toEqual([0, '']);
      expect(stderr).toBe(
        `ipcfs: ${folder}/none/kqueue.bin: No such file or directory. Mount with 'ipcfs mount DIR', and set IPCFS=DIR\n`,
      );
    });
  });
});
