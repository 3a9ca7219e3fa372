import type { OpenFile } from '../../../vfs/open-file.ts';
import { TextPieces } from '../../../vfs/text-pieces.ts';
import type { NodeEntry } from './node-table.ts';
import { SizeNotices } from './size-notices.ts';

/**
 * Tells the kernel the size of a text that an open has made. By its path such a file has size 0, and Linux takes that for the end when it
 * splices, without asking: sendfile(2) would find every table empty. Each lookup gives another inode (Node.isAliased), so each open
 * has the size of its own text there. Only opens through /proc/PID/fd share one: the size is then that of the first.
 */
export class TextSizes extends SizeNotices {
  /** Before the answer to an open: the last byte, stored, makes the size. */
  opened(file: OpenFile): void {
    const text = file.data;
    if (!(text instanceof TextPieces) || !file.node.isAliased || text.sizeBytes === 0) return;
    const entry = this.nodes.get(file.identity);
    if (entry === undefined || this.isShared(file)) return;
    entry.textSizeBytes = text.sizeBytes;
    const last = text.sizeBytes - 1;
    this.store(file.identity, last, 1, text.byteAt(last));
  }

  /** The size that the kernel is to keep for an inode; 0 when no text is open under it. */
  of(nodeid: number, entry: NodeEntry): number {
    if (entry.textSizeBytes > 0 && !this.openFiles.hasIdentity(nodeid)) entry.textSizeBytes = 0;
    return entry.textSizeBytes;
  }

  /** Whether a page of the cache may be filled from `file`: the kernel's size is that of its text. */
  mayFillPages({ data, node, identity }: OpenFile): boolean {
    if (!(data instanceof TextPieces) || !node.isAliased) return true;
    return this.nodes.get(identity)?.textSizeBytes === data.sizeBytes;
  }
}
