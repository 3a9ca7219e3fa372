import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { marked, type Tokens } from 'marked';
import { expect, test } from 'vitest';
import { visibleCommands } from '../../src/cli/completion/complete.ts';
import { infoColumns } from '../../src/cli/help/columns.ts';
import { program } from '../../src/cli/program.ts';
import {
  examplesOf,
  fileOf,
  isAsStated,
  PLACES,
  readme,
  reasonNotRun,
  statedOutput,
} from '../support/readme.ts';

// What test/mount/readme.test.ts relies on when it runs the examples, and what stands beside them.

const root = fileURLToPath(new URL('../../', import.meta.url));
const examples = examplesOf(readme);

/** Every example of commands that is not run, and why. */
const NOT_RUN: readonly (readonly [firstLine: string, reason: string])[] = [
  [
    'npm install --global ipcfs      # the command, its manual page, no compiler',
    'it would install for every user of this machine',
  ],
  ['package="$(npm root --global)/ipcfs"', 'it changes /sbin'],
  [
    'install -m 644 "$package/scripts/system/ipcfs@.service" /etc/systemd/system/',
    'it changes /etc, and needs systemd',
  ],
  ['apt-get install libfuse2                        # libfuse2t64 in newer releases', 'it installs packages'],
  ['apt-get install fuse3 libfuse3-dev gcc g++ make python3 pkg-config', 'it installs packages'],
  ['npm run bench', 'it takes minutes, and its figures are those of the machine'],
];

test('the README lists the columns of info/ as the tables have them', () => {
  const [, listed] = /<!-- columns of info\/ -->\n+(.*?)\n+<!-- end of columns -->/s.exec(readme)!;
  const rows = infoColumns().map(
    ({ table, name, description }) => `| \`${table}\` | \`${name}\` | ${description} |`,
  );
  expect(listed!.split('\n')).toEqual(['| table | column | what it is |', '| --- | --- | --- |', ...rows]);
});

test('examples are of kinds that are checked, and those that are not run are listed with their reasons', () => {
  for (const example of examples) {
    const where = `README.md:${example.line}: ${example.mark}`;
    if (example.language === 'sh') {
      const isKnown =
        reasonNotRun(example) !== undefined || (Object.values(PLACES) as string[]).includes(example.mark);
      expect(isKnown, where).toBe(true);
    } else if (example.language === 'ts') {
      // test/package compiles and runs the examples of this section.
      expect([example.section, example.mark], where).toEqual(['From TypeScript', '']);
    } else if (example.language === 'c') {
      expect(fileOf(example), where).toBeDefined();
    } else {
      // Grammars, pictures, and lines of other programs' configuration.
      expect(example.language, where).toBe('');
      expect(example.text, where).not.toMatch(/^(\$ |ipcfs |npx |npm |scripts\/)/m);
    }
  }
  const notRun = examples.filter((example) => reasonNotRun(example) !== undefined);
  expect(notRun.map((example) => [example.text.split('\n')[0], reasonNotRun(example)])).toEqual(NOT_RUN);
});

test('a file that an example is the text of is used by an example behind it', () => {
  for (const [index, example] of examples.entries()) {
    const file = fileOf(example);
    if (file === undefined) continue;
    expect(
      examples.slice(index + 1).some(({ language, text }) => language === 'sh' && text.includes(file)),
    ).toBe(true);
  }
});

test('commands, options, scripts and links in the text are there', () => {
  const commands = new Map(visibleCommands(program()).map((command) => [command.name(), command]));
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const anchors = new Set<string>();
  const spans: string[] = [];
  const links: string[] = [];
  void marked.walkTokens(marked.lexer(readme), (token) => {
    if (token.type === 'codespan') spans.push((token as Tokens.Codespan).text);
    if (token.type === 'link') links.push((token as Tokens.Link).href);
    if (token.type === 'heading') anchors.add(anchorOf((token as Tokens.Heading).text));
  });
  const named = spans.flatMap((text) => /^ipcfs ([a-z]+)(.*)$/.exec(text) ?? []);
  expect(named.length).toBeGreaterThan(0);
  for (const span of spans) {
    const [, name, rest] = /^ipcfs ([a-z]+)(.*)$/.exec(span) ?? [];
    if (name !== undefined) {
      const command = commands.get(name);
      expect(command, span).toBeDefined();
      for (const [option] of rest!.matchAll(/(?<= )--[a-z-]+/g)) {
        expect(
          command!.options.map(({ long }) => long),
          span,
        ).toContain(option);
      }
    }
    const script = /^npm run ([a-z:]+)/.exec(span)?.[1];
    if (script !== undefined) expect(Object.keys(scripts)).toContain(script);
  }
  expect(links.length).toBeGreaterThan(20);
  for (const link of links.filter((href) => !href.includes('://'))) {
    if (link.startsWith('#')) expect([...anchors]).toContain(link.slice(1));
    else expect(existsSync(join(root, link)), link).toBe(true);
  }
});

/** As a renderer of Markdown makes it from a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replace(/\s/g, '-');
}

test('examples are found with their marks, and a mark without an example is an error', () => {
  const text = '## A\n\n<!-- example: not run: why -->\n```sh\none\n```\n\n```\ntwo\n```\n';
  expect(examplesOf(text)).toEqual([
    { line: 4, section: 'A', language: 'sh', text: 'one', mark: 'not run: why' },
    { line: 8, section: 'A', language: '', text: 'two', mark: '' },
  ]);
  expect(() => examplesOf('<!-- example: in the clone -->\n\ntext\n\n```sh\none\n```\n')).toThrow(
    'stands before no example',
  );
  expect(() => examplesOf('<!-- example: in the clone -->\n')).toThrow('ends with the mark');
  expect(() => examplesOf('- item\n\n  ```sh\n  one\n  ```\n')).toThrow('between paragraphs');
});

test.each([
  ['a\n', '#> a', true],
  ['a\n', '', false],
  ['', '#> a', false],
  ['', 'echo > x', true],
  ['a\nb\n', '#> a', false],
  ['a\n', '#> a\n#> b', false],
  ['a   b\n', '#> a b', true],
  ['a 17 b\n', '#> a ... b', true],
  ['a 17\nb\n', '#> a ... b', false],
  ['a.c\n', '#> a.c', true],
  ['abc\n', '#> a.c', false],
  ['1\n2\nend\n', '#> ...\n#> end', true],
  ['1\n2\n', '#> ...\n#> end', false],
  ['\na\n', '#>\n#> a', true],
])('%j of %j: %s', (printed, example, expected) => {
  expect(isAsStated(printed, statedOutput(example))).toBe(expected);
});
