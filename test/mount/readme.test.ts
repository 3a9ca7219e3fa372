import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isMounted } from '../support/cli.ts';
import { InteractiveShell } from '../support/interactive-shell.ts';
import { describeMount } from '../support/mount.ts';
import { isAsStated, MARKS, readme, statedOutput } from '../support/pages.ts';
import { run } from '../support/process.ts';
import { Desk, isFollowed } from '../support/typed-pages.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const EXAMPLE_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 240_000;
const SHELL_TIMEOUT_MS = 2 * START_TIMEOUT_MS;

describeMount('the README, typed from top to bottom', () => {
  const desk = new Desk();

  beforeAll(() => {
    copyCheckout(desk.clone);
  });

  afterAll(async () => {
    if (isMounted(desk.mnt)) await run('umount', ['-l', desk.mnt]);
    desk.clean();
  });

  describe.each(['bash', 'zsh'] as const)('in %s', (name) => {
    let first: InteractiveShell;
    let second: InteractiveShell;

    beforeAll(async () => {
      const options = { cwd: desk.clone, env: desk.environment, timeoutMs: SHELL_TIMEOUT_MS };
      first = await InteractiveShell.start(name, options);
      second = await InteractiveShell.start(name, options);
    });
    afterAll(() => {
      first.end();
      second.end();
    });

    test(
      'the first shell mounts and says so when the mount answers',
      async () => {
        const { text } = readme.examples.find(({ mark }) => mark === MARKS.firstShell)!;
        const [line] = text.split('\n');
        const printed = await first.begin(line!, /unmounts\n/, START_TIMEOUT_MS);
        expect([printed, isAsStated(printed, statedOutput(text))]).toEqual([printed, true]);
        expect(isMounted(desk.mnt) && existsSync(join(desk.mnt, 'info/version'))).toBe(true);
      },
      START_TIMEOUT_MS,
    );

    test('the script refuses a directory that is mounted already, in one line', async () => {
      const { printed, statuses } = await second.typeBlock({ text: 'scripts/start.sh mnt\n#> ipcfs: ...' });
      expect([printed, statuses]).toEqual([
        `ipcfs: ${desk.mnt} is mounted already: run 'dist/src/cli/main.js umount ${desk.mnt}' first, or choose another directory\n`,
        ['1'],
      ]);
    });

    test.each(
      readme.examples.filter(isFollowed).map((example) => [`README.md:${example.line}`, example] as const),
    )('%s', (_, example) => desk.follow(example, second), EXAMPLE_TIMEOUT_MS);

    test('Ctrl-C in the first shell unmounts, and the examples have left nothing', async () => {
      expect(readdirSync(join(desk.mnt, 'pipes'))).toEqual([]);
      expect(readdirSync(join(desk.mnt, 'shm')).sort()).toEqual(['ctl', 'id']);
      expect(existsSync(join(desk.clone, 'other'))).toBe(false);
      const { printed, status } = await first.interrupt();
      expect([printed.replace('^C', '').trim(), status]).toEqual(['', '0']);
      expect(isMounted(desk.mnt)).toBe(false);
    });
  });
});

/** What a clone has after `npm ci` and a build. The packages are links: nothing that runs there can change them. */
function copyCheckout(target: string): void {
  mkdirSync(target);
  const left = new Set(['.git', '.cache', 'coverage', 'node_modules', 'mnt']);
  for (const name of readdirSync(root)) {
    if (!left.has(name))
      cpSync(join(root, name), join(target, name), { recursive: true, preserveTimestamps: true });
  }
  const packages = join(target, 'node_modules');
  mkdirSync(packages);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    symlinkSync(join(root, 'node_modules', name), join(packages, name));
  }
  rmSync(join(packages, '.package-lock.json'));
  writeFileSync(join(packages, '.package-lock.json'), '');
  const past = new Date(0);
  utimesSync(join(target, 'package-lock.json'), past, past);
}
