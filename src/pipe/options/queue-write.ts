import type { Credentials } from '../../kern/credentials.ts';
import { EAGAIN, EINTR, EPIPE } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import { type Operation, sleep, WakeReason } from '../../kern/operation.ts';
import type { WriteUio } from '../../kern/uio.ts';
import { Presence } from '../end.ts';
import { pipeWrite } from '../write.ts';
import { admit, MUST_WAIT, NEWLINE } from './framing.ts';
import { Admission } from './overflow.ts';
import type { Queue } from './queue.ts';

const newline = Uint8Array.of(NEWLINE);
const spaceSleep = { message: 'pipewr', interruptible: true };

/** Discipline.write. */
export function* queueWrite(
  queue: Queue,
  file: File,
  uio: WriteUio,
  credentials: Credentials,
): Operation<number> {
  const { end } = queue;
  const { subsystem } = end.pair;
  if (end.presence !== Presence.Active || end.endOfFile) return -EPIPE;
  const denied = subsystem.policy?.checkWrite?.(credentials, end.pair) ?? 0;
  if (denied !== 0) return denied;
  end.busyCount++;
  const requested = uio.residual;
  if (requested > subsystem.pipeBufBytes) uio.isPageable = true;
  let error = 0;
  let offset = -1;
  while (uio.residual > 0 && end.discipline === queue) {
    if (end.endOfFile) {
      error = -EPIPE;
      break;
    }
    if (uio.isHeldBack) {
      error = yield* uio.fetch();
      if (error !== 0) break;
      continue;
    }
    const { endOffset } = queue;
    const { residual } = uio;
    const accepted = queue.framing.accept(queue, file, uio);
    // The first bytes of the write are in the stream if they are stored now, be it behind a line that was begun before.
    if (residual === requested && uio.residual < residual && queue.endOffset > endOffset)
      offset = queue.endOffset - (residual - uio.residual);
    if (accepted < 0) {
      error = accepted;
      break;
    }
    if (accepted !== MUST_WAIT) continue;
    end.wakeReaders();
    if (file.nonBlocking) {
      error = -EAGAIN;
      break;
    }
    end.notify();
    end.writersWaiting = true;
    if ((yield* sleep(end.channel, spaceSleep)) === WakeReason.Interrupted) {
      error = -EINTR;
      break;
    }
  }
  const moved = requested - uio.residual;
  const isOver = end.discipline === queue;
  if (isOver) queue.framing.returned(queue, file);
  end.busyCount--;
  if (moved > 0) {
    end.times.modified = subsystem.kernel.host.clock.realtime();
    end.traffic.bytesIn += moved;
    file.messagesSent++;
    queue.writeOffset = offset;
    queue.delivery.wrote(file, credentials, moved);
  }
  end.wakeReaders();
  if (moved > 0) end.notify();
  if (isOver || error !== 0 || uio.residual === 0) return moved > 0 ? moved : error;
  // BSD's engine has the pipe again.
  const rest = yield* end.discipline?.write(file, uio, credentials) ?? pipeWrite(file, uio, credentials);
  return moved > 0 ? moved + Math.max(0, rest) : rest;
}

/** The last descriptor of a writer is closed: a line that it has begun gets its newline. Waits for room as a write does. */
export function* finishLine(queue: Queue, file: File): Operation<void> {
  const { end, lines, records, ring } = queue;
  if (queue.tailWriter === file) {
    // There is room for a newline: see extendTail.
    if (!queue.isTailDropped && ring.append(newline) === 0) queue.extendTail(1);
    queue.endTail();
  }
  end.busyCount++;
  while (end.discipline === queue && lines.of(file).length > 0) {
    const bytes = lines.of(file);
    let admission = end.endOfFile ? Admission.Drop : admit(queue, file, bytes.length + 1);
    if (admission === Admission.Wait) {
      end.writersWaiting = true;
      end.wakeReaders();
      if ((yield* sleep(end.channel, spaceSleep)) !== WakeReason.Interrupted) continue;
      admission = Admission.Drop;
    }
    if (admission === Admission.Store && queue.reserveRecord() === 0 && ring.prepare() === 0) {
      ring.append(bytes);
      ring.append(newline);
      records.push(bytes.length + 1);
    } else {
      queue.dropped(bytes.length, 1);
    }
    lines.forget(file);
  }
  // A line that is dropped, or that has memory and no byte yet.
  lines.forget(file);
  end.busyCount--;
  queue.wakeReaders();
}
