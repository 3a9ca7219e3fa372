import { EINTR, EPIPE } from '../kern/errno.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import { type PipeEnd, Presence } from './end.ts';

const drainSleep = { message: 'pipewr', interruptible: true };

/** Waits as a writer until readers have taken all that is queued (as tcdrain does for a terminal). 0, or -EPIPE, -EINTR. */
export function* pipeDrain(end: PipeEnd): Operation<number> {
  let error = 0;
  end.busyCount++;
  while (error === 0 && end.queuedBytes > 0) {
    if (end.endOfFile || end.presence !== Presence.Active) {
      error = -EPIPE;
    } else {
      end.writersWaiting = true;
      if ((yield* sleep(end.channel, drainSleep)) === WakeReason.Interrupted) error = -EINTR;
    }
  }
  end.busyCount--;
  if (end.busyCount === 0 && end.closerWaiting) {
    end.closerWaiting = false;
    end.readersWaiting = false;
    end.channel.wakeup();
  }
  return error;
}
