/** Wakes all that wait for the next change of something. */
export class Signal {
  #promise!: Promise<void>;
  #resolve!: () => void;

  constructor() {
    this.#renew();
  }

  /** Resolves with the next `raise`. */
  next(): Promise<void> {
    return this.#promise;
  }

  raise(): void {
    const resolve = this.#resolve;
    this.#renew();
    resolve();
  }

  #renew(): void {
    this.#promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}
