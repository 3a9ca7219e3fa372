import type { Command } from 'commander';
import { complete, type Completion } from './complete.ts';
import type { Shell } from './names.ts';

/**
 * What a script of `shell` asks for, as it reads it: a line with the kind of files, then a line for each candidate. bash gives its
 * whole line and what readline takes for the word; the others give the words.
 */
export async function answerShell(root: Command, shell: Shell, args: readonly string[]): Promise<string> {
  switch (shell) {
    case 'bash':
      return answerBash(root, args[0] ?? '', args[1] ?? '');
    case 'zsh': {
      const { files, candidates } = await complete(root, args);
      // The first character says whether a blank follows.
      return lines(
        files,
        candidates.map(
          ({ value, description, isOpen }) => `${isOpen === true ? '+' : '='}${value}\t${description}`,
        ),
      );
    }
    case 'fish': {
      const { files, candidates } = await complete(root, [
        ...args.slice(0, -1),
        splitWords(args.at(-1) ?? '').words.at(-1)!,
      ]);
      return lines(
        files,
        candidates.map(({ value, description }) => `${value}\t${description}`),
      );
    }
  }
}

function lines(head: string, rest: readonly string[]): string {
  return [head, ...rest].map((line) => `${line}\n`).join('');
}

/** readline replaces what it takes for the word, which begins behind the last of `"'=:` and blanks. */
async function answerBash(root: Command, line: string, replaced: string): Promise<string> {
  const { words, isQuoted } = splitWords(line);
  const word = words.at(-1)!;
  const { files, candidates }: Completion = await complete(root, words.slice(1));
  const kept = word.endsWith(replaced) ? word.length - replaced.length : 0;
  const isOpen = candidates.some((candidate) => candidate.isOpen === true);
  const values = candidates.map(({ value }) => {
    const quote = !isQuoted && value.includes(' ') ? "'" : '';
    return quote + value.slice(kept);
  });
  // A single candidate would have its quotes closed: a second one keeps them open, and says that more follows.
  if (isQuoted && isOpen && values.length === 1) values.push(`${values[0]!}...`);
  return lines(`${files}${isOpen ? ' open' : ''}`, values);
}

/** The words of a line as a shell would take them, the last of which may be empty or in quotes that are not closed yet. */
export function splitWords(line: string): { words: string[]; isQuoted: boolean } {
  const words: string[] = [];
  let word = '';
  let quote = '';
  let before = ' ';
  for (let index = 0; index < line.length; index++) {
    const character = line[index]!;
    const isBlank = quote === '' && /\s/.test(character);
    if (isBlank && before !== ' ') {
      words.push(word);
      word = '';
    }
    before = isBlank ? ' ' : character;
    if (isBlank) continue;
    if (character === '\\' && quote !== "'") word += line[++index] ?? '';
    else if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
    else {
      word += character;
      // A blank in quotes is no end of a word.
      if (character === ' ') before = quote;
    }
  }
  return { words: [...words, word], isQuoted: quote !== '' };
}
