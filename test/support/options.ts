import type { Fifo } from '../../src/pipe/fifo.ts';
import { NO_OPTIONS } from '../../src/pipe/pipe-options.ts';
import { withOptions, withoutOptions } from '../../src/tree/options/parse-options.ts';

/** `set` of a pipe, in the words of ctl; what `configure` says. */
export function setOptions(fifo: Fifo, words: string): number {
  return fifo.configure(withOptions(fifo.options, words.split(' ')));
}

/** `unset` of a pipe. */
export function unsetOptions(fifo: Fifo, names: string): number {
  return fifo.configure(withoutOptions(fifo.options, names.split(' ')));
}

/** Options from words. */
export function optionsOf(words: string): typeof NO_OPTIONS {
  return withOptions(NO_OPTIONS, words.split(' '));
}
