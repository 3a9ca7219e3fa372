import { assert } from '../../src/kern/assert.ts';
import type { PipeEnd } from '../../src/pipe/end.ts';

const COUNTER_BITS = 5;
const COUNTER_MASK = (1 << COUNTER_BITS) - 1;
const LONGEST_WRITE_BYTES = 1 << 17;

/** Writers that a stream can tell apart: the upper bits of a byte name the writer, the lower ones count its bytes. */
export const MAX_STREAM_WRITERS = 1 << (8 - COUNTER_BITS);

const sources = Array.from({ length: MAX_STREAM_WRITERS }, (_, id) =>
  Uint8Array.from(
    { length: LONGEST_WRITE_BYTES + COUNTER_MASK },
    (_, index) => (id << COUNTER_BITS) | (index & COUNTER_MASK),
  ),
);

/** What one writer has put into a stream, as its calls were answered. */
export class StreamWriter {
  readonly #id: number;
  /** Where its whole, atomic writes begin and end, in bytes of this writer. */
  readonly #atomic: [number, number][] = [];
  /** Bytes that its calls counted as written. */
  counted = 0;
  /** Bytes of it that readers have got. */
  seen = 0;

  constructor(id: number) {
    this.#id = id;
  }

  /** The next `length` bytes that this writer would write. */
  next(length: number): Uint8Array {
    const start = this.counted & COUNTER_MASK;
    return sources[this.#id]!.subarray(start, start + length);
  }

  wrote(count: number, atomic: boolean): void {
    if (atomic) this.#atomic.push([this.counted, this.counted + count]);
    this.counted += count;
  }

  /** Whether the byte at `position` belongs to the same atomic write as the one before it. */
  continuesAtomicWrite(position: number): boolean {
    return this.#atomic.some(([start, end]) => position > start && position < end);
  }
}

/** Everything that goes through one ring from its making to its end, to be compared when all calls are answered. */
export class Stream {
  readonly #writers: StreamWriter[] = [];
  readonly #pieces: Uint8Array[] = [];
  /** Bytes that were stored when the ring was freed. */
  discarded = 0;

  constructor(end: PipeEnd) {
    const { ring } = end;
    const free = ring.free.bind(ring);
    ring.free = () => {
      this.discarded += ring.count;
      free();
    };
  }

  addWriter(): StreamWriter {
    const writer = new StreamWriter(this.#writers.length);
    this.#writers.push(writer);
    return writer;
  }

  /** A read has got `bytes`; reads are told in the order in which they took them. */
  read(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
  }

  /** Every counted byte was read or discarded, in its writer's order, and atomic writes are in one piece. */
  check(): void {
    let previous: StreamWriter | null = null;
    for (const piece of this.#pieces) {
      for (const byte of piece) {
        const writer: StreamWriter | undefined = this.#writers[byte >> COUNTER_BITS];
        assert(writer !== undefined, 'what is read was written');
        const position = writer.seen++;
        assert(
          (position & COUNTER_MASK) === (byte & COUNTER_MASK),
          'bytes arrive in the order of their writer',
        );
        if (writer !== previous) {
          assert(!writer.continuesAtomicWrite(position), 'an atomic write is in one piece');
          previous = writer;
        }
      }
    }
    let lost = 0;
    for (const writer of this.#writers) {
      assert(writer.seen <= writer.counted, 'what is read was counted as written');
      lost += writer.counted - writer.seen;
    }
    assert(
      lost === this.discarded,
      `${lost} counted bytes were not read, but ${this.discarded} were discarded`,
    );
  }
}
