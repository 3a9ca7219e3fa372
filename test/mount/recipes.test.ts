import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { whyNoCompiler } from '../support/c-program.ts';
import { describeMount } from '../support/mount.ts';
import { type Finished, run } from '../support/process.ts';
import { type Example, examplesOf, fileOf, isAsStated, statedOutput } from '../support/readme.ts';
import { TestProject } from '../support/test-project.ts';

// The recipes of the guide, in a project that has the package installed, as they are typed.

const page = fileURLToPath(new URL('../../native-notes/guide/test-bench.md', import.meta.url));
const container = fileURLToPath(new URL('../support/programs/container.sh', import.meta.url));
const examples = examplesOf(readFileSync(page, 'utf8'));
const EXAMPLE_TIMEOUT_MS = 120_000;

/** What examples that are marked so need. They are run where it is there. */
const programs: Readonly<Record<string, string>> = { 'with pytest': 'pytest', 'with bats': 'bats' };

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

  function type({ text, mark }: Pick<Example, 'text' | 'mark'>): Promise<Finished> {
    const { directory, options } = project;
    const script = `exec 2>&1; cd '${directory}'; PATH='${directory}/programs':$PATH; ${text}`;
    const args = ['-euc', script];
    const timeoutMs = EXAMPLE_TIMEOUT_MS;
    return mark === 'as a user who may not mount'
      ? project.runAsUser('bash', args, { ...options, timeoutMs })
      : run('bash', args, { ...options, timeoutMs });
  }

  const typed = examples.filter(({ language }) => language === 'sh');
  test.each(typed.map((example) => [`test-bench.md:${example.line} ${example.mark}`, example] as const))(
    '%s',
    async (_, example) => {
      const reason = reasonNotRun(example);
      if (reason !== null) {
        console.log(`not run: ${reason}`);
        return;
      }
      const { status, stdout } = await type(example);
      const stated = statedOutput(example.text);
      if (!isAsStated(stdout, stated)) expect(stdout).toBe(stated.map((line) => `${line}\n`).join(''));
      expect([status, stdout]).toEqual([0, stdout]);
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
        const { status, stdout } = await type({ text, mark: '' });
        expect([status, stdout]).toEqual([0, stdout]);
      }
      expect(readFileSync(join(project.directory, 'installed.txt'), 'utf8')).toBe(
        'sudo apt-get update\nsudo apt-get install --yes fuse3\nnpm ci\n',
      );
    },
    EXAMPLE_TIMEOUT_MS,
  );
});
