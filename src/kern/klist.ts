import { assert } from './assert.ts';
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

/** Calls that wait in an open. No BSD has it: DragonFly's filters end at -10, FreeBSD's at -13, and those of macOS at -18. */
export const EVFILT_OPEN = -32;

/** What a VNODE knote hears of, as hints of Klist.notify. */
export const NOTE_DELETE = 0x01;
export const NOTE_WRITE = 0x02;
export const NOTE_EXTEND = 0x04;
export const NOTE_ATTRIB = 0x08;
export const NOTE_LINK = 0x10;
export const NOTE_RENAME = 0x20;
export const NOTE_REVOKE = 0x40;

export const EV_ONESHOT = 0x0010;
export const EV_NODATA = 0x1000;
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
  /** The notes that the registration asks for (kn_sfflags). */
  readonly savedFflags: number;
  data: number | bigint;
  filterOps: FilterOps | null;
  /** The object that the filter looks at. */
  hook: unknown;
  /** The list that the knote is on, and its neighbours there: for Klist only. */
  klist: Klist | null;
  newer: Knote | null;
  older: Knote | null;
  /** Called when the filter said that the knote is active. */
  activate(): void;
}

/** A walk along a list, which goes on correctly when knotes leave the list meanwhile. */
interface Walk {
  next: Knote | null;
  /** The walk within which this one began. */
  readonly outer: Walk | null;
}

/** The knotes of one object (struct klist): linked through the knotes themselves, newest first (K68). */
export class Klist {
  #newest: Knote | null = null;
  #size = 0;
  #walk: Walk | null = null;

  get size(): number {
    return this.#size;
  }

  /** Nothing happens when the knote is on the list already. */
  add(knote: Knote): void {
    if (knote.klist === this) return;
    knote.klist = this;
    knote.newer = null;
    knote.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = knote;
    this.#newest = knote;
    this.#size++;
  }

  /** Nothing happens when the knote is not on the list. */
  remove(knote: Knote): void {
    if (knote.klist !== this) return;
    for (let walk = this.#walk; walk !== null; walk = walk.outer) {
      if (walk.next === knote) walk.next = knote.older;
    }
    if (knote.newer === null) this.#newest = knote.older;
    else knote.newer.older = knote.older;
    if (knote.older !== null) knote.older.newer = knote.newer;
    knote.klist = null;
    knote.newer = null;
    knote.older = null;
    this.#size--;
  }

  /** Calls `visit` for each knote, newest first. Knotes may leave meanwhile; those that come are not visited. */
  forEach(visit: (knote: Knote) => void): void {
    if (this.#newest === null) return;
    const walk: Walk = { next: this.#newest, outer: this.#walk };
    this.#walk = walk;
    while (walk.next !== null) {
      const knote = walk.next;
      walk.next = knote.older;
      visit(knote);
    }
    this.#walk = walk.outer;
  }

  /** Evaluates every knote and activates those whose filter says so (KNOTE). */
  notify(hint: number): void {
    if (this.#newest === null) return;
    this.forEach((knote) => {
      if (knote.filterOps!.event(knote, hint)) knote.activate();
    });
  }

  /**
   * Lets go of every knote because its object goes away (knlist_clear): each becomes one-shot, so that it is
   * delivered once more and then disappears (P102).
   */
  clear(): void {
    this.forEach((knote) => {
      this.remove(knote);
      knote.flags |= EV_ONESHOT;
      if (knote.filterOps!.event(knote, 0)) knote.activate();
    });
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    let size = 0;
    let newer: Knote | null = null;
    for (let knote = this.#newest; knote !== null; newer = knote, knote = knote.older) {
      assert(knote.klist === this, 'a knote on a list knows its list');
      assert(knote.newer === newer, 'a list of knotes is linked both ways');
      size++;
    }
    assert(size === this.#size, 'a list of knotes knows its length');
    assert(this.#walk === null, 'a walk along a list ends with the operation that began it');
  }
}
