import { linuxOpenFlags } from '../../host/host-numbers.ts';
import type { OpenFile } from '../../vfs/open-file.ts';
import { followFlags } from '../common/open-flags.ts';

/** What is open, by the number that the binding keeps for us: it has 32 bits, so numbers are given again. */
export class NumberTable<T extends object> {
  // The binding takes 0 for no number.
  protected readonly entries: (T | null)[] = [null];
  readonly #free: number[] = [];

  add(entry: T): number {
    const number = this.#free.pop() ?? this.entries.length;
    this.entries[number] = entry;
    return number;
  }

  get(number: number): T | null {
    return this.entries[number] ?? null;
  }

  remove(number: number): void {
    this.entries[number] = null;
    this.#free.push(number);
  }
}

/** Open files. */
export class HandleTable extends NumberTable<OpenFile> {
  /** Brings the flags of an open file up to date with those of open(2), in the host's numbers, that a request carries. */
  followFlags(number: number, hostFlags: number): void {
    const file = this.get(number);
    if (file !== null) followFlags(file, linuxOpenFlags(hostFlags));
  }

  /** Whether a file of this node is open. */
  has(node: OpenFile['node']): boolean {
    return this.entries.some((file) => file?.node === node);
  }
}
