import { readFileSync } from 'node:fs';
import { marked, type Token, type Tokens } from 'marked';

/** A fenced block of the README. */
export interface Example {
  /** Its line in the README, from 1 on. */
  readonly line: number;
  /** The section of the second level that it stands in. */
  readonly section: string;
  readonly language: string;
  readonly text: string;
  /** What the comment in front of it says, `<!-- example: MARK -->`; empty without one. */
  readonly mark: string;
}

/** Where examples are run, as their marks say: in the mounted directory without one. */
export const PLACES = {
  mount: '',
  clone: 'in the clone',
  untilInterrupt: 'in the clone, until Ctrl-C',
  withCompiler: 'in the clone, with a C compiler',
  withHome: 'in the clone, with a home directory',
} as const;

/** The file, relative to the clone, that an example is the text of. */
export const fileOf = ({ mark }: Example): string | undefined => /^file (.+)$/.exec(mark)?.[1];
/** Why an example is not run. */
export const reasonNotRun = ({ mark }: Example): string | undefined => /^not run: (.+)$/.exec(mark)?.[1];

const MARK = /^<!-- example: (.*) -->$/;
const OUTPUT = /^#>(?: (.*))?$/;

export const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** Every fenced block of `markdown`, in its order. A mark that belongs to no block is an error, so that none is misplaced. */
export function examplesOf(markdown: string): Example[] {
  const examples: Example[] = [];
  let line = 1;
  let section = '';
  let mark: string | null = null;
  for (const token of marked.lexer(markdown)) {
    if (token.type === 'heading' && (token as Tokens.Heading).depth === 2)
      section = (token as Tokens.Heading).text;
    if (token.type === 'code') {
      const { lang = '', text } = token as Tokens.Code;
      examples.push({ line, section, language: lang, text, mark: mark ?? '' });
      mark = null;
    } else if (token.type !== 'space') {
      if (mark !== null) throw new Error(`README.md:${line}: the mark '${mark}' stands before no example`);
      if (hasCode(token))
        throw new Error(`README.md:${line}: examples stand between paragraphs, not in them`);
      mark = (token.type === 'html' ? MARK.exec(token.raw.trim())?.[1] : undefined) ?? null;
    }
    line += token.raw.split('\n').length - 1;
  }
  if (mark !== null) throw new Error(`the README ends with the mark '${mark}'`);
  return examples;
}

function hasCode(token: Token): boolean {
  let found = false;
  void marked.walkTokens([token], ({ type }) => {
    found ||= type === 'code';
  });
  return found;
}

/** What an example of commands says that it prints, a pattern a line: `...` stands for anything. */
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
