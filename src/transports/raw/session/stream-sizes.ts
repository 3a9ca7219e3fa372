import type { OpenFile } from '../../../vfs/open-file.ts';
import type { NodeEntry } from './node-table.ts';
import { SizeNotices } from './size-notices.ts';

/**
 * The size that the kernel believes an open stream to have: beyond what one write(2) can reach. FIONREAD of Linux is its lower half
 * as an int: -1, which no caller takes for a number of bytes.
 */
export const STREAM_SIZE_BYTES = 2 ** 40 - 1;
/**
 * Keeps the kernel's own size of open streams at STREAM_SIZE_BYTES. Linux lets writers of one inode wait side by side, each as a
 * request that a signal can end, only within that size; and it takes the size for the end when it splices. What stat shows is
 * another matter: a GETATTR of an open stream is answered without being stored.
 */
export class StreamSizes extends SizeNotices {
  /** Set by INIT: the kernel lets writers wait side by side. */
  isSupported = false;

  /**
   * Before the answer to an open, whose file is `file`: sets the size. Not for an appender: its writes exclude each other in any case,
   * and would begin at the size, beyond every limit of file sizes. `isCreated`: the kernel gets the inode with this answer, so
   * the answer has to carry the size. Whether the kernel's size is STREAM_SIZE_BYTES now.
   */
  opened(file: OpenFile, isAppender: boolean, isCreated: boolean): boolean {
    if (!this.isSupported || !file.isStream) return false;
    const entry = this.nodes.get(file.identity);
    if (entry === undefined || entry.isEndless) return entry !== undefined;
    if (isAppender || this.isShared(file)) return false;
    entry.isEndless = true;
    if (!isCreated) this.store(file.identity, STREAM_SIZE_BYTES - 1, 1);
    return true;
  }

  /** Whether the kernel's size of an inode must stay what `opened` has made it. */
  isEndless(nodeid: number, entry: NodeEntry): boolean {
    if (!entry.isEndless) return false;
    // What is answered once nobody has it open is stored.
    entry.isEndless = this.openFiles.hasIdentity(nodeid);
    return entry.isEndless;
  }

  /** Before the answer to a GETATTR: makes the kernel hand it to its caller and store nothing of it. Takes no page. */
  keep(nodeid: number): void {
    this.store(nodeid, STREAM_SIZE_BYTES + 1, 0);
  }
}
