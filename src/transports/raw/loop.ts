import { EAGAIN, ECONNABORTED, EINTR, ENODEV, ENOENT, errnoName } from '../../kern/errno.ts';
import type { Session } from './session.ts';
import type { ServedDevice } from './device.ts';

export interface LoopOptions {
  /** How long to look for the next request before sleeping, in milliseconds. Waking a sleeping thread costs more than a request. */
  readonly spinMs: number;
  /** Whether the mount is to end; asked after every request. */
  readonly isStopping: () => boolean;
  /** Called once, when the kernel and the session have agreed: the mount answers. False ends the loop. */
  readonly onReady: () => boolean;
  /** Called when the main thread may have sent something; asked after every request. */
  readonly takeMail: () => void;
}

/** The longest time-out that poll(2) takes. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** While requests keep the loop from sleeping, it looks this often for events of the host. */
const LOOK_MS = 1;

/** Why a loop has ended; `outdated`: the kernel is too old to agree with. */
export type LoopEnd = 'unmounted' | 'stopped' | 'refused' | 'outdated';

/**
 * Serves a connection until it is unmounted or stopped: receive, run to completion or to a sleep, answer. The thread does nothing
 * else. It takes no processor time while the mount is idle. Calls that are blocked are answered before it ends; it throws when the
 * device fails.
 */
export function runLoop(session: Session, device: ServedDevice, options: LoopOptions): LoopEnd {
  const { callouts, scheduler } = session.fileSystem.kernel;
  let spinUntilMs = 0;
  let nextLookMs = 0;
  let isReady = false;
  for (;;) {
    if (options.isStopping()) {
      session.interruptAll();
      return 'stopped';
    }
    options.takeMail();
    const length = device.receive(session.buffers.current);
    const nowMs = callouts.nowMs();
    // Before anything else is taken from the kernel: what was told until now belongs to requests that have been served.
    if (length === -EAGAIN && session.settleWhenIdle()) continue;
    if (length > 0) {
      session.serve(length, nowMs);
      spinUntilMs = nowMs + options.spinMs;
      if (!isReady && session.negotiated !== null) {
        isReady = true;
        if (!options.onReady()) return 'refused';
      }
      // The kernel takes the refusal for the end, and says no more.
      if (session.refusedMinor !== null) return 'outdated';
    }
    if (callouts.nextDeadlineMs() <= nowMs) {
      callouts.runExpired();
      session.settle();
    }
    if (device.hasSources && nowMs >= nextLookMs) {
      nextLookMs = nowMs + LOOK_MS;
      if (device.wait(0)) session.settle();
    }
    if (length > 0) continue;
    switch (-length) {
      case EAGAIN:
        session.reporter.idleTurns++;
        if (nowMs >= spinUntilMs && scheduler.runnableCount === 0) {
          const waitMs = callouts.nextDeadlineMs() - nowMs;
          const timeoutMs =
            waitMs === Infinity ? -1 : Math.min(LONGEST_WAIT_MS, Math.max(0, Math.ceil(waitMs)));
          session.reporter.sleeps++;
          if (device.wait(timeoutMs)) session.settle();
        }
        break;
      // A request that was given up before it was read, and a signal.
      case ENOENT:
      case EINTR:
        break;
      // Unmounted, or aborted by somebody.
      case ENODEV:
      case ECONNABORTED:
        session.interruptAll();
        return 'unmounted';
      default:
        session.interruptAll();
        throw new Error(`reading /dev/fuse failed with ${errnoName(-length)}`);
    }
  }
}
