import type { Place } from './picture.ts';

/** Writes of a pipe whose bytes nobody has read, reads whose writes may still end, and pipes: beyond that the oldest get no arrows. */
const WRITES = 4096;
const READS = 256;
const PIPES = 4096;

/** Where a call is drawn that has moved bytes. */
export interface MovedPlace extends Place {
  readonly beginUs: number;
}

/** Bytes of a stream that one call has moved. */
interface Part {
  readonly begin: number;
  readonly end: number;
  readonly place: MovedPlace;
}

interface Stream {
  /** By their first byte. */
  readonly writes: Part[];
  /** In the order of the stream. */
  readonly reads: Part[];
}

/** A read has taken bytes of a write. */
export type OnFlow = (write: MovedPlace, read: MovedPlace, bytes: number) => void;

/**
 * Finds the reads that took the bytes of each write, by positions in the stream of the pipe. A write that waits until its bytes are
 * taken ends after those reads, so each side may come first.
 */
export class ByteFlows {
  readonly #streams = new Map<string, Stream>();
  readonly #onFlow: OnFlow;

  constructor(onFlow: OnFlow) {
    this.#onFlow = onFlow;
  }

  wrote(pipe: string, begin: number, length: number, place: MovedPlace): void {
    const { writes, reads } = this.#streamOf(pipe);
    const end = begin + length;
    for (let index = reads.length - 1; index >= 0 && reads[index]!.end > begin; index--) {
      const read = reads[index]!;
      const bytes = Math.min(end, read.end) - Math.max(begin, read.begin);
      if (bytes > 0) this.#onFlow(place, read.place, bytes);
    }
    if ((reads.at(-1)?.end ?? 0) >= end) return;
    let index = writes.length;
    while (index > 0 && writes[index - 1]!.begin > begin) index--;
    writes.splice(index, 0, { begin, end, place });
    if (writes.length > WRITES) writes.shift();
  }

  took(pipe: string, begin: number, length: number, place: MovedPlace): void {
    const { writes, reads } = this.#streamOf(pipe);
    const end = begin + length;
    let taken = 0;
    for (const write of writes) {
      if (write.begin >= end) break;
      const bytes = Math.min(end, write.end) - Math.max(begin, write.begin);
      if (bytes > 0) this.#onFlow(write.place, place, bytes);
      if (write.end <= end) taken++;
    }
    // Whole writes come first, but for two whose parts are mixed.
    writes.splice(0, taken);
    reads.push({ begin, end, place });
    if (reads.length > READS) reads.shift();
  }

  #streamOf(pipe: string): Stream {
    let stream = this.#streams.get(pipe);
    if (stream === undefined) {
      if (this.#streams.size >= PIPES) this.#streams.delete(this.#streams.keys().next().value!);
      this.#streams.set(pipe, (stream = { writes: [], reads: [] }));
    }
    return stream;
  }
}
