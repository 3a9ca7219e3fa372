import type { Work } from '../../../kern/work.ts';
import type { Device } from '../device/device.ts';
import { Reply } from '../protocol/reply.ts';

const NOTICE_CAPACITY_BYTES = 8;
/** More notices than these are sent in slices: each takes a few microseconds. */
const AT_ONCE = 64;
/** Notices of one step. */
const STEP_NOTICES = 8;

/**
 * Poll handles whose pollers the kernel is to wake. A caller whose write has returned must find it in its next epoll_wait, which asks
 * only about files that it was told of: so notices go out before the answer to the call that causes them.
 */
export class PollNotices {
  readonly #device: Device;
  /** Notices go out while an answer lies in the session's own. */
  readonly #reply = new Reply(NOTICE_CAPACITY_BYTES);
  #handles = new Set<number>();

  constructor(device: Device) {
    this.#device = device;
  }

  add(handle: number): void {
    this.#handles.add(handle);
  }

  /** Whether there are so many that other calls are to be served in between. */
  get areMany(): boolean {
    return this.#handles.size > AT_ONCE;
  }

  send(): void {
    if (this.#handles.size === 0) return;
    for (const handle of this.#handles) this.#sendOne(handle);
    this.#handles.clear();
  }

  /** Sends those that there are now. */
  sendInSteps(): Work<void> {
    const handles = this.#handles;
    this.#handles = new Set();
    return this.#sendEach(handles);
  }

  *#sendEach(handles: Iterable<number>): Work<void> {
    let count = 0;
    for (const handle of handles) {
      if (count > 0 && count % STEP_NOTICES === 0) yield;
      this.#sendOne(handle);
      count++;
    }
  }

  #sendOne(handle: number): void {
    this.#device.send(this.#reply, this.#reply.notifyPoll(handle));
  }

  /** Makes the kernel send every unanswered request again; false when it does not. */
  askForResend(): boolean {
    return this.#device.send(this.#reply, this.#reply.notifyResend());
  }
}
