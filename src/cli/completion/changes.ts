import { join } from 'node:path';
import { outputOf } from '../../host/run-program.ts';
import { namesFile } from '../../kqueue/filters/list.ts';
import { filterNumbers, flagOptions, noteOptions, verbFlags } from '../../kqueue/words.ts';
import type { Candidate } from './values.ts';

/** A mount that does not answer must not hold up a shell. */
const LIST_TIMEOUT_MS = 1000;
/**
 * Names that mean themselves to every shell, in quotes and without. Any user makes names, and bash puts a candidate into the line as it
 * is: one of the others could end the quotes and begin a command. (A name with a blank cannot be written in a change either.)
 */
const PLAIN_NAME = /^[\p{L}\p{N}._+@%:,=-]+\/?$/u;
const VALUE_OPTIONS = ['data=', 'fflags=', 'udata='];

/**
 * Continuations of a change of `ipcfs wait`, each the whole change. Where there is only one way on, it is gone: a shell that closes
 * the quotes behind a single candidate would end the change there.
 */
export async function completeChange(change: string, directory: string | null): Promise<Candidate[]> {
  let text = change;
  for (;;) {
    const found = await continuations(text, directory);
    const [only, ...others] = found;
    if (only === undefined || others.length > 0 || !/[ /]$/.test(only) || only === text) {
      return found.map((value) => ({ value, description: '', isOpen: /[ /=:]$/.test(value) }));
    }
    const further = await continuations(only, directory);
    if (further.length === 0) return [{ value: only, description: '', isOpen: true }];
    text = only;
  }
}

/** The ways to go on with the last word, which may be empty. A blank follows a word that cannot be the last. */
async function continuations(change: string, directory: string | null): Promise<string[]> {
  const words = change.split(' ');
  const word = words.pop()!;
  const before = words.map((complete) => `${complete} `).join('');
  const [verb, filter] = words;
  const number = filterNumbers.get(filter ?? '') ?? 0;
  if (words.length > 0 && !verbFlags.has(verb!)) return [];
  if (words.length > 1 && number === 0) return [];
  let next: string[];
  if (words.length === 0) next = [...verbFlags.keys()].map((name) => `${name} `);
  else if (words.length === 1) next = [...filterNumbers.keys()].map((name) => `${name} `);
  else if (words.length === 2) next = namesFile(number) ? await paths(word, directory) : [];
  else next = [...flagOptions.keys(), ...noteOptions(number).keys(), ...VALUE_OPTIONS];
  return next.filter((candidate) => candidate.startsWith(word)).map((candidate) => before + candidate);
}

/** Names in the mount that go on from `word`, counted from its root, and descriptors. Another program asks the mount. */
async function paths(word: string, directory: string | null): Promise<string[]> {
  if (word.startsWith('fd:')) return [];
  const parent = word.slice(0, word.lastIndexOf('/') + 1);
  const names = directory === null ? [] : await list(join(directory, parent));
  return [...names.map((name) => parent + name), ...(parent === '' ? ['fd:'] : [])];
}

async function list(directory: string): Promise<string[]> {
  const text = await outputOf('ls', ['-1p', '--', directory], LIST_TIMEOUT_MS);
  return (text ?? '').split('\n').filter((name) => PLAIN_NAME.test(name));
}
