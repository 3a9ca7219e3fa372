// All tests of an engine as one file: one process loads them once, and runs them for one mutant after the other.
import { describe } from 'vitest';
import { testFilesOf } from './engines.mjs';

const root = new URL('../../', import.meta.url).pathname;
for (const file of testFilesOf(root)) {
  describe(file, async () => {
    await import(/* @vite-ignore */ `${root}${file}`);
  });
}
