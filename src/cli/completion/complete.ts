import type { Argument, Command, Option } from 'commander';
import { type Candidate, type FileKind, valuesOf } from './values.ts';

/** What can stand in place of the word under the cursor. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Names of files that the shell adds by itself. */
  readonly files: FileKind;
}

/** Where the words before the cursor lead. */
interface Position {
  readonly command: Command;
  /** Operands before the cursor. */
  readonly operands: readonly string[];
  /** The option whose value comes next. */
  readonly option: Option | null;
  readonly isAfterDashes: boolean;
}

/**
 * What can replace the last of `words`, which may be empty; the words before it are complete, and the first one follows the name of
 * the program. Everything comes from the tree of commands, so that a new one is completed without being mentioned here.
 */
export async function complete(root: Command, words: readonly string[]): Promise<Completion> {
  const word = words.at(-1) ?? '';
  const { command, operands, option, isAfterDashes } = follow(root, words.slice(0, -1));
  if (option !== null) return starting(word, await valuesOf(option, { root, command, operands, word }));
  if (!isAfterDashes && word.startsWith('-')) return completeOption(root, command, operands, word);
  if (command === root) return starting(word, { candidates: commandsOf(root), files: 'none' });
  const argument = argumentAt(command, operands.length);
  if (argument === null) return { candidates: [], files: 'none' };
  return starting(word, await valuesOf(argument, { root, command, operands, word }));
}

function follow(root: Command, words: readonly string[]): Position {
  let command = root;
  let option: Option | null = null;
  let isAfterDashes = false;
  const operands: string[] = [];
  for (const word of words) {
    if (option !== null) {
      option = null;
    } else if (!isAfterDashes && word === '--') {
      isAfterDashes = true;
    } else if (!isAfterDashes && word.startsWith('-')) {
      const named = optionsOf(command).find(({ long, short }) => long === word || short === word);
      option = named?.required === true ? named : null;
    } else if (command === root) {
      command = root.commands.find((candidate) => candidate.name() === word) ?? root;
    } else {
      operands.push(word);
    }
  }
  return { command, operands, option, isAfterDashes };
}

async function completeOption(
  root: Command,
  command: Command,
  operands: readonly string[],
  word: string,
): Promise<Completion> {
  const equals = word.indexOf('=');
  if (equals < 0) {
    const candidates = optionsOf(command).flatMap(({ long, short, description }) =>
      [long, short].filter((name) => name !== undefined).map((value) => ({ value, description })),
    );
    return starting(word, { candidates, files: 'none' });
  }
  const prefix = word.slice(0, equals + 1);
  const option = optionsOf(command).find(({ long }) => long === word.slice(0, equals));
  if (option?.required !== true) return { candidates: [], files: 'none' };
  const value = word.slice(equals + 1);
  const { candidates, files } = await valuesOf(option, { root, command, operands, word: value });
  const prefixed = candidates.map((candidate) => ({ ...candidate, value: prefix + candidate.value }));
  return starting(word, { candidates: prefixed, files });
}

function starting(word: string, { candidates, files }: Completion): Completion {
  // A candidate that is typed whole and goes on: what follows is the shell's.
  const shown = candidates.filter(
    ({ value, isOpen }) => value.startsWith(word) && !(isOpen === true && value === word),
  );
  return { candidates: shown, files };
}

/** The options that its help lists. */
export function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

export function commandsOf(root: Command): Candidate[] {
  return visibleCommands(root).map((command) => ({
    value: command.name(),
    description: command.description(),
  }));
}

/** The commands that its help lists. */
export function visibleCommands(root: Command): readonly Command[] {
  return root.createHelp().visibleCommands(root);
}

function argumentAt(command: Command, index: number): Argument | null {
  const argument = command.registeredArguments[index] ?? command.registeredArguments.at(-1);
  return argument !== undefined && (index < command.registeredArguments.length || argument.variadic)
    ? argument
    : null;
}
