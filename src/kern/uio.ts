import { assert } from './assert.ts';
import { EFAULT } from './errno.ts';
import type { Operation } from './operation.ts';

/**
 * The destination of a read. The transport's one gathers slices for writev, so bytes are lent until the
 * answer is sent: an operation never sleeps after it has moved a byte out.
 */
export interface ReadUio {
  /** Bytes that the caller still wants. */
  residual: number;
  /** Position in the file, for files that have one. */
  readonly offset: number;
  /** Takes `length` bytes (at most `residual`) of `source` from `start` on; 0, or -EFAULT with nothing taken. */
  moveOut(source: Uint8Array, start: number, length: number): number;
}

/** One piece of a write's source: bytes, or a number of bytes that cannot be read (for tests of faults). */
export type Segment = Uint8Array | { readonly unreadableBytes: number };

function segmentLength(segment: Segment): number {
  return segment instanceof Uint8Array ? segment.length : segment.unreadableBytes;
}

/** Gets the bytes of a write back that were taken away while it slept. */
export interface Pager {
  /** Sleeps until the bytes of `uio` are there; 0, or -EINTR. */
  fetch(uio: WriteUio): Operation<number>;
}

/** The source of a write: segments as in writev, and a cursor. */
export class WriteUio {
  readonly #segments: Segment[];
  /** The latest loan. */
  #loan: Loan | null = null;
  /** While bytes are held back: how many before those that are there. */
  #skippedBytes = 0;
  #pager: Pager | null = null;
  /**
   * Set by an operation that looks at `availableBytes` and can `fetch` the rest: while it sleeps, most of its bytes may be taken
   * away (`holdBack`).
   */
  isPageable = false;
  #index = 0;
  /** Position within the current segment. */
  #position = 0;
  /** Bytes not yet written, but for those that are withheld. */
  residual = 0;
  /** Bytes at the end that the operation does not see (`withhold`). */
  #withheldBytes = 0;
  readonly offset: number;

  constructor(segments: Segment[], offset = 0) {
    this.#segments = segments;
    this.offset = offset;
    for (const segment of segments) this.residual += segmentLength(segment);
    this.length = this.residual;
    this.#skipEmpty();
  }

  /** Bytes of the whole write. */
  readonly length: number;

  /** Bytes left in the current segment (P70, P140). */
  get segmentResidual(): number {
    const segment = this.#segments[this.#index];
    if (segment === undefined) return 0;
    const bytes = segmentLength(segment) - this.#position;
    return this.#withheldBytes === 0 ? bytes : Math.min(bytes, this.residual);
  }

  /** Bytes that can be moved or lent without a `fetch`; `residual` unless some are held back. */
  get availableBytes(): number {
    return this.#pager === null ? this.residual : this.segmentResidual;
  }

  /** Bytes that nobody has taken: those that are lent or withheld too. */
  get untakenBytes(): number {
    return this.residual + this.#withheldBytes + (this.#loan?.residual ?? 0);
  }

  /** Shows the operation the next `seenBytes` bytes only, as if there were no more. Returns how many it withholds now. */
  withhold(seenBytes: number): number {
    const bytes = Math.max(0, this.residual - seenBytes);
    this.residual -= bytes;
    this.#withheldBytes += bytes;
    return bytes;
  }

