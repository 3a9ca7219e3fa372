import type { Operation } from '../kern/operation.ts';
import type { NodeContext } from './node.ts';
import { TextFile } from './text-file.ts';
import { TextPieces } from './text-pieces.ts';

const PERMISSIONS = 0o444;

/** A file whose text never changes. It shows its size, unlike other made files: git takes one without a size for empty. */
export class ConstantFile extends TextFile {
  override readonly isVolatile = false;
  override readonly isAliased = false;
  readonly #text: TextPieces;

  constructor(context: NodeContext, text: string) {
    super(context, PERMISSIONS);
    this.#text = TextPieces.of(text);
  }

  override get sizeBytes(): number {
    return this.#text.sizeBytes;
  }

  protected override *read(): Operation<TextPieces> {
    return this.#text;
  }
}
