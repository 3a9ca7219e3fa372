import type { Kernel } from '../../kern/kernel.ts';
import { type Operation, sleep, WakeReason } from '../../kern/operation.ts';

const HANDLE_TIMEOUT_MS = 2000;

/** A question about one descriptor. */
export interface HandleQuestion {
  readonly id: number;
  readonly pid: number;
  readonly descriptor: number;
}

/**
 * Has another thread ask open files for their handles: asking is a request to this mount, which the serving thread cannot make. The
 * wait is short and nothing is held meanwhile, so a signal does not end it: a change that has begun is applied.
 */
export class HandleQuery {
  readonly #channel;
  readonly #ask: (question: HandleQuestion) => void;
  /** Questions whose answers somebody waits for. */
  readonly #open = new Map<number, number | null>();
  #lastId = 0;

  /** `ask` passes a question on; `answer` is to be called with its id. */
  constructor(kernel: Kernel, ask: (question: HandleQuestion) => void) {
    this.#channel = kernel.channel(this);
    this.#ask = ask;
  }

  /** A handle, or 0 when there is none or no answer has come. */
  *find(pid: number, descriptor: number): Operation<number> {
    const id = ++this.#lastId;
    this.#open.set(id, null);
    this.#ask({ id, pid, descriptor });
    let reason: WakeReason = WakeReason.Awakened;
    while (this.#open.get(id) === null && reason !== WakeReason.TimedOut) {
      reason = yield* sleep(this.#channel, { message: 'handle', interruptible: false }, HANDLE_TIMEOUT_MS);
    }
    const handle = this.#open.get(id) ?? 0;
    this.#open.delete(id);
    return handle;
  }

  /** Makes the caller runnable. */
  answer(id: number, handle: number): void {
    if (!this.#open.has(id)) return;
    this.#open.set(id, handle);
    this.#channel.wakeup();
  }
}
