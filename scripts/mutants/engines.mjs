import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** What is mutated, and the tests that are to notice, by engine: folders and how the names of their files begin. */
const engines = {
  // Everything stands on it: the tests of the engines are its own.
  kern: [['test/engine', '']],
  pipe: [
    ['test/engine', 'pipe-'],
    ['test/engine', 'fifo-'],
    ['test/engine', 'option-'],
  ],
  kqueue: [['test/engine', 'kqueue-']],
  shm: [['test/engine', 'shm-']],
};

export const engineNames = Object.keys(engines);

/** Survivors meet these too, for the engine may be used in a way that its own tests do not. */
const otherTests = [
  ['test/engine', ''],
  ['test/vfs', ''],
  ['test/protocol', 'files'],
  ['test/protocol', 'held-back'],
  ['test/protocol', 'slices'],
  ['test/protocol', 'watching'],
];

/** Thousands of random histories each: left out at first, and run against the mutants that survive. */
const longTests = [
  'test/engine/kqueue-fuzz.test.ts',
  'test/engine/kqueue-interleaving.test.ts',
  'test/engine/lock-model.test.ts',
  'test/engine/option-model.test.ts',
  'test/engine/pipe-held-back.test.ts',
  'test/engine/pipe-interleaving.test.ts',
  'test/engine/pipe-model.test.ts',
  'test/engine/shm-model.test.ts',
  'test/engine/shm-race.test.ts',
];

/** Reads the sources: whatever is mutated in memory, it says the same. */
const withoutMutants = 'test/engine/rules-coverage.test.ts';

/** The test files for the run that the environment describes, from the root on. */
export function testFilesOf(root) {
  const own = engines[process.env.IPCFS_MUTANTS_ENGINE];
  const isForSurvivors = process.env.IPCFS_MUTANTS_SURVIVORS === '1';
  const files = new Set();
  for (const [folder, start] of isForSurvivors ? [...own, ...otherTests] : own) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (name.startsWith(start) && name.endsWith('.test.ts')) files.add(`${folder}/${name}`);
    }
  }
  files.delete(withoutMutants);
  if (!isForSurvivors) for (const file of longTests) files.delete(file);
  return files;
}
