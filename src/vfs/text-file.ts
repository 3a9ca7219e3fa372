import { EINVAL, ENOMEM } from '../kern/errno.ts';
import type { FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import { noteWrite } from './vnode-notes.ts';
import { Node, type NodeContext, S_IFREG } from './node.ts';
import { noFileOps, type OpenFile } from './open-file.ts';
import type { TextPieces } from './text-pieces.ts';

/** Longest text that one write to a control file may hold. */
const WRITE_LIMIT_BYTES = 4096;

/** One character a byte, as names are kept, so that they come out as the bytes they came in. */
export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** The other way round. */
export function textOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/**
 * A file whose text is made when it is opened: each open file reads one state, however long it takes. By its path it shows size 0,
 * like the files of /proc; an open file knows the size of its text.
 */
export abstract class TextFile extends Node {
  override readonly type = S_IFREG;
  override readonly isAliased: boolean = true;

  constructor(context: NodeContext, permissions: number) {
    super(context, { mode: permissions, uid: 0, gid: 0 });
  }

  /** The text, for an open that reads, or executes; null when there is no memory for them. */
  protected abstract read(file: OpenFile): Operation<TextPieces | null>;

  /** Takes what a caller wrote in one write: 0 or a negative errno. Files that cannot be written do not have it. */
  protected write?(text: string, file: OpenFile): Operation<number>;

  override *open(file: OpenFile): Operation<number> {
    const isRead = file.readable || !file.writable;
    const text = isRead ? yield* this.read(file) : null;
    if (isRead && (text === null || !file.hold(text.sizeBytes))) return -ENOMEM;
    file.data = text;
    file.ops = textFileOps;
    return 0;
  }

  /** `>` opens with O_TRUNC; there is nothing to cut off. */
  protected override checkAttributes(change: { readonly sizeBytes?: number }): number {
    return change.sizeBytes === undefined || this.write !== undefined ? 0 : -EINVAL;
  }

  /** For textFileOps. */
  *writeText(uio: WriteUio, file: OpenFile): Operation<number> {
    if (this.write === undefined || uio.residual > WRITE_LIMIT_BYTES) return -EINVAL;
    const length = uio.residual;
    const bytes = new Uint8Array(length);
    const fault = uio.moveIn(bytes, 0, length);
    if (fault !== 0) return fault;
    const error = yield* this.write(textOfBytes(bytes), file);
    if (error !== 0) return error;
    noteWrite(this, false);
    return length;
  }
}

const textFileOps: FileOps = {
  ...noFileOps,
  *read(file, uio) {
    return (file.data as TextPieces).read(uio);
  },
  *write(file, uio) {
    return yield* ((file as OpenFile).node as TextFile).writeText(uio, file as OpenFile);
  },
};
