import { assert } from '../../src/kern/assert.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';

/** Writes that can be in progress on one pipe at a time: each has a slot, and its bytes say which. */
const SLOTS = 8;
/** A prime: bytes that lie a page, or any power of two, away from where they belong differ. */
const PERIOD = 31;

/** The longest write. */
export const LONGEST_WRITE_BYTES = 256 * 1024;

const patterns = Array.from({ length: SLOTS }, (_, slot) =>
  Uint8Array.from(
    { length: LONGEST_WRITE_BYTES + PERIOD },
    (_, position) => slot * PERIOD + (position % PERIOD),
  ),
);

interface Slot {
  /** Bytes that answers of writes have counted. */
  accepted: number;
  /** Bytes that readers have got. */
  consumed: number;
  /** Length of the write in progress; 0 when there is none. */
  pending: number;
  isAtomic: boolean;
  /** Atomic writes whose bytes have not all been read: where each begins and ends. */
  readonly atomic: { readonly start: number; readonly end: number }[];
}

/**
 * What goes through one end's ring. Byte `p` of a slot is coded with slot and position, so a reader's bytes say who wrote them and in
 * which order; what an answer did not count is written again with the same codes.
 */
export class Stream {
  readonly end: PipeEnd;
  /** Options may drop bytes, give them again, to several readers, or in another order: only that somebody wrote them is certain. */
  isLoose = false;
  readonly #slots: Slot[] = [];
  #lastSlot = -1;

  constructor(end: PipeEnd) {
    this.end = end;
    for (let slot = 0; slot < SLOTS; slot++) {
      this.#slots.push({ accepted: 0, consumed: 0, pending: 0, isAtomic: false, atomic: [] });
    }
  }

  /** A slot without a write in progress, -1 when all have one. */
  freeSlot(first: number): number {
    for (let index = 0; index < SLOTS; index++) {
      const slot = (first + index) % SLOTS;
      if (this.#slots[slot]!.pending === 0) return slot;
    }
    return -1;
  }

  /** A write begins: its bytes. */
  begin(slot: number, sizeBytes: number, isAtomic: boolean): Uint8Array {
    const state = this.#slots[slot]!;
    state.pending = sizeBytes;
    state.isAtomic = isAtomic;
    if (isAtomic) state.atomic.push({ start: state.accepted, end: state.accepted + sizeBytes });
    const phase = state.accepted % PERIOD;
    return patterns[slot]!.subarray(phase, phase + sizeBytes);
  }

  /** The write of this slot has been answered with a count or a negative errno. */
  finish(slot: number, result: number): void {
    const state = this.#slots[slot]!;
    const count = Math.max(0, result);
    assert(count <= state.pending, 'a write counts no more bytes than it was given');
    assert(
      this.isLoose || !state.isAtomic || count === 0 || count === state.pending,
      'a write up to PIPE_BUF is all or nothing',
    );
    if (state.isAtomic && count === 0) state.atomic.pop();
    state.accepted += count;
    state.pending = 0;
    assert(
      this.isLoose || state.consumed <= state.accepted,
      'no byte was read that the write does not count',
    );
  }

  /** A read has got these bytes. */
  consume(bytes: Uint8Array): void {
    if (this.isLoose) {
      assert(
        bytes.every((byte) => byte < SLOTS * PERIOD),
        'every byte was written by somebody',
      );
      return;
    }
    let at = 0;
    while (at < bytes.length) {
      const slot = Math.floor(bytes[at]! / PERIOD);
      const state = this.#slots[slot];
      assert(state !== undefined, 'every byte was written by somebody');
      if (slot !== this.#lastSlot) {
        if (this.#lastSlot >= 0) this.#checkBoundary(this.#slots[this.#lastSlot]!);
        this.#checkBoundary(state);
        this.#lastSlot = slot;
      }
      const start = at;
      let phase = state.consumed % PERIOD;
      const base = slot * PERIOD;
      while (at < bytes.length && bytes[at] === base + phase) {
        at++;
        phase = phase + 1 === PERIOD ? 0 : phase + 1;
      }
      assert(at > start, 'bytes come out in the order in which they were written, each once');
      state.consumed += at - start;
      assert(state.consumed <= state.accepted + state.pending, 'no byte comes out that was not written');
      while (state.atomic.length > 0 && state.atomic[0]!.end <= state.consumed) state.atomic.shift();
    }
  }

  /** Whether what has not been read is what the end has; called between requests. */
  check(): void {
    if (this.isLoose) return;
    let least = 0;
    let most = 0;
    for (const { accepted, consumed, pending } of this.#slots) {
      least += accepted - consumed;
      most += accepted - consumed + pending;
    }
    const { queuedBytes } = this.end;
    assert(queuedBytes >= least, 'no byte that was written is lost');
    assert(queuedBytes <= most, 'no byte is there that was not written');
  }

  #checkBoundary({ atomic, consumed }: Slot): void {
    const first = atomic[0];
    assert(
      first === undefined || consumed <= first.start || consumed >= first.end,
      'bytes of a write up to PIPE_BUF come out together',
    );
  }
}
