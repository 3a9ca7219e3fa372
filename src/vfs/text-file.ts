import { EINVAL, ENOMEM } from '../kern/errno.ts';
import type { FileOps } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { WriteUio } from '../kern/uio.ts';
import { noteWrite } from '../kqueue/filters/vnode-notes.ts';
import { Node, type NodeContext, S_IFREG } from './node.ts';
import { noFileOps, type OpenFile } from './open-file.ts';

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
 * A file whose text is made when it is opened: each open file reads one state, however long it takes. Like the files of /proc
 * it shows size 0.
 */
export abstract class TextFile extends Node {
  override readonly type = S_IFREG;

  constructor(context: NodeContext, permissions: number) {
    super(context, { mode: permissions, uid: 0, gid: 0 });
  }

  /** The text's bytes, for an open that reads, or executes; null when there is no memory for them. */
  protected abstract read(file: OpenFile): Operation<Uint8Array | null>;

  /** Takes what a caller wrote in one write: 0 or a negative errno. Files that cannot be written do not have it. */
  protected write?(text: string, file: OpenFile): Operation<number>;

  override *open(file: OpenFile): Operation<number> {
    const isRead = file.readable || !file.writable;
    const text = isRead ? yield* this.read(file) : null;
    if (isRead && (text === null || !file.hold(text.length))) return -ENOMEM;
    file.data = text;
    file.ops = textFileOps;
    return 0;
  }

  /** `>` opens with O_TRUNC; there is nothing to cut off. */
  protected override checkAttributes(change: { readonly sizeBytes?: number }): number {
    return change.sizeBytes === undefined || this.write !== undefined ? 0 : EINVAL;
  }

  /** For textFileOps. */
  *writeText(uio: WriteUio, file: OpenFile): Operation<number> {
    if (this.write === undefined || uio.residual > WRITE_LIMIT_BYTES) return -EINVAL;
    const length = uio.residual;
    const bytes = new Uint8Array(length);
    const fault = uio.moveIn(bytes, 0, length);
    if (fault !== 0) return -fault;
    const error = yield* this.write(textOfBytes(bytes), file);
    if (error !== 0) return error;
    noteWrite(this, false);
    return length;
  }
}

const textFileOps: FileOps = {
  ...noFileOps,
  *read(file, uio) {
    const text = file.data as Uint8Array;
    const length = Math.min(uio.residual, Math.max(0, text.length - uio.offset));
    const fault = uio.moveOut(text, uio.offset, length);
    return fault === 0 ? length : -fault;
  },
  *write(file, uio) {
    return yield* ((file as OpenFile).node as TextFile).writeText(uio, file as OpenFile);
  },
};
