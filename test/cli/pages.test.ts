import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { marked, type Tokens } from 'marked';
import { expect, test } from 'vitest';
import { visibleCommands } from '../../src/cli/completion/complete.ts';
import { infoColumns } from '../../src/cli/help/columns.ts';
import { TOPICS } from '../../src/cli/help/topics.ts';
import { program } from '../../src/cli/program.ts';
import {
  examplesOf,
  fileOf,
  guide,
  isAsStated,
  MARKS,
  type Page,
  readme,
  readPage,
  reasonNotRun,
  statedOutput,
  typedLines,
} from '../support/pages.ts';

// What the tests that type the pages rely on, and what stands beside the examples.

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = [readme, ...guide];
const README_MAXIMUM_LINES = 350;

/** Every example of commands that is not typed, and why. */
const NOT_RUN: readonly (readonly [page: string, firstLine: string, reason: string])[] = [
  ['README.md', 'npm install', 'it would install for every user of this machine'],
  ['installing.md', 'npm install', 'it would install for every user of this machine'],
  ['installing.md', 'package="$(npm root --global)/ipcfs"', 'it changes /sbin'],
  [
    'installing.md',
    'install -m 644 "$package/scripts/system/ipcfs@.service" /etc/systemd/system/',
    'it changes /etc, and needs systemd',
  ],
  ['transports.md', 'apt-get install libfuse2', 'it installs packages'],
  [
    'transports.md',
    'apt-get install fuse3 libfuse3-dev gcc g++ make python3 pkg-config',
    'it installs packages',
  ],
];

const { scripts, files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
  files: string[];
};

/** Files that npm packs without being told. */
const ALWAYS_PACKED = ['README.md', 'LICENSE', 'package.json'];

function isPacked(path: string): boolean {
  return [...files, ...ALWAYS_PACKED].some((name) => path === name || path.startsWith(`${name}/`));
}

test('git ignores the directory that the README mounts on', () => {
  expect(readme.text).toContain('scripts/start.sh mnt\n');
  expect(readFileSync(join(root, '.gitignore'), 'utf8').split('\n')).toContain('/mnt/');
});

test('the README is short', () => {
  expect(readme.text.split('\n').length).toBeLessThanOrEqual(README_MAXIMUM_LINES);
});

test('the guide lists the columns of info/ as the tables have them', () => {
  const { text } = readPage('native-notes/guide/tree.md');
  const [, listed] = /<!-- columns of info\/ -->\n+(.*?)\n+<!-- end of columns -->/s.exec(text)!;
  const rows = infoColumns().map(
    ({ table, name, description }) => `| \`${table}\` | \`${name}\` | ${description} |`,
  );
  expect(listed!.split('\n')).toEqual(['| table | column | what it is |', '| --- | --- | --- |', ...rows]);
});

