import type { OpenFile } from '../../vfs/open-file.ts';

/** Open files by the number that the binding keeps for us: it has 32 bits, so numbers are given again. */
export class HandleTable {
  // The binding takes 0 for no number.
  readonly #files: (OpenFile | null)[] = [null];
  readonly #free: number[] = [];

  add(file: OpenFile): number {
    const number = this.#free.pop() ?? this.#files.length;
    this.#files[number] = file;
    return number;
  }

  get(number: number): OpenFile | null {
    return this.#files[number] ?? null;
  }

  remove(number: number): void {
    this.#files[number] = null;
    this.#free.push(number);
  }

  /** Whether a file of this node is open. */
  has(node: OpenFile['node']): boolean {
    return this.#files.some((file) => file?.node === node);
  }
}
