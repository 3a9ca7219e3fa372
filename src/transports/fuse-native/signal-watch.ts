/** How often callers are looked at; a signal is believed when two looks have found it. */
const LOOK_MS = 50;

/**
 * Finds out that a caller who waits has got a signal, where nothing tells: what is pending for its thread stays pending as long as the call
 * is not answered. Looks only while there are calls that wait. One look is not enough, as another thread of the process may be about to
 * take the signal.
 */
export class SignalWatch<Call extends { readonly pid: number }> {
  readonly #hasSignal: (threadId: number) => boolean;
  readonly #interrupt: (call: Call) => void;
  /** Whether the last look has found a signal. */
  readonly #calls = new Map<Call, boolean>();
  #timer: NodeJS.Timeout | null = null;

  constructor(hasSignal: (threadId: number) => boolean, interrupt: (call: Call) => void) {
    this.#hasSignal = hasSignal;
    this.#interrupt = interrupt;
  }

  add(call: Call): void {
    if (call.pid <= 0) return;
    this.#calls.set(call, false);
    this.#timer ??= setInterval(() => {
      this.#look();
    }, LOOK_MS);
  }

  remove(call: Call): void {
    this.#calls.delete(call);
    if (this.#calls.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    for (const [call, wasFound] of [...this.#calls]) {
      const isFound = this.#hasSignal(call.pid);
      this.#calls.set(call, isFound);
      if (isFound && wasFound) this.#interrupt(call);
    }
  }
}
