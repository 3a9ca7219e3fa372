import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { whyNoCompiler } from '../support/c-program.ts';
import { ipcfsCommand, isMounted } from '../support/cli.ts';
import { describeMount } from '../support/mount.ts';
import { run, Running, until } from '../support/process.ts';
import {
  type Example,
  examplesOf,
  fileOf,
  isAsStated,
  PLACES,
  readme,
  reasonNotRun,
  statedOutput,
} from '../support/readme.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = examplesOf(readme);
const EXAMPLE_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 240_000;

describeMount('the commands of the README, in their order, in the mount that its first one makes', () => {
  let folder: string;
  let clone: string;
  let mnt: string;
  let server: Running | null = null;
  let environment: Record<string, string>;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ipcfs-readme-'));
    clone = join(folder, 'clone');
    mnt = join(clone, 'mnt');
    copyCheckout(clone);
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    writeProgram(join(programs, 'ipcfs'), `exec ${ipcfsCommand} "$@"`);
    // Whoever types the examples looks before typing on; a busy machine needs longer than they say.
    writeProgram(join(programs, 'sleep'), `exec ${realSleep()} 3`);
    environment = { HOME: join(folder, 'home'), PATH: `${programs}:${process.env['PATH']!}` };
    mkdirSync(environment['HOME']!);
  });

  afterAll(async () => {
    server?.kill('SIGKILL');
    if (isMounted(mnt)) await run('umount', ['-l', mnt]);
    rmSync(folder, { recursive: true, force: true });
  });

  const isTyped = (example: Example): boolean =>
    fileOf(example) !== undefined || (example.language === 'sh' && reasonNotRun(example) === undefined);

  test.each(examples.filter(isTyped).map((example) => [`README.md:${example.line}`, example] as const))(
    '%s',
    async (_, example) => {
      const file = fileOf(example);
      if (file !== undefined) writeFileSync(join(clone, file), `${example.text}\n`);
      else if (example.mark === PLACES.untilInterrupt) await startServer(example);
      else await runExample(example);
    },
    START_TIMEOUT_MS,
  );

  test('Ctrl-C in the first shell unmounts, and the examples have left nothing', async () => {
    expect(readdirSync(join(mnt, 'pipes'))).toEqual([]);
    expect(readdirSync(join(mnt, 'shm')).sort()).toEqual(['ctl', 'id']);
    expect(isMounted(join(clone, 'other'))).toBe(false);
    server!.kill('SIGINT');
    expect(await server!.finished()).toMatchObject({ status: 0, stderr: '' });
    expect(isMounted(mnt)).toBe(false);
  });

  async function startServer({ text }: Example): Promise<void> {
    server = new Running('bash', ['-euc', text], {
      cwd: clone,
      env: environment,
      timeoutMs: 2 * START_TIMEOUT_MS,
    });
    await until(
      () => server!.stdout.endsWith('\n') || server!.isFinished,
      () => `a mount: ${server!.stdout}${server!.stderr}`,
      START_TIMEOUT_MS,
    );
    expect([server.stdout, isAsStated(server.stdout, statedOutput(text))]).toEqual([server.stdout, true]);
    // It says so when the mount answers, and not before.
    expect(isMounted(mnt) && existsSync(join(mnt, 'info/version'))).toBe(true);
  }

  /** As typed: output and errors in one stream, and no command may fail unless the example says what then. */
  async function runExample({ text, mark }: Example): Promise<void> {
    if (mark === PLACES.withCompiler && whyNoCompiler('/usr/include/stdio.h') !== null) return;
    const { status, stdout } = await run('bash', ['-euc', `exec 2>&1\n${text}\nwait`], {
      cwd: mark === PLACES.mount ? mnt : clone,
      env: environment,
      timeoutMs: EXAMPLE_TIMEOUT_MS,
    });
    const stated = statedOutput(text);
    // Where it is not so, what is printed is shown beside what is stated.
    if (!isAsStated(stdout, stated)) expect(stdout).toBe(stated.map((line) => `${line}\n`).join(''));
    expect([status, stdout]).toEqual([0, stdout]);
  }
});

/** What a clone has after `npm ci` and a build. The packages are links: nothing that runs there can change them. */
function copyCheckout(target: string): void {
  mkdirSync(target);
  const left = new Set(['.git', '.cache', 'coverage', 'node_modules']);
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

function writeProgram(path: string, command: string): void {
  writeFileSync(path, `#!/bin/sh\n${command}\n`);
  chmodSync(path, 0o755);
}

function realSleep(): string {
  return ['/usr/bin/sleep', '/bin/sleep'].find((path) => existsSync(path))!;
}
