import { EOPNOTSUPP } from '../../kern/errno.ts';
import { EVFILT_SIGNAL } from '../../kern/klist.ts';
import { ProcessEventKind } from '../../kern/process-events.ts';
import { EV_CLEAR } from '../kevent.ts';
import type { Knote, QueueFilterOps } from '../knote.ts';
import { formatHex } from '../numbers.ts';
import type { Registrar } from '../register.ts';
import { type Filter, NO_NOTES } from './filter.ts';
import { NOTE_SIGNAL, SIGNAL_NUMBER_MASK } from './process-table.ts';

/** Signals by their names without SIG, in Linux's numbering. */
const signalNumbers = new Map<string, number>(
  (
    'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU ' +
    'XFSZ VTALRM PROF WINCH IO PWR SYS'
  )
    .split(' ')
    .map((name, index) => [name, index + 1]),
);

/** The number of `USR1` or `SIGUSR1`, in any case; null when there is no such name. */
export function signalNumber(name: string): number | null {
  const upper = name.toUpperCase();
  return signalNumbers.get(upper.startsWith('SIG') ? upper.slice(3) : upper) ?? null;
}

/** EVFILT_SIGNAL (filt_signal; K70, K111). */
const signalOps: QueueFilterOps = {
  detach(listed) {
    const knote = listed as Knote;
    knote.kqueue.subsystem.processes.detach(knote, ProcessEventKind.Signal);
  },
  event(listed, hint) {
    const knote = listed as Knote;
    if ((hint & NOTE_SIGNAL) !== 0 && (hint & SIGNAL_NUMBER_MASK) === knote.ident) {
      knote.data = Number(knote.data) + 1;
    }
    return knote.data !== 0;
  },
};

/** filt_sigattach: counts the signals sent to the process that opened the kqueue (decision D13). */
function attachSignal(knote: Knote, { openerPid, credentials }: Registrar): number {
  // Who opened the kqueue is not known.
  if (openerPid === 0) return -EOPNOTSUPP;
  knote.filterOps = signalOps;
  knote.flags |= EV_CLEAR;
  return knote.kqueue.subsystem.processes.attach(knote, openerPid, ProcessEventKind.Signal, credentials);
}

export const signalFilter: Filter = {
  number: EVFILT_SIGNAL,
  name: 'signal',
  identKind: 'number',
  identNamed: signalNumber,
  notes: NO_NOTES,
  formatFflags: formatHex,
  keepsValues: false,
  hasPrivateValues: false,
  attach: attachSignal,
};
