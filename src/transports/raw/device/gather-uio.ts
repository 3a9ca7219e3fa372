import type { ReadUio } from '../../../kern/uio.ts';

/**
 * A read whose answer is gathered from where the bytes lie: nothing is copied until the answer is sent, which is before any
 * other operation runs.
 */
export class GatherUio implements ReadUio {
  /** Bytes that the caller has asked for. */
  wantedBytes = 0;
  residual = 0;
  offset = 0;
  /** Slices, three numbers' worth each: parallel arrays that are reused. */
  readonly sources: Uint8Array[] = [];
  readonly starts: number[] = [];
  readonly lengths: number[] = [];
  count = 0;
  /** Bytes gathered. */
  total = 0;

  reset(wantedBytes: number, offset: number): void {
    this.wantedBytes = wantedBytes;
    this.residual = wantedBytes;
    this.offset = offset;
    this.count = 0;
    this.total = 0;
  }

  moveOut(source: Uint8Array, start: number, length: number): number {
    if (length === 0) return 0;
    const index = this.count++;
    this.sources[index] = source;
    this.starts[index] = start;
    this.lengths[index] = length;
    this.total += length;
    this.residual -= length;
    return 0;
  }

  /** Makes one slice of all. */
  join(): void {
    const whole = new Uint8Array(this.total);
    this.copyTo(whole, 0);
    this.sources[0] = whole;
    this.starts[0] = 0;
    this.lengths[0] = this.total;
    this.count = 1;
  }

  /** A copy of the first `length` bytes. */
  prefix(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0, at = 0; at < length; index++) {
      const from = this.starts[index]!;
      const count = Math.min(this.lengths[index]!, length - at);
      bytes.set(this.sources[index]!.subarray(from, from + count), at);
      at += count;
    }
    return bytes;
  }

  /** Copies everything to `target` at `start`. */
  copyTo(target: Uint8Array, start: number): void {
    let at = start;
    for (let index = 0; index < this.count; index++) {
      const from = this.starts[index]!;
      const length = this.lengths[index]!;
      target.set(this.sources[index]!.subarray(from, from + length), at);
      at += length;
    }
  }
}
