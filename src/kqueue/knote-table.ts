import type { File } from '../kern/file.ts';
import type { Ident } from './kevent.ts';
import type { Knote } from './knote.ts';

/**
 * The knotes of one queue and filter, by ident, and by file where several have the same: one number can stand for descriptors of many
 * processes, and for many files in turn. Everything takes constant time, however many of them there are.
 */
export class KnoteTable {
  readonly #knotes = new Map<Ident, Knote | Map<File | null, Knote>>();

  /** The knote of an ident, and of a file if the ident names one; `file` null takes whichever there is (K39). */
  find(ident: Ident, file: File | null): Knote | null {
    const found = this.#knotes.get(ident);
    if (found === undefined) return null;
    if (found instanceof Map) return (file === null ? first(found) : found.get(file)) ?? null;
    return file === null || found.openFile === file ? found : null;
  }

  insert(knote: Knote): void {
    const found = this.#knotes.get(knote.ident);
    if (found === undefined) this.#knotes.set(knote.ident, knote);
    else if (found instanceof Map) found.set(knote.openFile, knote);
    else
      this.#knotes.set(
        knote.ident,
        new Map([
          [found.openFile, found],
          [knote.openFile, knote],
        ]),
      );
  }

  remove(knote: Knote): void {
    const found = this.#knotes.get(knote.ident);
    if (found instanceof Map) {
      found.delete(knote.openFile);
      if (found.size > 0) return;
    }
    this.#knotes.delete(knote.ident);
  }

  /** By ident, in order of registration. Knotes may come and go meanwhile. */
  *[Symbol.iterator](): Iterator<Knote> {
    for (const found of this.#knotes.values()) {
      if (found instanceof Map) yield* found.values();
      else yield found;
    }
  }
}

function first(knotes: Map<File | null, Knote>): Knote | undefined {
  return knotes.values().next().value;
}
