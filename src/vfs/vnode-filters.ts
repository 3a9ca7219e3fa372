import { EOPNOTSUPP } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import {
  EV_EOF,
  EV_NODATA,
  EV_ONESHOT,
  EVFILT_READ,
  EVFILT_VNODE,
  EVFILT_WRITE,
  type FilterOps,
  type Klist,
  type Knote,
  NOTE_REVOKE,
} from '../kern/klist.ts';

/** What these filters need of a node of the tree. Only a node with readable content has a size and an offset. */
export interface Vnode {
  readonly klist: Klist;
  readonly sizeBytes: number;
  /** Where the next read of the file begins. */
  offsetOf(file: File): number;
}

function detach(knote: Knote): void {
  (knote.hook as Vnode).klist.remove(knote);
}

/** EVFILT_VNODE (K113, K115): notes add up, each with those that one change posted together with it; data stays 0. */
const noteFilter: FilterOps = {
  detach,
  event(knote, hint) {
    if ((knote.savedFflags & hint) !== 0) knote.fflags |= hint;
    if ((hint & NOTE_REVOKE) !== 0) {
      knote.flags |= EV_EOF | EV_NODATA;
      return true;
    }
    return knote.fflags !== 0 || (knote.flags & EV_EOF) !== 0;
  },
};

/** A revoked knote says so once and is gone (K115). */
function revoked(knote: Knote, hint: number): boolean {
  if ((hint & NOTE_REVOKE) !== 0) knote.flags |= EV_EOF | EV_NODATA | EV_ONESHOT;
  return (knote.flags & EV_EOF) !== 0;
}

/** EVFILT_READ on a plain file: what lies between the descriptor's offset and the end (K116). */
const readFilter: FilterOps = {
  detach,
  event(knote, hint) {
    if (revoked(knote, hint)) return true;
    const vnode = knote.hook as Vnode;
    knote.data = vnode.sizeBytes - vnode.offsetOf(knote.file);
    return knote.data !== 0;
  },
};

/** EVFILT_WRITE on a plain file: always (K116). */
const writeFilter: FilterOps = {
  detach,
  event(knote, hint) {
    revoked(knote, hint);
    knote.data = 0;
    return true;
  },
};

/** EVFILT_VNODE for any node of the tree. */
export function attachVnode(vnode: Vnode, knote: Knote): number {
  return attach(vnode, knote, noteFilter);
}

/** kqfilter of a plain file: VNODE, READ and WRITE; anything else is -EOPNOTSUPP (K117). */
export function plainFileKqfilter(vnode: Vnode, knote: Knote): number {
  switch (knote.filter) {
    case EVFILT_VNODE:
      return attach(vnode, knote, noteFilter);
    case EVFILT_READ:
      return attach(vnode, knote, readFilter);
    case EVFILT_WRITE:
      return attach(vnode, knote, writeFilter);
    default:
      return -EOPNOTSUPP;
  }
}

function attach(vnode: Vnode, knote: Knote, filterOps: FilterOps): number {
  knote.filterOps = filterOps;
  knote.hook = vnode;
  vnode.klist.add(knote);
  return 0;
}