  /** Shows bytes that were withheld. */
  offer(sizeBytes: number): void {
    assert(sizeBytes <= this.#withheldBytes, 'only withheld bytes are offered again');
    this.#withheldBytes -= sizeBytes;
    this.residual += sizeBytes;
  }

  /** Whether most of the bytes are elsewhere. */
  get isHeldBack(): boolean {
    return this.#pager !== null;
  }

  /**
   * Keeps a copy of the next `keptBytes` only, those of a loan that is out first, and shortens that loan to them: the memory of the
   * rest is the caller's again. `pager` gets them back.
   */
  holdBack(keptBytes: number, pager: Pager): void {
    assert(this.isPageable && this.#pager === null, 'bytes are held back that are there and can be fetched');
    assert(this.#segments.length === 1, 'only a single payload is held back');
    const loan = this.#loan;
    const lent = loan === null ? 0 : Math.min(loan.residual, keptBytes);
    if (loan !== null && loan.residual > 0) {
      this.giveBack(loan);
      loan.residual = lent;
      this.residual -= lent;
    }
    const start = this.#position;
    this.#segments[0] = (this.#segments[0] as Uint8Array).slice(start, start + keptBytes);
    this.#skippedBytes = start;
    this.#position = lent;
    if (lent > 0) loan!.position = 0;
    this.#pager = pager;
  }

  /** All bytes again: `payload` is what the whole write was. */
  restore(payload: Uint8Array): void {
    assert(this.#pager !== null && payload.length === this.length, 'the same write has come again');
    this.#pager = null;
    this.#segments[0] = payload;
    this.#position += this.#skippedBytes;
    if (this.#loan !== null && this.#loan.residual > 0) this.#loan.position += this.#skippedBytes;
    this.#skippedBytes = 0;
    this.#skipEmpty();
  }

  /** The first `length` bytes of the write; null when they are not all here any more, or cannot be read. */
  prefix(length: number): Uint8Array | null {
    const [segment] = this.#segments;
    const isWhole = this.#pager === null && this.#segments.length === 1 && segment instanceof Uint8Array;
    // A Buffer's own slice is no copy.
    return isWhole && segment.length >= length ? new Uint8Array(segment.subarray(0, length)) : null;
  }

  /** How many of the next bytes there are up to the first `byte`, with it; -1 when it does not come. Bytes that cannot be read hold none. */
  lengthUpTo(byte: number): number {
    let length = 0;
    let position = this.#position;
    for (let index = this.#index; index < this.#segments.length; index++) {
      const segment = this.#segments[index]!;
      const at = segment instanceof Uint8Array ? segment.indexOf(byte, position) : -1;
      if (at >= 0) {
        length += at - position + 1;
        return length <= this.residual ? length : -1;
      }
      length += segmentLength(segment) - position;
      position = 0;
    }
    return -1;
  }

  /** Leaves out the next `length` bytes. */
  skip(length: number): void {
    assert(length <= this.availableBytes, 'no more is left out than the caller has');
    let left = length;
    while (left > 0) {
      const count = Math.min(left, segmentLength(this.#segments[this.#index]!) - this.#position);
      left -= count;
      this.#position += count;
      this.#skipEmpty();
    }
    this.residual -= length;
  }

  /** Sleeps until bytes are available that were held back. 0, or -EINTR. */
  fetch(): Operation<number> {
    assert(this.#pager !== null, 'what is there is not fetched');
    return this.#pager.fetch(this);
  }

  /**
   * Copies `length` bytes to `target` from `start` on, going on at its beginning where it ends, and advances.
   * 0, or -EFAULT with the cursor where it was.
   */
  moveIn(target: Uint8Array, start: number, length: number): number {
    assert(length <= this.availableBytes, 'no more is taken than the caller has');
    const index = this.#index;
    const position = this.#position;
    let left = length;
    let at = start;
    while (left > 0) {
      if (at === target.length) at = 0;
      const segment = this.#segments[this.#index]!;
      if (!(segment instanceof Uint8Array)) {
        this.#index = index;
        this.#position = position;
        return -EFAULT;
      }
      const count = Math.min(left, segment.length - this.#position, target.length - at);
      target.set(segment.subarray(this.#position, this.#position + count), at);
      left -= count;
      at += count;
      this.#position += count;
      this.#skipEmpty();
    }
    this.residual -= length;
    return 0;
  }

  /**
   * Offers the next `length` bytes of the current segment without copying them, and advances the cursor (P80).
   * Null when they cannot be read (P79).
   */
  lend(length: number): Loan | null {
    const segment = this.#segments[this.#index];
    assert(segment !== undefined && length <= this.segmentResidual, 'a loan lies within the current segment');
    if (!(segment instanceof Uint8Array)) return null;
    const loan = new Loan(this.#segments, this.#index, this.#position, length);
    this.#position += length;
    this.residual -= length;
    this.#loan = loan;
    this.#skipEmpty();
    return loan;
  }

  /** Takes back what nobody has read of a loan: those bytes were not written (PB2). */
  giveBack(loan: Loan): void {
    this.#index = loan.segmentIndex;
    this.#position = loan.position;
    this.residual += loan.residual;
    loan.residual = 0;
  }

  /**
   * Replaces the only segment by a copy, so that the buffer it lies in can be used for something else.
   * Loans follow, as they name the segment and not its memory.
   */
  detach(): void {
    assert(this.#segments.length === 1, 'only a single payload is detached');
    const segment = this.#segments[0];
    if (segment instanceof Uint8Array) this.#segments[0] = segment.slice();
  }

  #skipEmpty(): void {
    // Behind what is there of a payload lies the rest of it.
    while (this.#pager === null) {
      const segment = this.#segments[this.#index];
      if (segment === undefined || this.#position < segmentLength(segment)) return;
      this.#index++;
      this.#position = 0;
    }
  }
}

/** Bytes of a sleeping writer that a reader may take: the direct chunk of rules P70 to P80. */
export class Loan {
  readonly #segments: Segment[];
  readonly segmentIndex: number;
  /** Where the next byte lies in the segment. */
  position: number;
  /** Bytes not yet taken. */
  residual: number;

  constructor(segments: Segment[], segmentIndex: number, position: number, length: number) {
    this.#segments = segments;
    this.segmentIndex = segmentIndex;
    this.position = position;
    this.residual = length;
  }

  get bytes(): Uint8Array {
    const segment = this.#segments[this.segmentIndex];
    assert(segment instanceof Uint8Array, 'a loan names readable bytes');
    return segment;
  }

  /** Hands up to `uio.residual` bytes to a reader; 0 or -EFAULT. */
  moveOut(uio: ReadUio): number {
    const length = Math.min(this.residual, uio.residual);
    const error = uio.moveOut(this.bytes, this.position, length);
    if (error !== 0) return error;
    this.position += length;
    this.residual -= length;
    return 0;
  }
}

/** A read into memory of our own: segments as in readv, with pieces that fault. */
export class MemoryReadUio implements ReadUio {
  readonly offset: number;
  residual = 0;
  readonly #segments: Segment[];
  #index = 0;
  #position = 0;

  constructor(segments: Segment[], offset = 0) {
    this.#segments = segments;
    this.offset = offset;
    for (const segment of segments) this.residual += segmentLength(segment);
  }

  moveOut(source: Uint8Array, start: number, length: number): number {
    const index = this.#index;
    const position = this.#position;
    let moved = 0;
    while (moved < length) {
      const segment = this.#segments[this.#index]!;
      const room = segmentLength(segment) - this.#position;
      if (room === 0) {
        this.#index++;
        this.#position = 0;
        continue;
      }
      if (!(segment instanceof Uint8Array)) {
        this.#index = index;
        this.#position = position;
        return -EFAULT;
      }
      const count = Math.min(room, length - moved);
      segment.set(source.subarray(start + moved, start + moved + count), this.#position);
      this.#position += count;
      moved += count;
    }
    this.residual -= length;
    return 0;
  }
}
