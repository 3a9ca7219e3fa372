import type { Credentials } from '../kern/credentials.ts';
import type { Operation } from '../kern/operation.ts';
import type { NodeContext } from './node.ts';
import type { OpenFile } from './open-file.ts';
import { TextFile } from './text-file.ts';
import { bytesOfTexts, type Work } from './work.ts';

const PERMISSIONS = 0o444;

/** What a file of info/ is made from. */
export interface MadeText {
  /** Finds out, before `lines`, what takes time. */
  prepare?(): Operation<void>;
  /** The text for who opens the file, in parts, one character a byte. */
  lines(viewer: Credentials): Work<readonly string[]>;
}

/** A file of info/: its text is made by the open that reads it, a slice at a time, however many objects there are. */
export class MadeFile extends TextFile {
  readonly #text: MadeText;

  constructor(context: NodeContext, text: MadeText) {
    super(context, PERMISSIONS);
    this.#text = text;
  }

  protected override *read(file: OpenFile): Operation<Uint8Array | null> {
    if (this.#text.prepare !== undefined) yield* this.#text.prepare();
    return yield* this.context.slicer.run(this.#make(file.credentials));
  }

  *#make(viewer: Credentials): Work<Uint8Array | null> {
    return yield* bytesOfTexts(this.context.kernel.host, yield* this.#text.lines(viewer));
  }
}
