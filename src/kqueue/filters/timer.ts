import { Resource } from '../../kern/accounting.ts';
import { ENOMEM } from '../../kern/errno.ts';
import type { Callout } from '../../kern/callout.ts';
import { EV_ONESHOT, EVFILT_TIMER } from '../../kern/klist.ts';
import { EV_CLEAR } from '../kevent.ts';
import type { Knote, QueueFilterOps } from '../knote.ts';
import { formatHex, HIGHEST_SIGNED, parseInteger64 } from '../numbers.ts';
import { type Filter, NO_NOTES } from './filter.ts';

/** The period of a timer that asks for 0 or less (K79). */
export const TICK_MS = 1;

/** Longer periods are cut to this: 2^31-1 ticks of the original's clock, about 248 days (K121). */
export const LONGEST_PERIOD_MS = (2 ** 31 - 1) * 10;

/**
 * The timer of a knote. Its callout is armed until an event is there to be collected, and again when it has been: what expires
 * meanwhile is counted when somebody looks, so that timers that nobody collects cost nothing, however short their periods are.
 */
class Timer {
  readonly #knote: Knote;
  readonly #fire = (): void => {
    this.#expire();
  };
  /** When the current interval ends, by the schedule and not by when somebody noticed (KB11). */
  #deadlineMs: number;
  #callout: Callout | null = null;

  constructor(knote: Knote) {
    this.#knote = knote;
    this.#deadlineMs = knote.kqueue.subsystem.kernel.callouts.nowMs() + this.#periodMs();
    this.arm();
  }

  arm(): void {
    if (this.#callout !== null || this.#deadlineMs === Infinity) return;
    this.#callout = this.#knote.kqueue.subsystem.kernel.callouts.scheduleAt(this.#deadlineMs, this.#fire);
  }

  /** Counts the expirations up to now that have not been (K77 to K80, K83, K85). */
  catchUp(): void {
    const knote = this.#knote;
    const nowMs = knote.kqueue.subsystem.kernel.callouts.nowMs();
    if (this.#deadlineMs > nowMs) return;
    let expirations = 1;
    if ((knote.flags & EV_ONESHOT) !== 0) {
      this.#deadlineMs = Infinity;
    } else {
      const periodMs = this.#periodMs();
      const missed = Math.floor((nowMs - this.#deadlineMs) / periodMs);
      expirations += missed;
      this.#deadlineMs += (missed + 1) * periodMs;
    }
    knote.data = Number(knote.data) + expirations;
  }

  stop(): void {
    if (this.#callout === null) return;
    this.#knote.kqueue.subsystem.kernel.callouts.cancel(this.#callout);
    this.#callout = null;
  }

  /** The period that the knote has now: a new one holds from the next expiry on (K81). */
  #periodMs(): number {
    const asked = Number(this.#knote.savedData);
    return asked <= 0 ? TICK_MS : Math.min(asked, LONGEST_PERIOD_MS);
  }

  /** filt_timerexpire. Somebody may have looked just before, counted this expiry, and collected it. */
  #expire(): void {
    this.#callout = null;
    this.catchUp();
    if (this.#knote.data === 0) this.arm();
    else this.#knote.activate();
  }
}

/** EVFILT_TIMER (filt_timer; K76 to K87). */
const timerOps: QueueFilterOps = {
  detach(listed) {
    const knote = listed as Knote;
    (knote.hook as Timer).stop();
    knote.kqueue.subsystem.calloutCount--;
    knote.account.release(Resource.Timers);
  },
  event(knote) {
    (knote.hook as Timer).catchUp();
    return knote.data !== 0;
  },
  delivered(knote) {
    (knote.hook as Timer).arm();
  },
};

/** filt_timerattach: -ENOMEM when there are as many timers as kern.kq_calloutmax allows (K87), or the user's quota. */
function attachTimer(knote: Knote): number {
  const { subsystem } = knote.kqueue;
  if (subsystem.calloutCount >= subsystem.calloutMax) return -ENOMEM;
  const error = knote.account.charge(Resource.Timers);
  if (error !== 0) return error;
  subsystem.calloutCount++;
  knote.filterOps = timerOps;
  knote.flags |= EV_CLEAR;
  knote.hook = new Timer(knote);
  return 0;
}

const periodUnits = new Map<string, bigint>([
  ['ms', 1n],
  ['s', 1000n],
  ['m', 60_000n],
]);

/** `500`, `500ms`, `2s` or `1m` in milliseconds; null when it is none. */
function parsePeriod(text: string): number | bigint | null {
  const match = /^(-?[0-9]{1,20})(ms|s|m)$/.exec(text);
  if (match === null) return parseInteger64(text);
  const value = BigInt(match[1]!) * periodUnits.get(match[2]!)!;
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  return value > HIGHEST_SIGNED || value < -HIGHEST_SIGNED ? null : value;
}

export const timerFilter: Filter = {
  number: EVFILT_TIMER,
  name: 'timer',
  identKind: 'number',
  notes: NO_NOTES,
  parseData: parsePeriod,
  formatFflags: formatHex,
  keepsValues: true,
  hasPrivateValues: false,
  attach: attachTimer,
  refresh(knote) {
    knote.filterOps!.event(knote, 0);
  },
};
