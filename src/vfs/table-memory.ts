import type { Kernel } from '../kern/kernel.ts';
import type { OpenFile } from './open-file.ts';
import { TextPieces } from './text-pieces.ts';

const MEBIBYTE = 1024 ** 2;
const DEFAULT_BYTES = 256 * MEBIBYTE;
const LEAST_BYTES = MEBIBYTE;
/** Of what all tables may take, the part that those of one user may. */
const SHARE = 1 / 4;
/** Room is taken in pieces of this size: small enough to be had near the limit of memory. The longest JSON rows take two more. */
const PIECE_BYTES = 12_288;

/**
 * How much memory all tables under way may take together: the tunable ipcfs.table_memory. A table is under way from the open that makes it
 * until its text is complete; from then on the open file alone is charged for it.
 */
export class TableMemory {
  limitBytes = DEFAULT_BYTES;
  readonly #kernel: Kernel;
  #usedBytes = 0;
  readonly #usedByUser = new Map<number, number>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    kernel.sysctls.register({
      name: 'ipcfs.table_memory',
      description:
        'maximum memory of all open tables of info/ in bytes; tables of one user may take a quarter',
      type: 'bytes',
      get: () => this.limitBytes,
      set: (value) => {
        this.limitBytes = value;
        return 0;
      },
      minimum: LEAST_BYTES,
      maximum: Number.MAX_SAFE_INTEGER,
    });
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Changes what the tables of a user take; false, with nothing changed, for more than there may be. */
  charge(uid: number, sizeBytes: number): boolean {
    const used = (this.#usedByUser.get(uid) ?? 0) + sizeBytes;
    if (sizeBytes > 0) {
      const limit = this.#kernel.accounts.isExempt(uid) ? this.limitBytes : this.limitBytes * SHARE;
      if (used > limit || this.#usedBytes + sizeBytes > this.limitBytes) return false;
    }
    this.#usedBytes += sizeBytes;
    if (used > 0) this.#usedByUser.set(uid, used);
    else this.#usedByUser.delete(uid);
    return true;
  }
}

/** What one table takes while it is made, charged to who opens it before it is taken, and its text. */
export class TableSpace {
  readonly text = new TextPieces();
  readonly #memory: TableMemory;
  readonly #file: OpenFile;
  #chargedBytes = 0;
  #keptBytes = 0;

  constructor(memory: TableMemory, file: OpenFile) {
    this.#memory = memory;
    this.#file = file;
  }

  #charge(sizeBytes: number): boolean {
    const { uid } = this.#file.credentials;
    if (!this.#memory.charge(uid, sizeBytes)) return false;
    if (!this.#file.hold(this.#chargedBytes + sizeBytes)) {
      this.#memory.charge(uid, -sizeBytes);
      return false;
    }
    this.#chargedBytes += sizeBytes;
    return true;
  }

  /** Whether a row may be built. */
  hasRoomForRow(): boolean {
    return this.#chargedBytes - this.#keptBytes >= PIECE_BYTES || this.#charge(PIECE_BYTES);
  }

  /** Adds to the text; false when there is no room. */
  write(text: string): boolean {
    if (!this.keep(text.length)) return false;
    this.text.add(text);
    return true;
  }

  /** Keeps so many bytes more beside the text, or less; false when there is no room. */
  keep(sizeBytes: number): boolean {
    this.#keptBytes += sizeBytes;
    const missing = this.#keptBytes - this.#chargedBytes;
    return missing <= 0 || this.#charge(Math.max(missing, PIECE_BYTES));
  }

  /** The table is complete, or is given up. What the file keeps of it is for the file to say. */
  end(): void {
    this.#memory.charge(this.#file.credentials.uid, -this.#chargedBytes);
    this.#chargedBytes = 0;
  }
}
