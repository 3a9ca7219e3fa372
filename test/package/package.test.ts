import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMounted } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { readPage } from '../support/pages.ts';
import { type Finished, run, until } from '../support/process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Whatever a shell user has, and nothing that could build: no compiler, no make, no python. */
const PROGRAMS = ['sh', 'bash', 'env', 'cat', 'mkfifo', 'ls', 'mkdir', 'rm', 'uname', 'getconf', 'umount'];
const INSTALL_TIMEOUT_MS = 120_000;
const COMPILE_TIMEOUT_MS = 90_000;

let folder = '';
let installed = '';
let packed: string[] = [];
let env: Record<string, string> = {};

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

/** The registry, or what npm has kept of it. Where neither has the dependencies they are those that the lock file names, from here. */
async function install(archive: string): Promise<void> {
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}\n');
  const npm = join(dirname(process.execPath), 'npm');
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0', archive];
  const { status } = await run(npm, args, { cwd: folder, env, timeoutMs: INSTALL_TIMEOUT_MS });
  if (status === 0) return;
  mkdirSync(installed, { recursive: true });
  const unpacked = await run('tar', ['-xzf', archive, '-C', installed, '--strip-components=1']);
  expect(unpacked).toMatchObject({ status: 0 });
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  for (const [path, { dev }] of Object.entries(packages)) {
    if (path === '' || dev === true || !existsSync(join(root, path))) continue;
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  mkdirSync(join(folder, 'node_modules/.bin'));
  symlinkSync('../ipcfs/dist/src/cli/main.js', join(folder, 'node_modules/.bin/ipcfs'));
}

/** Runs the installed command as a user would, where there is no compiler. */
function ipcfs(args: readonly string[]): Promise<Finished> {
  return run(join(folder, 'node_modules/.bin/ipcfs'), args, { cwd: folder, env });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ipcfs-package-'));
  installed = join(folder, 'node_modules/ipcfs');
  const programs = join(folder, 'programs');
  mkdirSync(programs);
  symlinkSync(process.execPath, join(programs, 'node'));
  for (const name of PROGRAMS) {
    const { stdout } = await run('sh', ['-c', `command -v ${name}`]);
    symlinkSync(stdout.trim(), join(programs, name));
  }
  env = { PATH: programs };
  // It has been built: building here would pull the files from under tests that run beside.
  const result = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    timeoutMs: INSTALL_TIMEOUT_MS,
  });
  const [report] = JSON.parse(result.stdout) as [{ filename: string; files: { path: string }[] }];
  packed = report.files.map(({ path }) => path);
  await install(join(folder, basename(report.filename)));
}, 2 * INSTALL_TIMEOUT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('the package has what it needs, and nothing else', () => {
  for (const name of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'SECURITY.md',
    'package.json',
    'dist/man/ipcfs.1',
    'dist/completions/bash/ipcfs',
    'dist/completions/zsh/_ipcfs',
    'dist/completions/fish/ipcfs.fish',
    'scripts/system/ipcfs@.service',
    'scripts/demo/job-queue.sh',
    'native-notes/guide/kqueue.md',
    'native-notes/guide/images/top.png',
    'native-notes/deviations.md',
    'scripts/system/mount.fuse.ipcfs',
    'src/c/include/sys/event.h',
    'src/c/include/sys/shm.h',
    'src/c/include-pipes/unistd.h',
    'src/c/preload.c',
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/src/cli/main.js',
    'dist/src/transports/raw/worker.js',
  ]) {
    expect(packed).toContain(name);
    expect(existsSync(join(installed, name))).toBe(true);
  }
  const allowed =
    /^(README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|package\.json|dist\/man\/|dist\/completions\/|scripts\/(system|demo)\/|native-notes\/(guide\/|(deviations|macos|performance|transports)\.md$)|src\/c\/.*\.[ch]$|dist\/src\/.*\.(js|d\.ts)$)/;
  expect(packed.filter((name) => !allowed.test(name))).toEqual([]);
});

test('no file names a source map, as none is packed', () => {
  for (const name of packed.filter((path) => path.endsWith('.js')))
    expect([name, /^\/\/# sourceMappingURL=/m.test(readFileSync(join(installed, name), 'utf8'))]).toEqual([
      name,
      false,
    ]);
});

test('the command says its version and explains itself, and npm installs its manual page', async () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
    man: string[];
  };
  expect(await ipcfs(['--version'])).toMatchObject({ status: 0, stdout: `${manifest.version}\n` });
  expect((await ipcfs(['help', 'kqueue'])).stdout).toContain('change = add|delete');
  expect(manifest.man.map((page) => packed.includes(page.replace('./', '')))).toEqual([true]);
});

describeMount('without a compiler', () => {
  test('the command mounts, bytes go through a pipe, and it unmounts', async () => {
    for (const compiler of ['cc', 'gcc', 'make', 'python3']) {
      expect((await run('sh', ['-c', `command -v ${compiler}`], { env })).status).not.toBe(0);
    }
    const directory = join(folder, 'mnt');
    mkdirSync(directory);
    expect(await ipcfs(['mount', directory])).toMatchObject({ status: 0, stderr: '' });
    const script = 'mkfifo pipes/a; echo through > pipes/a & cat pipes/a; wait';
    const through = await run('sh', ['-c', script], { cwd: directory, env });
    expect(await ipcfs(['umount', directory])).toMatchObject({ status: 0, stderr: '' });
    expect(through).toMatchObject({ status: 0, stdout: 'through\n', stderr: '' });
    await until(() => !isMounted(directory));
    expect(readdirSync(directory)).toEqual([]);
  });

  const examples = readPage('native-notes/guide/typescript.md')
    .examples.filter(({ language }) => language === 'ts')
    .map(({ text }) => `${text}\n`);

  test('the guide has examples in TypeScript', () => {
    expect(examples.length).toBeGreaterThanOrEqual(4);
  });

  test(
    'they compile with the types of the package',
    async () => {
      const names = examples.map((text, index) => {
        writeFileSync(join(folder, `example-${index}.ts`), text);
        return `example-${index}.ts`;
      });
      const types = join(root, 'node_modules/@types');
      const compiled = await run(
        process.execPath,
        [
          join(root, 'node_modules/typescript/bin/tsc'),
          ...['--ignoreConfig', '--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes'],
          ...[
            '--module',
            'nodenext',
            '--target',
            'es2023',
            '--types',
            'node',
            '--typeRoots',
            types,
            ...names,
          ],
        ],
        { cwd: folder, timeoutMs: COMPILE_TIMEOUT_MS },
      );
      expect(compiled).toMatchObject({ status: 0, stdout: '' });
    },
    COMPILE_TIMEOUT_MS,
  );

  test.each(examples.map((text, index) => [text, index] as const))(
    'it prints what it says:\n%s',
    async (text, index) => {
      const { status, stdout, stderr } = await run('node', [`example-${index}.js`], { cwd: folder, env });
      expect([status, stderr]).toEqual([0, '']);
      const expected = [...text.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map(([, line]) => line!);
      const looped = text.includes('// user, then timer') ? ['user', 'timer'] : [];
      expect(expected.length).toBeGreaterThan(0);
      expect(stdout.trimEnd().split('\n')).toEqual([...expected, ...looped]);
    },
  );
});
