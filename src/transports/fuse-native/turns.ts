/**
 * Callbacks in an order that callers expect. libfuse has several threads, and the event loop serves those that came at the same time in
 * any order; but a close that was sent first must be done first (T11). So callbacks run at the end of the loop's round, closes before others.
 */
export class Turns {
  #closes: (() => void)[] = [];
  #others: (() => void)[] = [];
  #isScheduled = false;

  enqueue(isClose: boolean, run: () => void): void {
    (isClose ? this.#closes : this.#others).push(run);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const all = [...this.#closes, ...this.#others];
      this.#closes = [];
      this.#others = [];
      for (const each of all) each();
    });
  }
}
