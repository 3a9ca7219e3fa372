import type { Credentials } from '../kern/credentials.ts';
import type { File, FileOps } from '../kern/file.ts';
import { EVFILT_OPEN } from '../kern/klist.ts';
import type { Operation } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import type { PipeEnd } from './end.ts';
import type { Fifo } from './fifo.ts';
import { fifoKqfilter } from './fifo-filters.ts';
import { pipeKqfilter } from './filters.ts';
import { pipeIoctl } from './ioctl.ts';
import { pipePoll } from './poll.ts';
import { pipeRead } from './read.ts';
import { pipeWrite } from './write.ts';

/** A write that does not wait for a reader to have opened the pipe. */
export function writeNow(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
  const { discipline } = file.data as PipeEnd;
  return discipline === null ? pipeWrite(file, uio, credentials) : discipline.write(file, uio, credentials);
}

function fifoOf(file: File): Fifo {
  return (file.data as PipeEnd).pair.fifo!;
}

/** The operations of an open named pipe. Its `data` is the PipeEnd that everybody shares. */
export const fifoOps: FileOps = {
  read: (file, uio, credentials) => {
    const { discipline } = file.data as PipeEnd;
    return discipline === null ? pipeRead(file, uio, credentials) : discipline.read(file, uio, credentials);
  },
  write: (file, uio, credentials) =>
    file.pipeMeeting < 0
      ? writeNow(file, uio, credentials)
      : fifoOf(file).meetThenWrite(file, uio, credentials),
  ioctl: pipeIoctl,
  poll: pipePoll,
  // Who waits to open is the name's to say.
  kqfilter: (file, knote) =>
    knote.filter === EVFILT_OPEN ? fifoKqfilter(fifoOf(file), knote) : pipeKqfilter(file, knote),
  descriptorClosed(file, credentials) {
    (file.data as PipeEnd).discipline?.descriptorClosed(file, credentials);
  },
  *close(file) {
    const end = file.data as PipeEnd;
    const fifo = fifoOf(file);
    if (file.readable) {
      end.discipline?.readerClosed(file);
      fifo.closeReader();
    }
    if (file.writable) {
      // The file itself is no reader any more that could make room.
      if (end.discipline !== null) yield* end.discipline.writerClosing(file);
      fifo.closeWriter();
    }
    fifo.closed();
    return 0;
  },
};
