import type { Credentials } from '../kern/credentials.ts';
import { EAGAIN, EINTR } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import type { ReadUio } from '../kern/uio.ts';
import { SMALL_PIPE_SIZE_BYTES } from './budget.ts';
import type { PipeEnd } from './end.ts';
import { hasRoom } from './room.ts';

/** A blocked writer is woken at the end of a read only below this fill, whatever the ring's size (MINPIPESIZE; P44). */
export const WRITER_WAKE_BYTES = 5461;

const readSleep = { message: 'piperd', interruptible: true };

/**
 * Whether this open file is at the end of the stream when nothing is stored. For a named pipe only once a writer has come
 * and gone since the file was opened, the same for read, poll and kqueue (P87, P98; decision D2 on P136).
 */
export function atEndOfFile(file: File, end: PipeEnd): boolean {
  return end.endOfFile && (!end.pair.isNamed || file.pipeGeneration !== end.writerGeneration);
}

/** read(2) on a pipe (pipe_read; P24, P33 to P50). Bytes moved, 0 at end-of-file, or -EAGAIN, -EINTR, -EFAULT. */
export function* pipeRead(file: File, uio: ReadUio, credentials: Credentials): Operation<number> {
  if (uio.residual === 0) return 0;
  const end = file.data as PipeEnd;
  const { ring } = end;
  const { subsystem } = end.pair;
  const denied = subsystem.policy?.checkRead?.(credentials, end.pair) ?? 0;
  if (denied !== 0) return denied;
  const requested = uio.residual;
  let error = 0;
  end.busyCount++;
  if (
    subsystem.budget.mustShrink &&
    end.chunk === null &&
    ring.size > SMALL_PIPE_SIZE_BYTES &&
    ring.count <= SMALL_PIPE_SIZE_BYTES &&
    subsystem.resizeAllowed === 1
  ) {
    ring.resize(SMALL_PIPE_SIZE_BYTES);
    subsystem.crampedEnds.growthReturned();
  }
  while (uio.residual > 0) {
    if (ring.count > 0) {
      error = ring.take(uio);
      if (error !== 0) break;
    } else if (end.chunk !== null) {
      error = end.chunk.moveOut(uio);
      if (error !== 0) break;
      if (end.chunk.residual === 0) {
        end.chunk = null;
        end.writersWaiting = false;
        end.channel.wakeup();
      }
    } else {
      // No writer sleeps beside an empty pipe: the read that emptied it has woken them (P43), as this call does at its end.
      if (atEndOfFile(file, end)) break;
      if (uio.residual !== requested) break;
      if (file.nonBlocking) {
        error = -EAGAIN;
        break;
      }
      end.readersWaiting = true;
      if ((yield* sleep(end.channel, readSleep)) === WakeReason.Interrupted) {
        error = -EINTR;
        break;
      }
      if (end.discipline !== null) {
        end.busyCount--;
        return yield* end.discipline.read(file, uio, credentials);
      }
    }
  }
  const moved = requested - uio.residual;
  if (moved > 0) {
    end.times.accessed = subsystem.kernel.host.clock.realtime();
    end.traffic.bytesOut += moved;
    file.messagesReceived++;
  }
  end.busyCount--;
  if (end.busyCount === 0 && end.closerWaiting) {
    end.closerWaiting = false;
    end.writersWaiting = false;
    end.channel.wakeup();
  } else if (ring.count < WRITER_WAKE_BYTES) {
    end.wakeWriters();
  }
  if (moved > 0 && hasRoom(end)) end.notify();
  return moved > 0 ? moved : error;
}
