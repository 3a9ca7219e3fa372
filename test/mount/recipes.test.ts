import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { whyNoCompiler } from '../support/c-program.ts';
import { InteractiveShell } from '../support/interactive-shell.ts';
import { describeMount } from '../support/mount.ts';
import { type Example, fileOf, isAsStated, MARKS, readPage, statedOutput } from '../support/pages.ts';
import { type Finished, run } from '../support/process.ts';
import { TestProject } from '../support/test-project.ts';
import { expectAsStated } from '../support/typed-pages.ts';

// The recipes of the guide, typed from top to bottom in a project that has the package installed.

const pages = ['test-bench.md', 'ci.md'].map((name) => readPage(`native-notes/guide/${name}`));
const container = fileURLToPath(new URL('../support/programs/container.sh', import.meta.url));
const examples = pages.flatMap((page) => page.examples);
const EXAMPLE_TIMEOUT_MS = 120_000;
const SHELL_TIMEOUT_MS = 600_000;

/** What examples that are marked so need. They are typed where it is installed. */
const programs: Readonly<Record<string, string>> = { [MARKS.withPytest]: 'pytest', [MARKS.withBats]: 'bats' };

function isThere(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

/** Why an example is not run here; null when it is. */
function reasonNotRun({ text, mark }: Example): string | null {
  const program = programs[mark];
  if (program !== undefined && !isThere(program)) return `${program} is not installed`;
  if (/^cc |\.\/reader\b/m.test(text)) return whyNoCompiler('/usr/include/stdio.h');
  return null;
}

describeMount('the recipes of the test bench', () => {
  const project = new TestProject();
  beforeAll(async () => {
    await project.openToUsers();
    // A user works in it, too.
    chmodSync(project.directory, 0o777);
    const program = (name: string, text: string): void => {
      chmodSync(project.write(`programs/${name}`, text), 0o755);
    };
    for (const name of ['dev', 'filtered'])
      mkdirSync(join(project.directory, 'programs', name), { recursive: true });
    program('npx', project.npx);
    program('docker', readFileSync(container, 'utf8'));
    program(
      'filtered/unshare',
      '#!/bin/sh\necho "unshare: unshare failed: Operation not permitted" >&2; exit 1\n',
    );
    program('sudo', '#!/bin/sh\necho "sudo $*" >> installed.txt\n');
    program('npm', '#!/bin/sh\necho "npm $*" >> installed.txt\n');
    for (const example of examples) {
      const file = fileOf(example);
      if (file === undefined) continue;
      mkdirSync(dirname(join(project.directory, file)), { recursive: true });
      project.write(file, `${example.text}\n`);
    }
  });
  afterEach(() => project.untilNothingLeft());
  afterAll(() => project.end());

  /** A script for each: a user of another name, and the steps of a job, which have no terminal. */
  function runScript(text: string, { isUser }: { isUser: boolean }): Promise<Finished> {
    const { directory, options } = project;
    const args = ['-euc', `exec 2>&1; cd '${directory}'; PATH='${directory}/programs':$PATH; ${text}`];
    const timeoutMs = EXAMPLE_TIMEOUT_MS;
    return isUser
      ? project.runAsUser('bash', args, { ...options, timeoutMs })
      : run('bash', args, { ...options, timeoutMs });
  }

  let shell: InteractiveShell;
  beforeAll(async () => {
    const { directory, options } = project;
    const env = { ...options.env, PATH: `${directory}/programs:${process.env['PATH']!}` };
    shell = await InteractiveShell.start('bash', { cwd: directory, env, timeoutMs: SHELL_TIMEOUT_MS });
  });
  afterAll(() => {
    shell.end();
  });

  const typed = pages.flatMap(({ path, examples: all }) =>
    all
      .filter(({ language }) => language === 'sh')
      .map((example) => [`${basename(path)}:${example.line} ${example.mark}`, example] as const),
  );
  test.each(typed)(
    '%s',
    async (_, example) => {
      const reason = reasonNotRun(example);
      if (reason !== null) {
        console.log(`not run: ${reason}`);
        return;
      }
      if (example.mark !== MARKS.asUser) {
        await expectAsStated(example, shell);
        return;
      }
      const { status, stdout } = await runScript(example.text, { isUser: true });
      expect([status, stdout, isAsStated(stdout, statedOutput(example.text))]).toEqual([0, stdout, true]);
    },
    EXAMPLE_TIMEOUT_MS,
  );

  test(
    'the steps of the workflow, with sudo and npm as programs that only write down what they are asked',
    async () => {
      const workflow = examples.find((example) => fileOf(example)?.endsWith('test.yml'))!;
      const steps = [...workflow.text.matchAll(/^ {6}- run: (.*)$/gm)].map(([, command]) => command!);
      expect(steps.length).toBeGreaterThan(4);
      for (const text of steps) {
        const { status, stdout } = await runScript(text, { isUser: false });
        expect([status, stdout]).toEqual([0, stdout]);
      }
      expect(readFileSync(join(project.directory, 'installed.txt'), 'utf8')).toBe(
        'sudo apt-get update\nsudo apt-get install --yes fuse3\nnpm ci\n',
      );
    },
    EXAMPLE_TIMEOUT_MS,
  );
});