test('examples are of kinds that are checked, and those that are not typed are listed with their reasons', () => {
  for (const { path, examples } of pages) {
    for (const example of examples) {
      const where = `${path}:${example.line}: ${example.mark}`;
      if (example.language === 'sh') {
        const isKnown =
          reasonNotRun(example) !== undefined || (Object.values(MARKS) as string[]).includes(example.mark);
        expect(isKnown, where).toBe(true);
        // zsh takes `# ...` for a command, unless it is told otherwise.
        expect(
          typedLines(example.text).filter((line) => /(^|\s)#(\s|$)/.test(line)),
          where,
        ).toEqual([]);
      } else if (example.language === 'ts') {
        // test/package compiles and runs the examples of this page.
        expect([basename(path), example.mark], where).toEqual(['typescript.md', '']);
      } else if (example.language !== '') {
        expect(fileOf(example), where).toBeDefined();
      } else if (fileOf(example) === undefined) {
        // Grammars, pictures, and lines of other programs' configuration.
        expect(example.text, where).not.toMatch(/^(\$ |ipcfs |npx |npm |scripts\/)/m);
      }
    }
  }
  const notRun = pages.flatMap(({ path, examples }) =>
    examples
      .filter((example) => reasonNotRun(example) !== undefined)
      .map((example) => [basename(path), example.text.split('\n')[0], reasonNotRun(example)]),
  );
  expect(notRun).toEqual(NOT_RUN);
});

test('an example uses each file that a page gives, on the same page behind it', () => {
  for (const { path, examples } of pages) {
    for (const [index, example] of examples.entries()) {
      const file = fileOf(example);
      // A runner finds it by its name: a configuration of the runner, or of a continuous integration.
      if (file === undefined || file.startsWith('.') || /conftest|reader\.test|test_reader/.test(file))
        continue;
      const users = examples.slice(index + 1).map(({ text }) => text);
      expect([path, file, users.some((text) => text.includes(file))]).toEqual([path, file, true]);
    }
  }
});

test('commands, options, scripts and links in the pages exist, and links lead to packed files', () => {
  const commands = new Map(visibleCommands(program()).map((command) => [command.name(), command]));
  let linkCount = 0;
  for (const page of pages) {
    const spans: string[] = [];
    const links: string[] = [];
    void marked.walkTokens(marked.lexer(page.text), (token) => {
      if (token.type === 'codespan') spans.push((token as Tokens.Codespan).text);
      if (token.type === 'link' || token.type === 'image') links.push((token as Tokens.Link).href);
    });
    for (const span of spans) {
      const [, name, rest] = /^ipcfs ([a-z]+)(.*)$/.exec(span) ?? [];
      if (name !== undefined) {
        const command = commands.get(name);
        expect(command, `${page.path}: ${span}`).toBeDefined();
        for (const [option] of rest!.matchAll(/(?<= )--[a-z-]+/g)) {
          expect(
            command!.options.map(({ long }) => long),
            `${page.path}: ${span}`,
          ).toContain(option);
        }
      }
      const script = /^npm run ([a-z:]+)/.exec(span)?.[1];
      if (script !== undefined) expect(Object.keys(scripts)).toContain(script);
    }
    for (const link of links.filter((href) => !href.includes('://'))) {
      linkCount++;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page.path : relative(root, join(root, dirname(page.path), file));
      const where = `${page.path}: ${link}`;
      expect(existsSync(join(root, target)), where).toBe(true);
      expect(isPacked(target), where).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(readPage(target)), where).toContain(anchor);
    }
  }
  expect(linkCount).toBeGreaterThan(50);
});

test('the README names each page of the guide', () => {
  for (const { path } of guide) expect(readme.text).toContain(`](${path})`);
});

test('each marked part of a page belongs to topics of that page', () => {
  for (const { path, text } of pages) {
    for (const [, names] of text.matchAll(/^<!-- help: (.*) -->$/gm)) {
      for (const name of names!.split(' ')) expect([name, TOPICS.get(name)?.page]).toEqual([name, path]);
    }
  }
});

/** As a renderer of Markdown makes them from the headings. */
function anchorsOf({ text }: Page): string[] {
  const headings: string[] = [];
  void marked.walkTokens(marked.lexer(text), (token) => {
    if (token.type === 'heading') headings.push((token as Tokens.Heading).text);
  });
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replace(/\s/g, '-'),
  );
}

test('examples are found with their marks, and a mark without an example is an error', () => {
  const text = '## A\n\n<!-- example: not run: why -->\n```sh\none\n```\n\n```\ntwo\n```\n';
  expect(examplesOf(text)).toEqual([
    { line: 4, language: 'sh', text: 'one', mark: 'not run: why' },
    { line: 8, language: '', text: 'two', mark: '' },
  ]);
  expect(() => examplesOf('<!-- example: first shell -->\n\ntext\n\n```sh\none\n```\n')).toThrow(
    'stands before no example',
  );
  expect(() => examplesOf('<!-- example: first shell -->\n')).toThrow('ends with the mark');
  expect(() => examplesOf('- item\n\n  ```sh\n  one\n  ```\n')).toThrow('between paragraphs');
});

test('a reader types the lines that are no output', () => {
  expect(typedLines('a\n#> b\n#>\nc')).toEqual(['a', 'c']);
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
