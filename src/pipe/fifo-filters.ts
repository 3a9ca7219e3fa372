import { EOPNOTSUPP } from '../kern/errno.ts';
import { EV_EOF, EVFILT_OPEN, EVFILT_READ, EVFILT_WRITE, type FilterOps, type Knote } from '../kern/klist.ts';
import type { Fifo } from './fifo.ts';
import { hasRoom } from './room.ts';

function detach(knote: Knote): void {
  (knote.hook as Fifo).klist.remove(knote);
}

/** Sets or lifts end-of-file, which makes a knote active whatever there is. */
function endOfFile(knote: Knote, isAtEnd: boolean): boolean {
  if (isAtEnd) knote.flags |= EV_EOF;
  else knote.flags &= ~EV_EOF;
  return isAtEnd;
}

/**
 * READ by path: what is queued; end-of-file once the last writer has left and somebody still has the pipe open. A writer that waits
 * for a reader counts too: the watcher is no reader, so its bytes are not queued before somebody opens the pipe.
 */
const readFilter: FilterOps = {
  detach,
  event(knote) {
    const fifo = knote.hook as Fifo;
    const { end } = fifo;
    knote.data = end?.queuedBytes ?? 0;
    if (endOfFile(knote, end?.endOfFile === true && fifo.writers === 0) || knote.data > 0) return true;
    return fifo.waitingWriters > 0 && fifo.readers === 0;
  },
};

/** WRITE by path: room for PIPE_BUF bytes while somebody reads; end-of-file once the last reader has left. */
const writeFilter: FilterOps = {
  detach,
  event(knote) {
    const fifo = knote.hook as Fifo;
    const { end } = fifo;
    const isOpen = end?.chunk === null && fifo.readers > 0;
    knote.data = isOpen ? end.spaceBytes : 0;
    if (endOfFile(knote, end?.endOfFile === true && fifo.readers === 0)) return true;
    return isOpen && hasRoom(end);
  },
};

/** OPEN: calls that wait for the other side to open, readers in the lower half of data and writers in the upper. */
const openFilter: FilterOps = {
  detach(knote) {
    (knote.hook as Fifo).openKlist.remove(knote);
  },
  event(knote) {
    const { waitingReaders, waitingWriters } = knote.hook as Fifo;
    knote.data = waitingReaders + waitingWriters * 2 ** 32;
    return knote.data > 0;
  },
};

/**
 * Registers a knote that names a pipe by its path. It counts neither as reader nor as writer, and outlives the pair: nobody may have
 * the pipe open. 0, or -EOPNOTSUPP for filters that pipes do not have (decision D4).
 */
export function fifoKqfilter(fifo: Fifo, knote: Knote): number {
  switch (knote.filter) {
    case EVFILT_READ:
      knote.filterOps = readFilter;
      break;
    case EVFILT_WRITE:
      knote.filterOps = writeFilter;
      break;
    case EVFILT_OPEN:
      knote.filterOps = openFilter;
      knote.hook = fifo;
      fifo.openKlist.add(knote);
      return 0;
    default:
      return -EOPNOTSUPP;
  }
  knote.hook = fifo;
  fifo.klist.add(knote);
  return 0;
}
