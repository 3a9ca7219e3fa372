import { assert } from '../kern/assert.ts';
import { type Operation, sleep } from '../kern/operation.ts';
import { type PipeEnd, Presence } from './end.ts';

const closeSleep = { message: 'pipecl', interruptible: false };

/**
 * Closes an end (pipeclose; P113 to P118): end-of-file, waits for the operations in progress on its ring, tells its own
 * pollers, then the other end's sleepers and pollers, and gives the ring's memory back with what was stored in it.
 */
export function* pipeClose(end: PipeEnd): Operation<number> {
  assert(end.presence === Presence.Active, 'an end is closed once');
  end.endOfFile = true;
  while (end.busyCount > 0) {
    end.channel.wakeup();
    end.readersWaiting = false;
    end.writersWaiting = false;
    end.closerWaiting = true;
    yield* sleep(end.channel, closeSleep);
  }
  closeIdle(end);
  return 0;
}

/** The part of a close that does not wait, for an end on which no operation is in progress. */
export function closeIdle(end: PipeEnd): void {
  assert(end.busyCount === 0 && end.chunk === null, 'an idle end has no operation in progress');
  end.endOfFile = true;
  end.notify();
  const [forward, reverse] = end.pair.ends;
  const other = end === forward ? reverse : forward;
  if (other.presence === Presence.Active) {
    other.endOfFile = true;
    other.readersWaiting = false;
    other.writersWaiting = false;
    other.channel.wakeup();
    other.notify();
  }
  end.ring.free();
  end.presence = Presence.Closing;
  if (!end.pair.isNamed) end.klist.clear();
  end.owner = null;
  end.presence = Presence.Finalized;
  end.pair.subsystem.crampedEnds.growthReturned();
  if (other.presence !== Presence.Finalized) return;
  const { subsystem } = end.pair;
  subsystem.pairs.delete(end.pair);
  subsystem.policy?.destroyed?.(end.pair);
}
