import type { Credentials } from '../../kern/credentials.ts';
import { EAGAIN, EINTR } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import { type Operation, sleep, WakeReason } from '../../kern/operation.ts';
import type { ReadUio } from '../../kern/uio.ts';
import { atEndOfFile, pipeRead } from '../read.ts';
import type { Queue } from './queue.ts';

const readSleep = { message: 'piperd', interruptible: true };

/** Discipline.read. */
export function* queueRead(
  queue: Queue,
  file: File,
  uio: ReadUio,
  credentials: Credentials,
): Operation<number> {
  if (uio.residual === 0) return 0;
  const { end } = queue;
  const { subsystem } = end.pair;
  const { clock } = subsystem.kernel.host;
  const denied = subsystem.policy?.checkRead?.(credentials, end.pair) ?? 0;
  if (denied !== 0) return denied;
  end.busyCount++;
  let deadlineMs = 0;
  let result: number;
  for (;;) {
    const spaceBefore = queue.spaceBytes;
    result = queue.delivery.take(file, uio, credentials);
    if (queue.spaceBytes > spaceBefore) end.wakeWriters();
    if (result !== 0 || atEndOfFile(file, end)) break;
    if (file.nonBlocking) {
      result = -EAGAIN;
      break;
    }
    const { timeoutMs } = queue.options;
    const nowMs = clock.monotonicMs();
    if (timeoutMs > 0 && deadlineMs === 0) deadlineMs = nowMs + timeoutMs;
    end.readersWaiting = true;
    const reason = yield* timeoutMs > 0
      ? sleep(end.channel, readSleep, Math.max(0, deadlineMs - nowMs))
      : sleep(end.channel, readSleep);
    if (reason === WakeReason.Interrupted) {
      result = -EINTR;
      break;
    }
    if (end.discipline !== queue) {
      // BSD's engine has the pipe again.
      end.busyCount--;
      return yield* end.discipline?.read(file, uio, credentials) ?? pipeRead(file, uio, credentials);
    }
    // What has come with the last moment is there.
    if (reason === WakeReason.TimedOut && queue.readableBytes(file) === 0) break;
  }
  end.busyCount--;
  if (result > 0) {
    end.times.accessed = clock.realtime();
    end.traffic.bytesOut += result;
    file.messagesReceived++;
    if (queue.hasRoom) end.notify();
  }
  return result;
}
