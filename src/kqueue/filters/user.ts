import { EVFILT_USER } from '../../kern/klist.ts';
import {
  type Change,
  EV_CLEAR,
  type Kevent,
  NOTE_FFAND,
  NOTE_FFCOPY,
  NOTE_FFCTRLMASK,
  NOTE_FFLAGSMASK,
  NOTE_FFOR,
  NOTE_TRIGGER,
} from '../kevent.ts';
import type { Knote, QueueFilterOps } from '../knote.ts';
import { formatHex } from '../numbers.ts';
import type { Filter } from './filter.ts';

/** EVFILT_USER (filt_user; K88 to K99). The hook says whether it is triggered. */
const userOps: QueueFilterOps = {
  detach: () => undefined,
  event: (knote) => knote.hook === true,
  /** The event has been delivered (K96). */
  delivered(knote) {
    if ((knote.flags & EV_CLEAR) !== 0) knote.hook = false;
  },
};

/** filt_userattach, with the trigger and the flags taken from what the registration asked for (KB12, KB13). */
function attachUser(knote: Knote): number {
  knote.filterOps = userOps;
  knote.hook = (knote.savedFflags & NOTE_TRIGGER) !== 0;
  knote.savedFflags &= NOTE_FFLAGSMASK;
  return 0;
}

/** A modification (filt_usertouch for EVENT_REGISTER; K90 to K94, K99). The change keeps its low 24 bits (K21). */
function modifyUser(knote: Knote, change: Change): void {
  if ((change.fflags & NOTE_TRIGGER) !== 0) knote.hook = true;
  const operation = (change.fflags & NOTE_FFCTRLMASK) >>> 0;
  change.fflags &= NOTE_FFLAGSMASK;
  if (operation === NOTE_FFAND) knote.savedFflags &= change.fflags;
  else if (operation === NOTE_FFOR) knote.savedFflags |= change.fflags;
  else if (operation === NOTE_FFCOPY) knote.savedFflags = change.fflags;
  knote.savedData = change.data;
  if ((change.flags & EV_CLEAR) !== 0) knote.hook = false;
}

/** What an event shows: the stored flags and data (filt_usertouch for EVENT_PROCESS; K95). */
function fillUserEvent(knote: Knote, event: Kevent): void {
  event.fflags = knote.savedFflags;
  event.data = knote.savedData;
}

const noteOperations = new Map<string, number>([
  ['ffand', NOTE_FFAND],
  ['ffor', NOTE_FFOR],
  ['ffcopy', NOTE_FFCOPY],
]);

export const userFilter: Filter = {
  number: EVFILT_USER,
  name: 'user',
  identKind: 'number',
  notes: new Map([['trigger', NOTE_TRIGGER]]),
  noteOperations,
  formatFflags: formatHex,
  keepsValues: false,
  hasPrivateValues: true,
  attach: attachUser,
  modify: modifyUser,
  fillEvent: fillUserEvent,
};
