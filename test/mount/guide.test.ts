import { mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ipcfs, ipcfsCommand, isMounted } from '../support/cli.ts';
import { InteractiveShell } from '../support/interactive-shell.ts';
import { describeMount } from '../support/mount.ts';
import { guide } from '../support/pages.ts';
import { run } from '../support/process.ts';
import { Desk, isFollowed } from '../support/typed-pages.ts';

// test/mount/recipes.test.ts types the first two, which need a project that has the package installed; test/mount/across-machines.test.ts
// the last, which needs several mounts and a server.
const TYPED_ELSEWHERE = ['test-bench.md', 'ci.md', 'across-machines.md'];

const EXAMPLE_TIMEOUT_MS = 60_000;
const SHELL_TIMEOUT_MS = 300_000;

const pages = guide.filter(
  ({ path, examples }) => !TYPED_ELSEWHERE.includes(basename(path)) && examples.some(isFollowed),
);

test('pages with commands are found', () => {
  expect(pages.length).toBeGreaterThanOrEqual(6);
});

const typed = (['bash', 'zsh'] as const).flatMap((name) =>
  pages.map((page) => [page.path, name, page] as const),
);

describeMount('the guide, each page typed from top to bottom', () => {
  describe.each(typed)('%s in %s', (path, name, { examples }) => {
    const desk = new Desk();
    let shell: InteractiveShell;

    beforeAll(async () => {
      desk.program('ipcfs', `exec ${ipcfsCommand} "$@"`);
      mkdirSync(desk.mnt, { recursive: true });
      expect(await ipcfs(['mount', desk.mnt])).toMatchObject({ status: 0, stderr: '' });
      shell = await InteractiveShell.start(name, {
        cwd: desk.mnt,
        env: desk.environment,
        timeoutMs: SHELL_TIMEOUT_MS,
      });
    });
    afterAll(async () => {
      shell.end();
      await ipcfs(['umount', desk.mnt]);
      if (isMounted(desk.mnt)) await run('umount', ['-l', desk.mnt]);
      desk.clean();
    });

    test.each(examples.filter(isFollowed).map((example) => [`${path}:${example.line}`, example] as const))(
      '%s',
      (_, example) => desk.follow(example, shell),
      EXAMPLE_TIMEOUT_MS,
    );

    test('the examples have left nothing', () => {
      for (const directory of ['pipes', 'pairs', 'kqueues'])
        expect(readdirSync(join(desk.mnt, directory))).toEqual([]);
      expect(readdirSync(join(desk.mnt, 'shm')).sort()).toEqual(['ctl', 'id']);
      expect(readdirSync(desk.clone).includes('other')).toBe(false);
    });
  });
});
