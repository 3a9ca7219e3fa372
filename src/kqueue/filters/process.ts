import { ESRCH } from '../../kern/errno.ts';
import { EV_EOF, EV_ONESHOT, EVFILT_PROC } from '../../kern/klist.ts';
import { ProcessEventKind } from '../../kern/process-events.ts';
import {
  EV_CLEAR,
  EV_NODATA,
  NOTE_CHILD,
  NOTE_EXEC,
  NOTE_EXIT,
  NOTE_FORK,
  NOTE_TRACK,
  NOTE_TRACKERR,
} from '../kevent.ts';
import { type Knote, KnoteStatus, type QueueFilterOps } from '../knote.ts';
import { formatBits, formatHex } from '../numbers.ts';
import type { Registrar } from '../register.ts';
import type { Filter } from './filter.ts';
import type { WatchedProcess } from './process-table.ts';

/** Set in a change by the system, for the child of a tracked process (EV_FLAG1; K106, K109). */
export const EV_TRACKED = 0x2000;

/** The hints; what lies below them belongs to NOTE_TRACK. */
const HINT_MASK = 0xf000_0000;

function kindsOf(fflags: number): number {
  let kinds = 0;
  if ((fflags & NOTE_EXIT) !== 0) kinds |= ProcessEventKind.Exit;
  if ((fflags & (NOTE_FORK | NOTE_TRACK)) !== 0) kinds |= ProcessEventKind.Fork;
  if ((fflags & NOTE_EXEC) !== 0) kinds |= ProcessEventKind.Exec;
  return kinds;
}

/** EVFILT_PROC (filt_proc; K102 to K110). */
const processOps: QueueFilterOps = {
  detach(listed) {
    const knote = listed as Knote;
    if ((knote.status & KnoteStatus.Detached) !== 0) return;
    knote.kqueue.subsystem.processes.detach(knote, kindsOf(knote.savedFflags));
  },

  event(listed, hint) {
    const knote = listed as Knote;
    const event = (hint & HINT_MASK) >>> 0;
    knote.fflags = (knote.fflags | (knote.savedFflags & event)) >>> 0;
    if (event === NOTE_EXIT) {
      const process = knote.hook as WatchedProcess;
      process.klist.remove(knote);
      knote.status |= KnoteStatus.Detached;
      knote.data = process.exitStatus;
      knote.hook = null;
      knote.flags |= EV_EOF | EV_NODATA | EV_ONESHOT;
      return true;
    }
    if (event === NOTE_FORK && (knote.savedFflags & NOTE_TRACK) !== 0) {
      const { processes } = knote.kqueue.subsystem;
      if (processes.track(knote, (knote.hook as WatchedProcess).forkedChild) !== 0) {
        knote.fflags |= NOTE_TRACKERR;
      }
    }
    return knote.fflags !== 0;
  },

  modified(knote, oldFflags) {
    if ((knote.status & KnoteStatus.Detached) !== 0) return 0;
    const { processes } = knote.kqueue.subsystem;
    return processes.change(knote.hook as WatchedProcess, kindsOf(oldFflags), kindsOf(knote.savedFflags));
  },
};

/** filt_procattach (K100 to K102). 0, -ESRCH, or -EOPNOTSUPP where the host cannot tell. */
function attachProcess(knote: Knote, { credentials }: Registrar): number {
  if (typeof knote.ident !== 'number') return -ESRCH;
  knote.filterOps = processOps;
  knote.flags |= EV_CLEAR;
  if ((knote.flags & EV_TRACKED) !== 0) {
    knote.flags &= ~EV_TRACKED;
    knote.data = knote.savedData;
    knote.fflags = NOTE_CHILD;
  }
  const { processes } = knote.kqueue.subsystem;
  return processes.attach(knote, knote.ident, kindsOf(knote.savedFflags), credentials);
}

const processNotes = new Map<string, number>([
  ['exec', NOTE_EXEC],
  ['exit', NOTE_EXIT],
  ['fork', NOTE_FORK],
  ['track', NOTE_TRACK],
]);

const shownProcessNotes: readonly (readonly [string, number])[] = [
  ['child', NOTE_CHILD],
  ...processNotes,
  ['trackerr', NOTE_TRACKERR],
];

export const processFilter: Filter = {
  number: EVFILT_PROC,
  name: 'proc',
  identKind: 'number',
  notes: processNotes,
  formatFflags: (fflags) => formatBits(fflags, shownProcessNotes, '0'),
  // A wait status is read by its bytes.
  formatData: ({ data, flags }) => ((flags & EV_EOF) !== 0 ? formatHex(data) : String(data)),
  keepsValues: true,
  hasPrivateValues: false,
  attach: attachProcess,
};
