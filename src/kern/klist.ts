import type { File } from './file.ts';

/** Event filters, in DragonFly's numbering. */
export const EVFILT_READ = -1;
export const EVFILT_WRITE = -2;
export const EVFILT_AIO = -3;
export const EVFILT_VNODE = -4;
export const EVFILT_PROC = -5;
export const EVFILT_SIGNAL = -6;
export const EVFILT_TIMER = -7;
export const EVFILT_EXCEPT = -8;
export const EVFILT_USER = -9;

/** What a VNODE knote hears of, as hints of Klist.notify. */
export const NOTE_DELETE = 0x0001;
export const NOTE_ATTRIB = 0x0008;

export const EV_ONESHOT = 0x0010;
export const EV_EOF = 0x8000;

/** What a filter does for its knotes. */
export interface FilterOps {
  /** Takes the knote off its object's list. */
  detach(knote: Knote): void;
  /** Updates `data` and `flags` from the object's state; true when the knote is active. */
  event(knote: Knote, hint: number): boolean;
}

/** One registration for events of one object. The queue that made it decides what activation means. */
export interface Knote {
  readonly filter: number;
  /** The open file the knote was registered under. */
  readonly file: File;
  /** EV_EOF and EV_ONESHOT are set here by filters and lists. */
  flags: number;
  fflags: number;
  data: number;
  filterOps: FilterOps | null;
  /** The object that the filter looks at. */
  hook: unknown;
  /** Called when the filter said that the knote is active. */
  activate(): void;
}

/** The knotes of one object (struct klist). */
export class Klist {
  #knotes: Set<Knote> | null = null;

  get size(): number {
    return this.#knotes?.size ?? 0;
  }

  add(knote: Knote): void {
    this.#knotes ??= new Set();
    this.#knotes.add(knote);
  }

  remove(knote: Knote): void {
    this.#knotes?.delete(knote);
  }

  /** Evaluates every knote and activates those whose filter says so (KNOTE). */
  notify(hint: number): void {
    if (this.#knotes === null || this.#knotes.size === 0) return;
    for (const knote of this.#knotes) {
      if (knote.filterOps!.event(knote, hint)) knote.activate();
    }
  }

  /**
   * Lets go of every knote because its object goes away (knlist_clear): each becomes one-shot, so that it is
   * delivered once more and then disappears (P102).
   */
  clear(): void {
    if (this.#knotes === null) return;
    const knotes = this.#knotes;
    this.#knotes = null;
    for (const knote of knotes) {
      knote.flags |= EV_ONESHOT;
      if (knote.filterOps!.event(knote, 0)) knote.activate();
    }
  }
}
