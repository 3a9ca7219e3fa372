import { EOPNOTSUPP } from '../../kern/errno.ts';
import { Ready } from '../../kern/foreign.ts';
import {
  EV_EOF,
  EV_NODATA,
  EVFILT_EXCEPT,
  EVFILT_READ,
  EVFILT_VNODE,
  EVFILT_WRITE,
  type FilterOps,
  type Knote,
  NOTE_REVOKE,
} from '../../kern/klist.ts';
import type { ForeignFile } from './foreign-file.ts';

/** fflags of a registration of READ or WRITE: `data` is the number of bytes from which on it is active. */
const NOTE_LOWAT = 0x1;
/** fflags of EXCEPT: data out of band. */
const NOTE_OOB = 0x2;

function detach(knote: Knote): void {
  (knote.hook as ForeignFile).klist.remove(knote);
}

/** Sets or lifts end-of-file with the error that belongs to it, as filt_soread and filt_sowrite do. */
function setEnd(knote: Knote, isAtEnd: boolean, error: number): void {
  if (isAtEnd) knote.flags |= EV_EOF;
  else knote.flags &= ~(EV_EOF | EV_NODATA);
  knote.fflags = isAtEnd ? error : 0;
}

/** Whether `data` bytes are as many as the registration waits for. */
function isEnough(knote: Knote & { readonly savedData?: number | bigint }): boolean {
  if ((knote.savedFflags & NOTE_LOWAT) === 0) return true;
  return knote.data >= (knote.savedData ?? 0);
}

/** EVFILT_READ of a socket, a pipe, a terminal. */
const readFilter: FilterOps = {
  detach,
  event(knote) {
    const { ready, readableBytes, error } = (knote.hook as ForeignFile).state;
    const isAtEnd = (ready & Ready.EndOfInput) !== 0;
    knote.data = readableBytes;
    setEnd(knote, isAtEnd, error);
    if (isAtEnd && readableBytes === 0) knote.flags |= EV_NODATA;
    return isAtEnd || ((ready & Ready.Read) !== 0 && isEnough(knote));
  },
};

/** EVFILT_WRITE of the same. */
const writeFilter: FilterOps = {
  detach,
  event(knote) {
    const { ready, writableBytes, error } = (knote.hook as ForeignFile).state;
    const isAtEnd = (ready & Ready.EndOfOutput) !== 0;
    knote.data = writableBytes;
    setEnd(knote, isAtEnd, error);
    return isAtEnd || ((ready & Ready.Write) !== 0 && isEnough(knote));
  },
};

/** EVFILT_EXCEPT: data out of band. */
const exceptFilter: FilterOps = {
  detach,
  event(knote) {
    const isUrgent = ((knote.hook as ForeignFile).state.ready & Ready.Urgent) !== 0;
    if (isUrgent) knote.fflags |= knote.savedFflags & NOTE_OOB;
    return isUrgent;
  },
};

/** EVFILT_READ of a plain file: what lies between the descriptor's offset and the end (K116). */
const nodeReadFilter: FilterOps = {
  detach,
  event(knote) {
    knote.data = (knote.hook as ForeignFile).state.readableBytes;
    return knote.data !== 0;
  },
};

/** EVFILT_WRITE of a plain file: always (K116). */
const nodeWriteFilter: FilterOps = {
  detach,
  event(knote) {
    knote.data = 0;
    return true;
  },
};

/** EVFILT_VNODE, as for files of the mount (K113, K115). */
const noteFilter: FilterOps = {
  detach,
  event(knote, hint) {
    if ((knote.savedFflags & hint) !== 0) knote.fflags |= hint;
    if ((hint & NOTE_REVOKE) !== 0) knote.flags |= EV_EOF | EV_NODATA;
    return knote.fflags !== 0 || (knote.flags & EV_EOF) !== 0;
  },
};

function filterOf(file: ForeignFile, filter: number): FilterOps | null {
  switch (filter) {
    case EVFILT_READ:
      return file.isNode ? nodeReadFilter : readFilter;
    case EVFILT_WRITE:
      return file.isNode ? nodeWriteFilter : writeFilter;
    case EVFILT_EXCEPT:
      return file.isNode ? null : exceptFilter;
    case EVFILT_VNODE:
      return file.isNode ? noteFilter : null;
    default:
      return null;
  }
}

/** kqfilter of a file outside of the mount: 0, or -EOPNOTSUPP for a filter that its kind has not. */
export function foreignKqfilter(file: ForeignFile, knote: Knote): number {
  const filterOps = filterOf(file, knote.filter);
  if (filterOps === null) return -EOPNOTSUPP;
  knote.filterOps = filterOps;
  knote.hook = file;
  file.klist.add(knote);
  return 0;
}
