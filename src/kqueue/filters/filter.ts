import type { Change, Kevent } from '../kevent.ts';
import type { Knote } from '../knote.ts';
import type { Registrar } from '../register.ts';

/**
 * A filter: what its knotes watch, and how the text form writes their idents, notes and values. What it does for each knote is in
 * the knote's `filterOps`, which `attach` sets.
 */
export interface Filter {
  /** -1 or below, as sys/event.h has it. */
  readonly number: number;
  /** Its name in the text form. */
  readonly name: string;
  /** `file`: a path, or a descriptor of the caller's process, which is resolved to an open file. */
  readonly identKind: 'file' | 'number';
  /** The number of an ident that is written as a word; null when there is no such word. */
  identNamed?(word: string): number | null;
  /** Words of the text form that set bits of fflags in a change. */
  readonly notes: ReadonlyMap<string, number>;
  /** What `add` of the text form watches when it names no note; nothing by default. */
  readonly notesByDefault?: number;
  /** Options `NAME=BITS` of a change: what BITS are combined with in fflags. */
  readonly noteOperations?: ReadonlyMap<string, number>;
  /** `data=` of a change, where it is more than an integer; null for an invalid value. */
  parseData?(text: string): number | bigint | null;
  /** `data=` of an event, where it is not a decimal number. */
  formatData?(event: Kevent): string;
  /** The fflags of an event or a knote. */
  formatFflags(fflags: number): string;
  /** Whether a change of a registered knote replaces only the values that it gives (decision D9); otherwise it replaces all. */
  readonly keepsValues: boolean;
  /** Whether fflags and data are what one process hands to another, and shown to the users of the queue only (U7). */
  readonly hasPrivateValues: boolean;
  /** Has the filter take a new knote (filter_attach). 0 or a negative errno. */
  attach(knote: Knote, registrar: Registrar): number;
  /** Applies a change of a registered knote in a way of its own. */
  modify?(knote: Knote, change: Change): void;
  /** Brings the knote's data up to date, for a filter that counts when somebody looks. */
  refresh?(knote: Knote): void;
  /** Fills in what an event shows in place of the knote's fflags and data. */
  fillEvent?(knote: Knote, event: Kevent): void;
}

export const NO_NOTES: ReadonlyMap<string, number> = new Map();
