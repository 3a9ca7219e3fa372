import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../src/host/find-program.ts';
import { compileWithHeaders, whyNoHeaderCompiler } from '../support/c-program.ts';
import { describeMount, mainProgram, TestMount } from '../support/mount.ts';
import { type Finished, run } from '../support/process.ts';

const missing = whyNoHeaderCompiler();

describe.skipIf(missing !== null)(`ipcfs run --preload${missing === null ? '' : ` (${missing})`}`, () => {
  describeMount('programs that are compiled already', () => {
    let folder: string;
    let mount: TestMount;
    let environment: Record<string, string>;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'ipcfs-preload-'));
      environment = { ...(process.env as Record<string, string>), XDG_CACHE_HOME: join(folder, 'cache') };
      mount = await TestMount.start();
    });
    afterAll(async () => {
      rmSync(folder, { recursive: true });
      await mount.stop();
    });

    function ipcfs(args: readonly string[], env = environment): Promise<Finished> {
      return run(process.execPath, [mainProgram, ...args], { env, timeoutMs: 60_000 });
    }

    test('shmget, shmat, shmdt and shmctl of a program use the mount of its run', async () => {
      const program = join(folder, 'shm');
      compileWithHeaders('C++17', program, ['shm.c'], []);
      const finished = await ipcfs(['run', '--preload', '--', program, '20']);
      expect(finished).toMatchObject({ status: 0, stdout: '', stderr: '' });
    });

    test('pipe is one of the mount with --pipes only', async () => {
      const program = join(folder, 'pipe-kind');
      compileWithHeaders('C99', program, ['pipe-kind.c'], ['-D_DEFAULT_SOURCE']);
      expect((await ipcfs(['run', '--preload', '--', program])).stdout).toBe('one way\n');
      expect((await ipcfs(['run', '--preload', '--pipes', '--', program])).stdout).toBe('both ways\n');
    });

    test('--mount uses a mount that stays', async () => {
      const { directory } = mount;
      const made = await ipcfs(['run', '--preload', '--mount', directory, '--', 'ipcmk', '-M', '4711']);
      expect(made.stdout).toMatch(/Shared memory id: \d+/);
      expect(await mount.table('shm')).toMatchObject([{ size: 4711 }]);
      const echo = await ipcfs(['run', '--mount', directory, '--', 'sh', '-c', 'echo "$IPCFS"']);
      expect([echo.status, echo.stdout]).toEqual([0, `${directory}\n`]);
    });

    test('wrong usage is one line', async () => {
      const refused: readonly (readonly [args: readonly string[], status: number, line: string])[] = [
        [['--pipes', '--', 'true'], 2, '--pipes belongs to --preload: give both'],
        [
          ['--mount', mount.directory, '--leaks', '--', 'true'],
          2,
          "--leaks is for a mount of the run's own: leave out --mount or --leaks",
        ],
        [['--mount', folder, '--', 'true'], 1, `${folder} is no ipcfs mount: `],
      ];
      for (const [args, status, line] of refused) {
        const finished = await ipcfs(['run', ...args]);
        expect([finished.status, finished.stdout]).toEqual([status, '']);
        expect(finished.stderr).toContain(`ipcfs: ${line}`);
        expect(finished.stderr.trim().split('\n')).toHaveLength(1);
      }
    });

    test('without a compiler one line says what to install', async () => {
      const programs = join(folder, 'programs');
      mkdirSync(programs);
      symlinkSync(findProgram('true')!, join(programs, 'true'));
      const env = { ...environment, PATH: programs, XDG_CACHE_HOME: join(folder, 'empty-cache') };
      const finished = await ipcfs(['run', '--preload', '--mount', mount.directory, '--', 'true'], env);
      expect(finished.status).toBe(1);
      expect(finished.stderr).toMatch(
        /^ipcfs: --preload compiles a small library once, and there is no C compiler .*\n$/,
      );
      // A library that has been made needs none.
      const again = await ipcfs(['run', '--preload', '--mount', mount.directory, '--', 'true'], {
        ...environment,
        PATH: programs,
      });
      expect(again).toMatchObject({ status: 0, stderr: '' });
    });

    test('a cache that others can write is not used', async () => {
      const cache = join(folder, 'open-cache');
      mkdirSync(join(cache, 'ipcfs'), { recursive: true });
      await run('chmod', ['777', join(cache, 'ipcfs')]);
      const finished = await ipcfs(['run', '--preload', '--', 'true'], {
        ...environment,
        XDG_CACHE_HOME: cache,
      });
      expect([finished.status, finished.stderr]).toEqual([
        1,
        `ipcfs: others can write to ${cache}/ipcfs: set XDG_CACHE_HOME to a directory of yours\n`,
      ]);
    });
  });
});
