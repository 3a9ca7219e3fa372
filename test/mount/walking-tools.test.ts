import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, TestMount } from '../support/mount.ts';

const WALK_TIMEOUT_MS = 20_000;

/** What the guide says of tools that walk trees: what leaves pipes alone, and prints nothing of them. */
const CAREFUL: readonly (readonly [tool: string, script: string])[] = [
  ['grep -r', '! grep -r precious pipes pairs kqueues'],
  ['rg', '! rg --no-config precious pipes pairs kqueues'],
  ['rg, of everything', '! rg --no-config --no-ignore precious pipes pairs kqueues'],
  ['find -type f', '[ -z "$(find pipes pairs kqueues -type f)" ]'],
  ['du', 'du -a pipes pairs kqueues'],
  ['ls -F', '[ "$(ls -F pipes/d)" = "empty|\nprecious|" ]'],
  ['diff -r', 'diff -r pipes/d pipes/d'],
  ['tar --exclude-vcs-ignores', 'tar cf "$1/tar" --exclude-vcs-ignores . && [ "$(tar tf "$1/tar")" = ./ ]'],
  [
    'rsync with the .gitignore',
    `rsync -a --filter=':- .gitignore' . "$1/rsync" && [ -z "$(ls -A "$1/rsync")" ]`,
  ],
  ['zip without the three folders', `zip -qr "$1/zip" shm sysctl pipes -x 'pipes/*' 'pairs/*' 'kqueue*'`],
];

describeMount('tools that walk the tree and open files', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'ipcfs-walk-'));
  let mount: TestMount;
  beforeAll(async () => {
    mount = await TestMount.start();
    await mount.output('mkdir pipes/d pairs/p; mkfifo pipes/d/empty pipes/d/precious; touch kqueues/q');
    // Who opens one of the two shows: bytes are gone, or the open that waits has met somebody.
    mount.start('exec 3<>pipes/d/precious; echo precious >&3; echo > pipes/d/empty', { timeoutMs: 300_000 });
    await mount.untilBlocked('pipes/d/empty', 'fifoow');
  });
  afterAll(async () => {
    await mount.stop();
    rmSync(scratch, { recursive: true });
  });

  async function expectUntouched(): Promise<void> {
    expect(await mount.output('stat -c %s pipes/d/precious')).toBe('9\n');
    expect(await mount.blockedCount('pipes/d/empty', 'fifoow')).toBe(1);
  }

  test.each(CAREFUL)('%s leaves pipes alone', async (_tool, script) => {
    await mount.output(`set -- '${scratch}'; ${script}`, { timeoutMs: WALK_TIMEOUT_MS });
    await expectUntouched();
  });

  test('git add -A in a working tree around the mount takes nothing of it', async () => {
    const tree = mkdtempSync(join(tmpdir(), 'ipcfs-tree-'));
    // A bind mount: the working tree is around it.
    const script = `cd '${tree}'; mkdir m; mount --bind '${mount.directory}' m; trap 'umount -l m' EXIT
      git init -q .; git add -A; git status --porcelain`;
    expect(await mount.output(script, { timeoutMs: WALK_TIMEOUT_MS })).toBe('');
    rmSync(tree, { recursive: true });
    await expectUntouched();
  });

  test('cp -ax and rsync -ax from around the mount do not go into it', async () => {
    const tree = mkdtempSync(join(tmpdir(), 'ipcfs-tree-'));
    const script = `cd '${tree}'; mkdir m; mount --bind '${mount.directory}' m; trap 'umount -l m' EXIT
      cp -ax . '${scratch}/cp'; rsync -ax . '${scratch}/rsync-x'; ls -A '${scratch}/cp/m' '${scratch}/rsync-x/m' | grep -v :`;
    expect(await mount.output(`${script} || :`, { timeoutMs: WALK_TIMEOUT_MS })).toBe('\n');
    rmSync(tree, { recursive: true });
    await expectUntouched();
  });
});
