/** Longest path to a directory, from the mount's root and with a slash after each name: PATH_MAX of Linux. A file in it may be longer. */
export const PATH_MAX_BYTES = 4096;

/** Lengths, each as often as it was added, and the greatest of them. */
export class PathLengths {
  /** 0 when there are none. */
  longest = 0;
  #longestCount = 0;
  /** How often there is each of the others. In a chain of directories there are none, however long it is. */
  readonly #others = new Map<number, number>();

  add(length: number): void {
    if (length > this.longest) {
      if (this.#longestCount > 0) this.#others.set(this.longest, this.#longestCount);
      this.longest = length;
      this.#longestCount = 1;
    } else if (length === this.longest) this.#longestCount++;
    else this.#others.set(length, (this.#others.get(length) ?? 0) + 1);
  }

  remove(length: number): void {
    if (length === this.longest) {
      if (--this.#longestCount > 0) return;
      // There are no more keys than lengths that a path may have.
      this.longest = this.#others.size === 0 ? 0 : Math.max(...this.#others.keys());
      this.#longestCount = this.#others.get(this.longest) ?? 0;
      if (this.#longestCount > 0) this.#others.delete(this.longest);
      return;
    }
    const count = this.#others.get(length)! - 1;
    if (count > 0) this.#others.set(length, count);
    else this.#others.delete(length);
  }
}
