import { Thread } from '../../../kern/scheduler.ts';
import type { FileSystem } from '../../../tree/file-system.ts';
import type { OpenFile } from '../../../vfs/open-file.ts';
import type { Reply } from '../protocol/reply.ts';
import type { BackingTable } from '../segments/backings.ts';
import type { OpenHandles } from './open-handles.ts';

/** Gives opened files to the kernel, and closes those that it did not take. */
export class Openings {
  readonly #fileSystem: FileSystem;
  readonly #handles: OpenHandles;
  readonly #backings: BackingTable;
  readonly #reply: Reply;

  constructor(fileSystem: FileSystem, handles: OpenHandles, backings: BackingTable, reply: Reply) {
    this.#fileSystem = fileSystem;
    this.#handles = handles;
    this.#backings = backings;
    this.#reply = reply;
  }

  /** Puts struct fuse_open_out at `offset` of the payload: how the kernel is to treat this open file. */
  answerWith(offset: number, file: OpenFile): void {
    this.#handles.add(file);
    const { flags, backingId } = this.#backings.open(file);
    this.#reply.openOut(offset, file.handle, flags, backingId);
  }

  /** Closes a file whose open the kernel has given up on: nobody will release it. */
  abandon(file: OpenFile): void {
    this.#handles.remove(file);
    this.#backings.drop(file);
    const closing = new Thread();
    closing.operation = this.#fileSystem.openFiles.close(file);
    this.#fileSystem.kernel.scheduler.enqueue(closing);
  }
}
