import { readdirSync, readFileSync } from 'node:fs';
import { marked, type Token, type Tokens } from 'marked';

/** A fenced block of a page. */
export interface Example {
  /** Its line in the page, from 1 on. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** What the comment in front of it says, `<!-- example: MARK -->`; empty without one. */
  readonly mark: string;
}

/** A page of the README or the guide. */
export interface Page {
  /** Relative to the root of the project. */
  readonly path: string;
  readonly text: string;
  readonly examples: readonly Example[];
}

/** Where and when blocks of commands are typed, as their marks say: in the second shell without one. */
export const MARKS = {
  secondShell: '',
  firstShell: 'first shell',
  withCompiler: 'with a C compiler',
  withPytest: 'with pytest',
  withBats: 'with bats',
  withDocker: 'with docker',
  asUser: 'as a user who may not mount',
  onEachWorker: 'on each worker',
  onOneWorker: 'on one worker',
} as const;

const root = new URL('../../', import.meta.url);
const GUIDE = 'native-notes/guide';
const MARK = /^<!-- example: (.*) -->$/;
const OUTPUT = /^#>(?: (.*))?$/;

/** The file, beside the mount point, that an example is the text of. */
export const fileOf = ({ mark }: Example): string | undefined => /^file (.+)$/.exec(mark)?.[1];
/** Why an example is not typed. */
export const reasonNotRun = ({ mark }: Example): string | undefined => /^not run: (.+)$/.exec(mark)?.[1];

export function readPage(path: string): Page {
  const text = readFileSync(new URL(path, root), 'utf8');
  return { path, text, examples: examplesOf(text, path) };
}

export const readme = readPage('README.md');

/** The pages of the guide, by name. */
export const guide: readonly Page[] = readdirSync(new URL(GUIDE, root))
  .filter((name) => name.endsWith('.md'))
  .sort()
  .map((name) => readPage(`${GUIDE}/${name}`));

/** Every fenced block of `markdown`, in its order. A mark that belongs to no block is an error, so that none is misplaced. */
export function examplesOf(markdown: string, path = 'page'): Example[] {
  const examples: Example[] = [];
  let line = 1;
  let mark: string | null = null;
  for (const token of marked.lexer(markdown)) {
    if (token.type === 'code') {
      const { lang = '', text } = token as Tokens.Code;
      examples.push({ line, language: lang, text, mark: mark ?? '' });
      mark = null;
    } else if (token.type !== 'space') {
      if (mark !== null) throw new Error(`${path}:${line}: the mark '${mark}' stands before no example`);
      if (hasCode(token)) throw new Error(`${path}:${line}: examples stand between paragraphs, not in them`);
      mark = (token.type === 'html' ? MARK.exec(token.raw.trim())?.[1] : undefined) ?? null;
    }
    line += token.raw.split('\n').length - 1;
  }
  if (mark !== null) throw new Error(`${path} ends with the mark '${mark}'`);
  return examples;
}

function hasCode(token: Token): boolean {
  let found = false;
  void marked.walkTokens([token], ({ type }) => {
    found ||= type === 'code';
  });
  return found;
}

/** The lines of a block that a reader types. */
export function typedLines(text: string): string[] {
  return text.split('\n').filter((line) => !OUTPUT.test(line));
}

/** What a block of commands says that it prints, a pattern a line: `...` stands for anything. */
export function statedOutput(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const output = OUTPUT.exec(line);
    return output === null ? [] : [output[1] ?? ''];
  });
}

/**
 * Whether `printed` is what `stated` says, line by line. Runs of blanks are one, as columns are as wide as their longest entry;
 * `...` is any part of a line, and as a whole line any number of lines.
 */
export function isAsStated(printed: string, stated: readonly string[]): boolean {
  const lines = stated.map((line) =>
    line === '...' ? '(?:[^\\n]*\\n)*?' : `${squeeze(line).split('...').map(escape).join('[^\\n]*')}\\n`,
  );
  const text = printed.split('\n').map(squeeze).join('\n');
  return new RegExp(`^${lines.join('')}$`).test(text === '' || text.endsWith('\n') ? text : `${text}\n`);
}

const squeeze = (line: string): string => line.replace(/[ \t]+/g, ' ').trim();
const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
