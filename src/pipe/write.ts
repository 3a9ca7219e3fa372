import type { Credentials } from '../kern/credentials.ts';
import { EAGAIN, EINTR, EPIPE } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import { SMALL_PIPE_SIZE_BYTES } from './budget.ts';
import { directWrite } from './direct-write.ts';
import { type PipeEnd, Presence } from './end.ts';
import { wantedSize } from './room.ts';

const spaceSleep = { message: 'pipewr', interruptible: true };
const behindChunkSleep = { message: 'pipbww', interruptible: true };

/** Grows or shrinks the target's ring for a write of `uio.residual` bytes, once, before a byte moves (P18 to P27). */
function chooseSize(end: PipeEnd, uio: WriteUio): void {
  const { ring } = end;
  const { budget, resizeAllowed } = end.pair.subsystem;
  if (end.chunk !== null || resizeAllowed !== 1) return;
  let desiredBytes = wantedSize(end, uio.residual);
  const shrinks =
    budget.mustShrink && ring.size > SMALL_PIPE_SIZE_BYTES && ring.count <= SMALL_PIPE_SIZE_BYTES;
  if (shrinks) desiredBytes = SMALL_PIPE_SIZE_BYTES;
  if (desiredBytes !== ring.size) ring.resize(desiredBytes);
  if (shrinks) end.pair.subsystem.crampedEnds.growthReturned();
}

/**
 * write(2) on a pipe (pipe_write; P18 to P23, P51 to P70, P75, P140). Bytes written, also when an error followed them
 * (decision D12), or -EPIPE, -EAGAIN, -EINTR, -EFAULT. The caller sends SIGPIPE for -EPIPE (P52).
 */
export function* pipeWrite(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
  const end = (file.data as PipeEnd).peer;
  const { ring } = end;
  const { subsystem } = end.pair;
  if (end.presence !== Presence.Active || end.endOfFile) return -EPIPE;
  const denied = subsystem.policy?.checkWrite?.(credentials, end.pair) ?? 0;
  if (denied !== 0) return denied;
  end.busyCount++;
  chooseSize(end, uio);
  const requested = uio.residual;
  const atomic = requested <= subsystem.pipeBufBytes;
  if (!atomic) uio.isPageable = true;
  let error = 0;
  while (uio.residual > 0) {
    if (end.endOfFile) {
      error = -EPIPE;
      break;
    }
    if (uio.availableBytes === 0) {
      error = yield* uio.fetch();
      if (error !== 0) break;
      continue;
    }
    if (
      uio.segmentResidual >= subsystem.minDirectBytes &&
      ring.size >= subsystem.minDirectBytes &&
      !file.nonBlocking
    ) {
      error = yield* directWrite(end, uio);
      if (error !== 0 || end.discipline !== null) break;
      continue;
    }
    // Nothing is buffered behind a direct chunk, or it would overtake what its writer still has.
    const room = end.chunk === null ? ring.space : 0;
    if (room > 0 && (room >= uio.residual || !atomic)) {
      error = ring.store(uio, Math.min(room, uio.availableBytes));
      if (error !== 0) break;
      continue;
    }
    end.wakeReaders();
    if (file.nonBlocking) {
      error = -EAGAIN;
      break;
    }
    end.notify();
    end.writersWaiting = true;
    const options = end.chunk === null ? spaceSleep : behindChunkSleep;
    if ((yield* sleep(end.channel, options)) === WakeReason.Interrupted) {
      error = -EINTR;
      break;
    }
    if (end.discipline !== null) break;
  }
  const moved = requested - uio.residual;
  end.busyCount--;
  if (end.busyCount === 0 && end.closerWaiting) {
    end.closerWaiting = false;
    end.readersWaiting = false;
    end.channel.wakeup();
  } else if (ring.count > 0) {
    end.wakeReaders();
  }
  if (moved > 0) {
    end.times.modified = subsystem.kernel.host.clock.realtime();
    end.traffic.bytesIn += moved;
    file.messagesSent++;
  }
  if (ring.count > 0) end.notify();
  if (end.discipline !== null && error === 0 && uio.residual > 0) {
    // The pipe has got options while this write slept.
    const rest = yield* end.discipline.write(file, uio, credentials);
    return moved > 0 ? moved + Math.max(0, rest) : rest;
  }
  return moved > 0 ? moved : error;
}
