import type { Credentials } from '../kern/credentials.ts';
import type { Operation } from '../kern/operation.ts';
import type { NodeContext } from './node.ts';
import type { OpenFile } from './open-file.ts';
import { type TableMemory, TableSpace } from './table-memory.ts';
import { TextFile } from './text-file.ts';
import type { TextPieces } from './text-pieces.ts';
import type { Work } from '../kern/work.ts';

const PERMISSIONS = 0o444;

/** What a file of info/ is made from. */
export interface MadeText {
  /** Finds out, before `write`, what takes time. */
  prepare?(): Operation<void>;
  /** Writes the text for who opens the file, one character a byte; false when `space` does not hold it. */
  write(viewer: Credentials, space: TableSpace): Work<boolean>;
}

/** A file of info/: its text is made by the open that reads it, a slice at a time, however many objects there are. */
export class MadeFile extends TextFile {
  readonly #memory: TableMemory;
  readonly #text: MadeText;

  constructor(context: NodeContext, memory: TableMemory, text: MadeText) {
    super(context, PERMISSIONS);
    this.#memory = memory;
    this.#text = text;
  }

  protected override *read(file: OpenFile): Operation<TextPieces | null> {
    if (this.#text.prepare !== undefined) yield* this.#text.prepare();
    const space = new TableSpace(this.#memory, file);
    try {
      const isComplete = yield* this.context.slicer.run(this.#text.write(file.credentials, space));
      return isComplete === true ? space.text : null;
    } finally {
      space.end();
    }
  }
}
