import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** What is loaded with a module before it runs: files as paths from src on, packages by name. */
function loadedWith(path: string, found = new Set<string>()): Set<string> {
  const file = join(source, path);
  found.add(path);
  const text = readFileSync(file, 'utf8');
  for (const [, what = '', from] of text.matchAll(/^(?:import|export)\s(?:([^;']*?)\sfrom\s)?'([^']+)';/gm)) {
    const isType = /^type\s/.test(what) || /^\{(\s*type\s[^,}]*,?)+\s*\}$/.test(what);
    if (isType || from!.startsWith('node:')) continue;
    const name = from!.startsWith('.') ? relative(source, resolve(dirname(file), from!)) : from!;
    if (found.has(name)) continue;
    if (from!.startsWith('.')) loadedWith(name, found);
    else found.add(name);
  }
  return found;
}

/** Each module that a program loads costs half a millisecond, koffi ten. */
describe('what a command loads before it does anything', () => {
  const directoriesOf = (found: Set<string>): Set<string> =>
    new Set([...found].map((path) => path.split('/')[0]!));

  test('the command line: no engine, and of packages only the one that parses it', () => {
    const found = loadedWith('cli/run.ts');
    expect(found).toContain('cli/commands.ts');
    const packages = [...found].filter((name) => !name.endsWith('.ts'));
    expect(packages).toEqual(['commander']);
    for (const engine of ['vfs', 'tree', 'kqueue', 'shm', 'library'])
      expect(directoriesOf(found)).not.toContain(engine);
    expect(found.size).toBeLessThanOrEqual(50);
  });

  test('`ipcfs mount`, until its server runs: not the C library either', () => {
    const found = loadedWith('cli/mount/mount-command.ts');
    expect(found).not.toContain('host/linux/libc.ts');
    expect(found).not.toContain('koffi');
    expect(found.size).toBeLessThanOrEqual(30);
  });

  test('the main thread of the server: no engine', () => {
    const found = loadedWith('cli/mount/serve.ts');
    loadedWith('transports/raw/raw-mount.ts', found);
    expect(found).toContain('host/linux/libc.ts');
    for (const layer of ['vfs', 'tree']) expect(directoriesOf(found)).not.toContain(layer);
    // The process in the background parses no arguments.
    expect(found).not.toContain('commander');
  });
});
