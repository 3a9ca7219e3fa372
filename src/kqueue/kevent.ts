import type { Location } from './foreign/foreign-files.ts';

/** Flags of a change or an event, beside those in src/kern/klist.ts (section 4.4 of the specification; sys/event.h). */
export const EV_ADD = 0x0001;
export const EV_DELETE = 0x0002;
export const EV_ENABLE = 0x0004;
export const EV_DISABLE = 0x0008;
export const EV_CLEAR = 0x0020;
export const EV_RECEIPT = 0x0040;
export const EV_DISPATCH = 0x0080;
/** Set by the system only: taken off every change (K14). */
export const EV_SYSFLAGS = 0xf000;
export const EV_ERROR = 0x4000;

export {
  EV_NODATA,
  NOTE_ATTRIB,
  NOTE_DELETE,
  NOTE_EXTEND,
  NOTE_LINK,
  NOTE_RENAME,
  NOTE_REVOKE,
  NOTE_WRITE,
} from '../kern/klist.ts';

export const NOTE_EXIT = 0x8000_0000;
export const NOTE_FORK = 0x4000_0000;
export const NOTE_EXEC = 0x2000_0000;
export const NOTE_TRACK = 0x0000_0001;
export const NOTE_TRACKERR = 0x0000_0002;
export const NOTE_CHILD = 0x0000_0004;

export const NOTE_FFAND = 0x4000_0000;
export const NOTE_FFOR = 0x8000_0000;
export const NOTE_FFCOPY = 0xc000_0000;
export const NOTE_FFCTRLMASK = 0xc000_0000;
export const NOTE_FFLAGSMASK = 0x00ff_ffff;
export const NOTE_TRIGGER = 0x0100_0000;

/**
 * What a knote is about. Numbers beyond 2^53 are bigints. For READ, WRITE, VNODE and EXCEPT a number is a descriptor and a string
 * a path, as the text form names it.
 */
export type Ident = number | bigint | string;

/** The caller's token: a number in binary records, a word in the text form. */
export type Udata = number | bigint | string;

/** One event, or one record about a change (struct kevent). */
export interface Kevent {
  ident: Ident;
  filter: number;
  /** 16 bits. */
  flags: number;
  /** 32 bits, not negative. */
  fflags: number;
  /** 64 bits with a sign. */
  data: number | bigint;
  udata: Udata;
  /** The ident in the caller's words, where these are not what would be printed anyway. */
  label: string | null;
  /** Of a record about a change that failed: why, in a line for people. */
  reason?: string | null;
}

/** Which values a change gives, so that others can be kept (decision D9). */
export const Given = { Nothing: 0, Data: 1, Fflags: 2, Udata: 4, Everything: 7 } as const;

/** One change of a kqueue's registrations. Applying it may alter it, as its record shows (K21). */
export interface Change extends Kevent {
  /**
   * The values of a TIMER, PROC or VNODE knote that are replaced: everything with EV_ADD; without it nothing by a binary change,
   * and what it mentions by a line.
   */
  readonly given: number;
  /** Where its ident leads to, once that has been looked for outside of the mount. */
  location?: Location;
}
