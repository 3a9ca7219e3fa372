import { EFAULT, EINTR, EPIPE } from '../kern/errno.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import type { PipeEnd } from './end.ts';

const otherChunkSleep = { message: 'pipdww', interruptible: true };
const ringDrainSleep = { message: 'pipdwc', interruptible: true };
const chunkSleep = { message: 'pipdwt', interruptible: true };

/**
 * Offers the next chunk of the writer's own bytes to readers and sleeps until they have taken it (pipe_direct_write;
 * P70 to P80, decision D5). The ring is empty first. 0 when the whole chunk was read, or -EPIPE, -EINTR, -EFAULT; what was
 * read, or saved into the ring by an interrupt, is deducted from `uio` in each case, and nothing else is.
 */
export function* directWrite(end: PipeEnd, uio: WriteUio): Operation<number> {
  while (!end.endOfFile && (end.chunk !== null || end.ring.count > 0)) {
    if (end.discipline !== null) return 0;
    end.wakeReaders();
    end.notify();
    end.writersWaiting = true;
    const options = end.chunk !== null ? otherChunkSleep : ringDrainSleep;
    if ((yield* sleep(end.channel, options)) === WakeReason.Interrupted) {
      end.channel.wakeup();
      return -EINTR;
    }
  }
  if (end.endOfFile) {
    end.channel.wakeup();
    return -EPIPE;
  }
  if (end.discipline !== null) return 0;

  const chunk = uio.lend(Math.min(uio.segmentResidual, end.pair.subsystem.maxDirectBytes));
  if (chunk === null) {
    end.channel.wakeup();
    return -EFAULT;
  }
  end.chunk = chunk;
  let interrupted = false;
  while (chunk.residual > 0 && !end.endOfFile && !interrupted && end.chunk === chunk) {
    end.wakeReaders();
    end.notify();
    end.writersWaiting = true;
    interrupted = (yield* sleep(end.channel, chunkSleep)) === WakeReason.Interrupted;
  }
  if (chunk.residual === 0) return interrupted ? -EINTR : 0;
  if (end.chunk !== chunk) {
    // The pipe has got options, and with them no direct chunks.
    uio.giveBack(chunk);
    return interrupted ? -EINTR : 0;
  }

  end.chunk = null;
  if (end.endOfFile) {
    uio.giveBack(chunk);
    end.notify();
    return -EPIPE;
  }
  // The ring is empty by construction. A chunk can be larger than the ring; what does not fit was not written.
  const fitting = Math.min(chunk.residual, end.ring.size);
  const saved = end.ring.fill(chunk.bytes.subarray(chunk.position, chunk.position + fitting));
  chunk.position += saved;
  chunk.residual -= saved;
  uio.giveBack(chunk);
  if (saved === 0) {
    // There was no memory for the ring: the pipe is empty, and nobody is going to read it for those who wait for that.
    end.wakeWriters();
    end.notify();
  }
  return -EINTR;
}
