import { assert } from '../../kern/assert.ts';
import { ENOMEM } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import { allocate } from '../../kern/memory.ts';
import type { WriteUio } from '../../kern/uio.ts';
import type { Queue } from './queue.ts';

const SMALLEST_BYTES = 256;
const noBytes = new Uint8Array(0);

/** A line that a writer has begun. */
interface Begun {
  memory: Uint8Array;
  length: number;
  /** The line is longer than the ring and is dropped: what comes up to its end, too. */
  isDropped: boolean;
}

/** Lines that writers have begun and not finished, by open file. Readers see a line when it is whole. */
export class Lines {
  readonly #queue: Queue;
  readonly #begun = new Map<File, Begun>();
  heldBytes = 0;

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** The bytes that the file's line has so far. */
  of(file: File): Uint8Array {
    const begun = this.#begun.get(file);
    return begun === undefined ? noBytes : begun.memory.subarray(0, begun.length);
  }

  isDropped(file: File): boolean {
    return this.#begun.get(file)?.isDropped ?? false;
  }

  /** Adds the next `length` bytes of a write to the file's line. 0, or with nothing taken -ENOMEM or -EFAULT. */
  add(file: File, uio: WriteUio, length: number): number {
    const begun = this.#begun.get(file) ?? { memory: noBytes, length: 0, isDropped: false };
    const neededBytes = begun.length + length;
    if (neededBytes > begun.memory.length) {
      let sizeBytes = Math.max(SMALLEST_BYTES, begun.memory.length);
      while (sizeBytes < neededBytes) sizeBytes *= 2;
      const moreBytes = sizeBytes - begun.memory.length;
      const error = this.#queue.hold(moreBytes);
      if (error !== 0) return error;
      const memory = allocate(this.#queue.end.pair.subsystem.kernel.host, sizeBytes);
      if (memory === null) {
        this.#queue.unhold(moreBytes);
        return -ENOMEM;
      }
      memory.set(this.of(file));
      begun.memory = memory;
      this.heldBytes += moreBytes;
      this.#begun.set(file, begun);
    }
    const fault = uio.moveIn(begun.memory.subarray(begun.length, neededBytes), 0, length);
    if (fault !== 0) return fault;
    begun.length = neededBytes;
    return 0;
  }

  /** Drops the file's line, and what comes of it until it ends. */
  drop(file: File): void {
    this.forget(file);
    this.#begun.set(file, { memory: noBytes, length: 0, isDropped: true });
  }

  /** The file's line has been stored, or is dropped. */
  forget(file: File): void {
    const begun = this.#begun.get(file);
    if (begun === undefined) return;
    this.#begun.delete(file);
    this.heldBytes -= begun.memory.length;
    this.#queue.unhold(begun.memory.length);
  }

  forgetAll(): void {
    for (const file of [...this.#begun.keys()]) this.forget(file);
  }

  /** All of them, in the order in which they were begun. */
  all(): readonly Uint8Array[] {
    return [...this.#begun.keys()].map((file) => this.of(file)).filter((bytes) => bytes.length > 0);
  }

  get longestBytes(): number {
    return Math.max(0, ...this.all().map((bytes) => bytes.length));
  }

  checkInvariants(): void {
    let heldBytes = 0;
    for (const { memory, length } of this.#begun.values()) {
      assert(
        length <= memory.length && length <= this.#queue.ring.size,
        'a line that is begun fits into the ring',
      );
      heldBytes += memory.length;
    }
    assert(heldBytes === this.heldBytes, 'the memory of lines adds up');
  }
}
