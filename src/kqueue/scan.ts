import { EINTR } from '../kern/errno.ts';
import { EV_ONESHOT } from '../kern/klist.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import { filterOf } from './filters/list.ts';
import { EV_CLEAR, EV_DISPATCH, type Kevent } from './kevent.ts';
import { type Knote, KnoteStatus } from './knote.ts';
import type { Kqueue } from './kqueue.ts';

/** Changes and events are handled in batches of this many (KQ_NEVENTS; K13, K31). */
export const BATCH_SIZE = 8;

/** A longer wait is slept in parts: a host's timer has a limit (K28). */
const LONGEST_SLEEP_MS = 24 * 60 * 60 * 1000;

const collectSleep = { message: 'kqread', interruptible: true };

/** Where collected events go. */
export interface EventSink {
  /**
   * Stores the first of `events`, as many as there is room for: at least one if nothing is stored yet. Returns how many, or a
   * negative errno with none of them stored.
   */
  store(events: readonly Kevent[]): number;
  /** True when there is something else for the caller: it stops waiting. */
  readonly hasOther?: boolean;
}

/**
 * Collects up to `limit` events, and waits for the first one if there is none: for ever when `timeoutMs` is null, not at all when it
 * is 0 or less (the second half of kern_kevent, and kqueue_scan). Returns how many; 0 when the time has passed; -EINTR, or the
 * sink's error, when there are none (K23 to K35, K72 to K74).
 */
export function* collect(
  kqueue: Kqueue,
  sink: EventSink,
  limit: number,
  timeoutMs: number | null,
): Operation<number> {
  const { subsystem } = kqueue;
  const { callouts } = subsystem.kernel;
  const polls = timeoutMs !== null && timeoutMs <= 0;
  const deadlineMs = timeoutMs === null || polls ? Infinity : callouts.nowMs() + timeoutMs;
  kqueue.catchUp();
  const { foreign } = subsystem;
  const watchesForeign = foreign !== null && kqueue.foreignUsers.size > 0 && limit > 0;
  let lookTick = watchesForeign ? foreign.now() : 0;
  if (watchesForeign && polls) yield* foreign.look(kqueue, lookTick, true);
  let end = kqueue.nextSequence;
  let collected = 0;
  let error = 0;
  let rounds = 0;
  let wasAwakened = false;
  while (collected < limit && sink.hasOther !== true) {
    if (kqueue.count === 0 && collected === 0) {
      if (polls) break;
      const remainingMs = deadlineMs - callouts.nowMs();
      if (remainingMs <= 0) break;
      const sleepMs = remainingMs === Infinity ? undefined : Math.min(remainingMs, LONGEST_SLEEP_MS);
      const reason = yield* sleep(kqueue.channel, collectSleep, sleepMs);
      if (reason === WakeReason.Interrupted) {
        error = -EINTR;
        break;
      }
      wasAwakened = reason === WakeReason.Awakened;
      // What was queued while it slept. What its own scan queues again is not looked at: one knote could come twice.
      end = kqueue.nextSequence;
      rounds++;
      if (rounds === subsystem.checkLoop) {
        subsystem.kernel.host.log(`a call has woken ${rounds} times without an event (kern.kq_checkloop)`);
      }
      continue;
    }
    if (lookTick > 0 && foreign!.isStale(kqueue, lookTick)) {
      yield* foreign!.look(kqueue, lookTick, false);
      // Nobody answers: the events are what they were when somebody did.
      if (foreign!.isStale(kqueue, lookTick)) lookTick = 0;
      continue;
    }
    const wanted = Math.min(limit - collected, BATCH_SIZE);
    const stored = scan(kqueue, sink, wanted, end);
    if (stored < 0) {
      error = stored;
      break;
    }
    collected += stored;
    if (stored < wanted && collected > 0) break;
    // What is not true any more has left the queue. A filter that asks the host may have heard of other knotes meanwhile: they are next.
    if (stored === 0) end = kqueue.nextSequence;
  }
  // A wake-up stands for one event, and this call may have taken another, or none: what it leaves behind is for the next (KB10).
  const left = kqueue.firstPending;
  if (wasAwakened && left !== null && left.sequence < end) kqueue.channel.wakeupOne();
  return collected > 0 ? collected : error;
}

/**
 * Takes up to `wanted` deliverable knotes that were queued before `end`, stores their events, and does with each knote that was
 * delivered what its flags say (K59 to K66). A knote whose event could not be stored stays where it was (K30). Returns how many
 * events were stored, or the sink's error.
 */
function scan(kqueue: Kqueue, sink: EventSink, wanted: number, end: number): number {
  const knotes: Knote[] = [];
  const events: Kevent[] = [];
  while (knotes.length < wanted) {
    const knote = kqueue.firstDeliverable();
    if (knote === null || knote.sequence >= end) break;
    kqueue.dequeue(knote);
    knotes.push(knote);
    events.push(eventOf(knote));
  }
  if (knotes.length === 0) return 0;
  const stored = sink.store(events);
  const delivered = Math.max(stored, 0);
  kqueue.subsystem.deliveredEventCount += delivered;
  const { onDelivered } = kqueue.subsystem;
  if (onDelivered !== null) for (let index = 0; index < delivered; index++) onDelivered(events[index]!);
  for (let index = knotes.length - 1; index >= delivered; index--) kqueue.prepend(knotes[index]!);
  for (let index = 0; index < delivered; index++) afterDelivery(kqueue, knotes[index]!);
  return stored;
}

function eventOf(knote: Knote): Kevent {
  const event: Kevent = {
    ident: knote.ident,
    filter: knote.filter,
    flags: knote.flags,
    fflags: knote.fflags,
    data: knote.data,
    udata: knote.udata,
    label: knote.label,
  };
  filterOf(knote.filter)!.fillEvent?.(knote, event);
  return event;
}

/** The knote is off the queue and its event is stored (K62 to K66, K96, K128). */
function afterDelivery(kqueue: Kqueue, knote: Knote): void {
  if ((knote.flags & EV_ONESHOT) !== 0) {
    kqueue.drop(knote);
    return;
  }
  if ((knote.flags & (EV_CLEAR | EV_DISPATCH)) === 0) {
    kqueue.append(knote);
    return;
  }
  if ((knote.flags & EV_CLEAR) !== 0) {
    knote.data = 0;
    knote.fflags = 0;
  }
  if ((knote.flags & EV_DISPATCH) !== 0) knote.status |= KnoteStatus.Disabled;
  knote.status &= ~KnoteStatus.Active;
  knote.filterOps!.delivered?.(knote);
}
