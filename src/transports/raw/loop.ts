import { EAGAIN, ECONNABORTED, EINTR, ENODEV, ENOENT, errnoName } from '../../kern/errno.ts';
import { SLICE_MS } from '../../kern/work.ts';
import type { Session } from './session/session.ts';
import type { ServedDevice } from './device/device.ts';

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

/** Who has been answered makes the next call within this time, or does something else. */
const TURNAROUND_MS = 0.1;

/** Why a loop has ended; `outdated`: the kernel is too old to agree with. */
export type LoopEnd = 'unmounted' | 'stopped' | 'refused' | 'outdated';

/**
 * Serves a connection until it is unmounted or stopped: receive, run to completion or to a sleep, answer. The thread does nothing
 * else. It takes no processor time while the mount is idle. Calls that are blocked are answered before it ends; it throws when the
 * device fails.
 */
export function runLoop(session: Session, device: ServedDevice, options: LoopOptions): LoopEnd {
  const { callouts } = session.fileSystem.kernel;
  const { reporter } = session;
  let spinUntilMs = 0;
  let nextLookMs = 0;
  /** Before that the next slice waits for requests. */
  let nextSliceMs = 0;
  /** Whether every request that has come is answered, or sleeps, and since when. */
  let isAnswered = false;
  let answeredMs = 0;
  let isReady = false;
  for (;;) {
    if (options.isStopping()) {
      session.interruptAll();
      return 'stopped';
    }
    options.takeMail();
    const length = device.receive(session.buffers.current);
    const nowMs = callouts.nowMs();
    reporter.stepped(nowMs);
    // Before anything else is taken from the kernel: what was told until now belongs to requests that have been served.
    if (length === -EAGAIN && session.settleWhenIdle()) continue;
    if (length > 0) {
      session.serve(length, nowMs);
      spinUntilMs = nowMs + options.spinMs;
      if (!isReady && session.agreement.minor !== null) {
        isReady = true;
        if (!options.onReady()) return 'refused';
      }
      // The kernel takes the refusal for the end, and says no more.
      if (session.agreement.refusedMinor !== null) return 'outdated';
    }
    if (length !== -EAGAIN) isAnswered = false;
    else if (!isAnswered) {
      isAnswered = true;
      answeredMs = nowMs;
    }
    // Works, timers and those who were woken by the thousand: for a slice, and then requests have as much time, if there are any.
    if (
      (callouts.nextDeadlineMs() <= nowMs || session.hasBacklog) &&
      (nowMs >= nextSliceMs || (isAnswered && nowMs >= answeredMs + TURNAROUND_MS))
    ) {
      device.flush();
      callouts.runExpired(SLICE_MS);
      session.settleBacklog();
      const endMs = callouts.nowMs();
      nextSliceMs = endMs + (endMs - nowMs);
    }
    if (device.hasSources && (nowMs >= nextLookMs || (length === -EAGAIN && device.isAwaited === true))) {
      nextLookMs = nowMs + LOOK_MS;
      if (device.wait(0)) session.settle();
    }
    if (length > 0) continue;
    switch (length) {
      case -EAGAIN:
        reporter.idleTurns++;
        if ((nowMs >= spinUntilMs || device.isSpinVain === true) && !session.hasBacklog) {
          const waitMs = callouts.nextDeadlineMs() - nowMs;
          const timeoutMs =
            waitMs === Infinity ? -1 : Math.min(LONGEST_WAIT_MS, Math.max(0, Math.ceil(waitMs)));
          reporter.sleeps++;
          const isCalled = device.wait(timeoutMs);
          reporter.wokeUp(callouts.nowMs());
          if (isCalled) session.settle();
        }
        break;
      // A request that was given up before it was read, and a signal.
      case -ENOENT:
      case -EINTR:
        break;
      // Unmounted, or aborted by somebody.
      case -ENODEV:
      case -ECONNABORTED:
        session.interruptAll();
        return 'unmounted';
      default:
        session.interruptAll();
        throw new Error(`reading /dev/fuse failed with ${errnoName(length)}`);
    }
  }
}
