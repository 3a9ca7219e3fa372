import { relative } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import { isIpcfsMount, mountTable } from '../../host/mounts.ts';
import { TOPICS } from '../help/topics.ts';
import { completeChange } from './changes.ts';

export interface Candidate {
  readonly value: string;
  readonly description: string;
  /** More is to follow: no blank is put behind it. */
  readonly isOpen?: boolean;
}

/** Which names of files can stand there too. */
export type FileKind = 'none' | 'files' | 'directories';

export interface Values {
  readonly candidates: readonly Candidate[];
  readonly files: FileKind;
}

/** Where a value is asked for. */
export interface Place {
  readonly root: Command;
  readonly command: Command;
  /** Of the command, before the cursor. */
  readonly operands: readonly string[];
  /** What is there of the value. */
  readonly word: string;
}

/** What an argument or an option's value can be: its choices, or by the word that stands for it in the help. */
export async function valuesOf(what: Argument | Option, place: Place): Promise<Values> {
  if (what.argChoices !== undefined) {
    return { candidates: what.argChoices.map((value) => ({ value, description: '' })), files: 'none' };
  }
  const placeholder = what instanceof Argument ? what.name() : /<(.+)>/.exec(what.flags)?.[1];
  switch (placeholder) {
    case 'DIR':
      return place.command.name() === 'mount'
        ? { candidates: [], files: 'directories' }
        : { candidates: ipcfsMounts(place.word), files: 'none' };
    case 'FILE':
    case 'COMMAND':
      return { candidates: [], files: 'files' };
    case 'NAME=VALUE':
      return { candidates: await tunables(), files: 'none' };
    case 'PIPE':
      return pipes(place.word);
    case 'OPTION':
      return { candidates: await pipeOptions(place.command.name() === 'unset'), files: 'none' };
    case 'CHANGE':
      return { candidates: await completeChange(place.word, place.operands[0] ?? null), files: 'none' };
    case 'TOPIC':
      return { candidates: topics(place.root), files: 'none' };
    default:
      return { candidates: [], files: 'none' };
  }
}

/** Paths that mean themselves to every shell. */
const PLAIN_PATH = /^[\p{L}\p{N}._+@%:,=/-]+$/u;

/** Mount points: relative to the working directory where they lie in it, unless `word` begins an absolute path. */
function ipcfsMounts(word: string): Candidate[] {
  // bash puts a candidate into the line as it is, and any user may choose a mount point.
  const entries = mountTable().filter((entry) => isIpcfsMount(entry) && PLAIN_PATH.test(entry.directory));
  return entries.map(({ directory }) => ({ value: nameOf(directory, word), description: 'ipcfs' }));
}

function nameOf(directory: string, word: string): string {
  const cwd = process.cwd();
  if (word.startsWith('/') || cwd === '/') return directory;
  const path = relative(cwd, directory);
  if (path === '') return '.';
  if (path.startsWith('..')) return directory;
  return word.startsWith('./') ? `./${path}` : path;
}

/** The folders of pipes; where none of them can follow, names of files. */
function pipes(word: string): Values {
  const candidates = ipcfsMounts(word).map(pipesOf);
  const isBefore = candidates.some(({ value }) => value.startsWith(word) && value !== word);
  return { candidates, files: isBefore ? 'none' : 'files' };
}

function pipesOf({ value, description }: Candidate): Candidate {
  return { value: `${value}/pipes/`, description, isOpen: true };
}

async function pipeOptions(areNamed: boolean): Promise<Candidate[]> {
  const { OPTION_VALUES } = await import('../../pipe/pipe-options.ts');
  const names = Object.entries(OPTION_VALUES);
  if (areNamed) return ['all', ...names.map(([name]) => name)].map((value) => ({ value, description: '' }));
  return names.flatMap(([name, values]) => {
    if (values === null) return [{ value: name, description: '' }];
    if (values.length === 0) return [{ value: `${name}=`, description: '', isOpen: true }];
    return values.map((value) => ({ value: `${name}=${value}`, description: '' }));
  });
}

/** The registry needs the C library, which other completions do not wait for. */
async function tunables(): Promise<Candidate[]> {
  const { tunableVariables } = await import('../help/tunables.ts');
  return tunableVariables().map(({ name, description }) => ({
    value: `${name}=`,
    description,
    isOpen: true,
  }));
}

function topics(root: Command): Candidate[] {
  const commands = root.createHelp().visibleCommands(root);
  return [
    ...commands.map((command) => ({ value: command.name(), description: command.description() })),
    ...[...TOPICS].map(([value, { summary }]) => ({ value, description: summary })),
  ];
}
