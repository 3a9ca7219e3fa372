import type { ReadUio } from '../kern/uio.ts';

const PIECE_BYTES = 16_384;

/**
 * Text as bytes, in pieces outside the heap: a long one neither needs one large block nor is copied by the garbage collector. Texts that are
 * added have one character a byte, as names are kept, so that names come out as the bytes they came in.
 */
export class TextPieces {
  /** Each but the last is full. */
  readonly #pieces: Uint8Array[] = [];
  sizeBytes = 0;

  static of(text: string): TextPieces {
    const pieces = new TextPieces();
    pieces.add(text);
    return pieces;
  }

  add(text: string): void {
    let at = this.sizeBytes % PIECE_BYTES;
    let piece = this.#pieces.at(-1)!;
    for (let index = 0; index < text.length; index++) {
      if (at === 0) this.#pieces.push((piece = new Uint8Array(PIECE_BYTES)));
      piece[at] = text.charCodeAt(index);
      at = (at + 1) % PIECE_BYTES;
    }
    this.sizeBytes += text.length;
  }

  byteAt(index: number): number {
    return this.#pieces[Math.floor(index / PIECE_BYTES)]![index % PIECE_BYTES]!;
  }

  /** read(2) of the text: how many bytes went, or a negative errno. */
  read(uio: ReadUio): number {
    const end = Math.min(uio.offset + uio.residual, this.sizeBytes);
    let at = uio.offset;
    while (at < end) {
      const start = at % PIECE_BYTES;
      const length = Math.min(PIECE_BYTES - start, end - at);
      const fault = uio.moveOut(this.#pieces[Math.floor(at / PIECE_BYTES)]!, start, length);
      if (fault !== 0) return at === uio.offset ? fault : at - uio.offset;
      at += length;
    }
    return at - uio.offset;
  }
}
