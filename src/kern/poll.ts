/** Poll bits, in FreeBSD's numbering. A transport maps its host's bits at its edge. */
export const POLLIN = 0x0001;
export const POLLPRI = 0x0002;
export const POLLOUT = 0x0004;
export const POLLERR = 0x0008;
export const POLLHUP = 0x0010;
export const POLLRDNORM = 0x0040;
export const POLLWRNORM = POLLOUT;
export const POLLRDBAND = 0x0080;
/** Ask for readability without end-of-file (P85). */
export const POLLINIGNEOF = 0x2000;

/**
 * Somebody who has polled and wants to hear once that readiness may have changed.
 * Recorded on the queues of the objects polled, as selrecord does; one notification takes it off all of them.
 */
export class Poller {
  readonly #notify: () => void;
  readonly #queues: PollQueue[] = [];

  constructor(notify: () => void) {
    this.#notify = notify;
  }

  get isWaiting(): boolean {
    return this.#queues.length > 0;
  }

  /** Used by PollQueue only. */
  joined(queue: PollQueue): void {
    this.#queues.push(queue);
  }

  wake(): void {
    this.cancel();
    this.#notify();
  }

  /** Leaves every queue without a notification. */
  cancel(): void {
    for (const queue of this.#queues) queue.leave(this);
    this.#queues.length = 0;
  }
}

/** The pollers of one object (struct selinfo). Costs nothing until somebody polls. */
export class PollQueue {
  #pollers: Set<Poller> | null = null;

  get size(): number {
    return this.#pollers?.size ?? 0;
  }

  record(poller: Poller): void {
    this.#pollers ??= new Set();
    if (this.#pollers.has(poller)) return;
    this.#pollers.add(poller);
    poller.joined(this);
  }

  leave(poller: Poller): void {
    this.#pollers?.delete(poller);
  }

  /** Notifies everybody once (selwakeup). */
  wakeup(): void {
    if (this.#pollers === null || this.#pollers.size === 0) return;
    const pollers = this.#pollers;
    this.#pollers = null;
    for (const poller of pollers) poller.wake();
  }
}
