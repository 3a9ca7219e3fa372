import { EINVAL, EOPNOTSUPP, EPIPE } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { EV_EOF, EVFILT_READ, EVFILT_WRITE, type FilterOps, type Knote } from '../kern/klist.ts';
import { type PipeEnd, Presence } from './end.ts';
import { atEndOfFile } from './read.ts';
import { hasRoom } from './room.ts';

function detach(knote: Knote): void {
  (knote.hook as PipeEnd).klist.remove(knote);
}

/** Registered without error, never active: a READ knote on a file not open for reading and so on (P93). */
const neverActive: FilterOps = { detach: () => undefined, event: () => false };

/** EVFILT_READ (filt_piperead; P97, P98). */
const readFilter: FilterOps = {
  detach,
  event(knote) {
    const end = knote.hook as PipeEnd;
    knote.data = end.readableBytes(knote.file);
    if (atEndOfFile(knote.file, end)) {
      knote.flags |= EV_EOF;
      return true;
    }
    knote.flags &= ~EV_EOF;
    return knote.data > 0;
  },
};

/** EVFILT_WRITE (filt_pipewrite; P99, P100). */
const writeFilter: FilterOps = {
  detach,
  event(knote) {
    const end = knote.hook as PipeEnd;
    const { pipeBufBytes } = end.pair.subsystem;
    if (end.presence === Presence.Active || end.pair.isNamed) {
      if (end.chunk !== null) knote.data = 0;
      else knote.data = end.ring.size > 0 ? end.spaceBytes : pipeBufBytes;
    }
    if (end.presence !== Presence.Active || end.endOfFile) {
      knote.flags |= EV_EOF;
      return true;
    }
    knote.flags &= ~EV_EOF;
    return (end.discipline === null && knote.data >= pipeBufBytes) || (end.chunk === null && hasRoom(end));
  },
};

/**
 * Registers a knote on a pipe (pipe_kqfilter; P93 to P101). fflags and data of the registration mean nothing here (P138).
 * 0, -EPIPE for WRITE when the other end is gone, or for any other filter -EINVAL on an anonymous pipe and -EOPNOTSUPP on
 * a named one, whose node has filters of its own (decision D4).
 */
export function pipeKqfilter(file: File, knote: Knote): number {
  let end = file.data as PipeEnd;
  switch (knote.filter) {
    case EVFILT_READ:
      if (!file.readable) {
        knote.filterOps = neverActive;
        return 0;
      }
      knote.filterOps = readFilter;
      break;
    case EVFILT_WRITE:
      if (!file.writable) {
        knote.filterOps = neverActive;
        return 0;
      }
      end = end.peer;
      if (end.presence !== Presence.Active) return -EPIPE;
      knote.filterOps = writeFilter;
      break;
    default:
      return end.pair.isNamed ? -EOPNOTSUPP : -EINVAL;
  }
  knote.hook = end;
  end.klist.add(knote);
  return 0;
}
