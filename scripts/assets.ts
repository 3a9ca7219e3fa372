/** Writes what is made from the tree of commands into dist: the manual page, and completions as the shells look for them. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { COMPLETION_SCRIPTS } from '../src/cli/completion/scripts.ts';
import { program } from '../src/cli/program.ts';
import { manualPage } from './manual/page.ts';

const dist = new URL('../', import.meta.url);

const assets: readonly (readonly [path: string, text: string])[] = [
  ['man/ipcfs.1', manualPage(program())],
  ['completions/bash/ipcfs', COMPLETION_SCRIPTS.bash],
  ['completions/zsh/_ipcfs', COMPLETION_SCRIPTS.zsh],
  ['completions/fish/ipcfs.fish', COMPLETION_SCRIPTS.fish],
];

for (const [path, text] of assets) {
  const target = new URL(path, dist);
  mkdirSync(new URL('.', target), { recursive: true });
  writeFileSync(target, text);
}
// tsc writes files without the executable bit, and `npx ipcfs` or a linked bin needs it.
chmodSync(new URL('src/cli/main.js', dist), 0o755);
