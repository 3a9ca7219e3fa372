import type { Kernel } from '../../../kern/kernel.ts';
import { ThreadState } from '../../../kern/scheduler.ts';
import type { InFlight } from './in-flight.ts';

/** Calls that sleep for less are not looked at. */
const LOOK_AFTER_MS = 50;
/** A look takes 20 us: others are served after so many. */
const STEP_LOOKS = 8;
const STEP_MS = 1;

/**
 * Ends calls that a signal has met before their request was received. Linux sends no INTERRUPT for these when they come through an
 * io_uring: fs/fuse/dev_uring.c does not look, as /dev/fuse does, whether a request that it hands over was interrupted meanwhile. A
 * killed process would stay until its call ends by itself. Later signals are told, so each call is looked at once. Where the host
 * cannot tell of signals, nothing is.
 */
export class MissedSignals {
  readonly #kernel: Kernel;
  /** Calls that have gone to sleep and were not looked at, in the order of their receipt; those before `#first` have been. */
  #calls: InFlight[] = [];
  #first = 0;
  #isScheduled = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** A call has gone to sleep for the first time. */
  slept(call: InFlight): void {
    // Callers of other namespaces have no number here.
    if (call.pid === 0 || this.#kernel.host.hasSignal === undefined) return;
    this.#calls.push(call);
    if (!this.#isScheduled) this.#schedule(LOOK_AFTER_MS);
  }

  #schedule(delayMs: number): void {
    this.#isScheduled = true;
    this.#kernel.callouts.schedule(delayMs, this.#look);
  }

  readonly #look = (): void => {
    const { callouts, host, scheduler } = this.#kernel;
    const nowMs = callouts.nowMs();
    this.#isScheduled = false;
    let looks = 0;
    for (; this.#first < this.#calls.length; this.#first++) {
      const call = this.#calls[this.#first]!;
      const dueMs = call.receivedMs + LOOK_AFTER_MS;
      if (dueMs > nowMs || looks === STEP_LOOKS) {
        this.#schedule(Math.max(STEP_MS, dueMs - nowMs));
        break;
      }
      if (call.state !== ThreadState.Sleeping) continue;
      looks++;
      if (host.hasSignal!(call.pid)) scheduler.interrupt(call);
    }
    this.#calls = this.#calls.slice(this.#first);
    this.#first = 0;
  };
}
