import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { visibleCommands } from '../../src/cli/completion/complete.ts';
import { renderForTerminal } from '../../src/cli/help/terminal.ts';
import { findTopic } from '../../src/cli/help/topic-text.ts';
import { TOPICS } from '../../src/cli/help/topics.ts';
import { tunableVariables } from '../../src/cli/help/tunables.ts';
import { program } from '../../src/cli/program.ts';
import { filterNumbers, flagOptions, verbFlags } from '../../src/kqueue/words.ts';
import { ipcfs } from '../support/cli.ts';
import { run } from '../support/process.ts';

const EXIT_USAGE = 2;
const page = fileURLToPath(new URL('../../dist/man/ipcfs.1', import.meta.url));

test('help lists the commands and the topics, without defaults that say nothing', async () => {
  const { status, stdout } = await ipcfs(['help']);
  expect(status).toBe(0);
  expect((await ipcfs(['--help'])).stdout).toBe(stdout);
  for (const name of TOPICS.keys()) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
  for (const command of visibleCommands(program())) {
    expect(stdout).toMatch(new RegExp(`^  ${command.name()}\\b`, 'm'));
    const help = await ipcfs(['help', command.name()]);
    expect(help.status).toBe(0);
    expect(help.stdout).toContain(`Usage: ipcfs ${command.name()}`);
    expect(help.stdout).not.toMatch(/default:\s+(false|\[\])/);
  }
  expect(stdout).not.toContain('__complete');
});

test('no command is wrong usage, with one line', async () => {
  const { status, stdout, stderr } = await ipcfs([]);
  expect([status, stdout, stderr]).toEqual([
    EXIT_USAGE,
    '',
    "ipcfs: name a command: 'ipcfs --help' lists them\n",
  ]);
});

test('a topic that is none is wrong usage, with one line that names those there are', async () => {
  const { status, stdout, stderr } = await ipcfs(['help', 'frob']);
  expect([status, stdout]).toEqual([EXIT_USAGE, '']);
  expect(stderr).toMatch(
    /^ipcfs: there is no command and no topic 'frob': topics are examples, tree, .*kqueue.*\n$/,
  );
});

test.each([...TOPICS.keys()])('the topic %s is what its page says', async (name) => {
  const { status, stdout, stderr } = await ipcfs(['help', name]);
  expect([status, stderr]).toEqual([0, '']);
  const words = stdout.replace(/\s+/g, ' ');
  const [, part] = new RegExp(
    `<!-- help: [a-z ]*\\b${name}\\b[a-z ]* -->\\n(.*?)<!-- end of help -->`,
    's',
  ).exec(readFileSync(new URL(`../../${TOPICS.get(name)!.page}`, import.meta.url), 'utf8'))!;
  const expected = part!
    .replace(/\]\([^)]*\)/g, '')
    .replace(/<!--.*?-->/g, '')
    .split(/[^\w]+/)
    .filter((word) => word !== '');
  expect(expected.length).toBeGreaterThan(20);
  for (const word of expected) expect(words).toContain(word);
});

test('the grammar names every word that the parser knows', async () => {
  const { stdout } = await ipcfs(['help', 'kqueue']);
  for (const word of [...verbFlags.keys(), ...filterNumbers.keys(), ...flagOptions.keys()]) {
    expect(stdout).toMatch(new RegExp(`\\b${word}\\b`));
  }
  const sysctls = (await ipcfs(['help', 'sysctl'])).stdout;
  for (const { name } of tunableVariables()) expect(sysctls).toContain(name);
});

test.each([40, 60, 80, 100, 200])('topics fit into %d columns', (columns) => {
  for (const name of TOPICS.keys()) {
    const lines = renderForTerminal(findTopic(name).tokens, columns).split('\n');
    for (const line of lines.filter((candidate) => !candidate.startsWith('  '))) {
      expect(line.length).toBeLessThanOrEqual(columns);
    }
  }
});

test('the manual page has every command, option, topic and tunable, and no lint', async () => {
  for (const args of [
    ['mandoc', '-T', 'lint', page],
    ['groff', '-man', '-ww', '-z', page],
  ]) {
    const [command, ...rest] = args;
    expect(await run(command!, rest)).toMatchObject({ status: 0, stdout: '', stderr: '' });
  }
  const { stdout: text } = await run('man', ['-l', page], { env: { MANWIDTH: '200' } });
  for (const command of visibleCommands(program())) {
    expect(text).toContain(`ipcfs ${command.name()}`);
    for (const { long, description } of command.options) {
      expect(text).toContain(long);
      expect(text.replace(/\s+/g, ' ')).toContain(description);
    }
  }
  for (const name of TOPICS.keys()) expect(text).toMatch(new RegExp(`^${name.toUpperCase()}$`, 'm'));
  for (const { name } of tunableVariables()) expect(text).toContain(name);
  expect(text).toContain('change = add|delete|enable|disable|modify FILTER IDENT [OPTION...]');
  expect(text).toMatch(/sysctl\.NAME=VALUE/);
  expect(text).toMatch(/^EXIT STATUS$/m);
  expect(text).toContain("echo 'add read pipes/jobs' >&3");
});
