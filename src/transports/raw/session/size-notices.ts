import type { OpenFile, OpenFileTable } from '../../../vfs/open-file.ts';
import type { Device } from '../device/device.ts';
import { NotifyStoreOut } from '../protocol/layouts.ts';
import { Reply } from '../protocol/reply.ts';
import type { NodeTable } from './node-table.ts';
import type { OpenHandles } from './open-handles.ts';

/** A byte, and alignment for the words of the message. */
const STORED_BYTES = 8;

/**
 * Tells the kernel sizes of inodes, by FUSE_NOTIFY_STORE. A process can make the kernel lock a page below the size while it asks this server
 * for it. Storing into such a page would wait for ourselves, so a byte is stored only while no process has the inode open.
 */
export abstract class SizeNotices {
  protected readonly nodes: NodeTable;
  protected readonly openFiles: OpenFileTable;
  readonly #device: Device;
  readonly #handles: OpenHandles;
  readonly #notice = new Reply(NotifyStoreOut.bytes + STORED_BYTES);

  constructor(device: Device, nodes: NodeTable, openFiles: OpenFileTable, handles: OpenHandles) {
    this.#device = device;
    this.nodes = nodes;
    this.openFiles = openFiles;
    this.#handles = handles;
  }

  /** Stores `sizeBytes` at `offset` of an inode: the first is `byte`, others are 0. */
  protected store(nodeid: number, offset: number, sizeBytes: number, byte = 0): void {
    this.#device.send(this.#notice, this.#notice.notifyStore(nodeid, offset, sizeBytes, byte));
  }

  /** Whether a process has the inode of `file` open already. */
  protected isShared(file: OpenFile): boolean {
    for (const other of this.openFiles.withIdentity(file.identity)) {
      if (other !== file && this.#handles.get(other.handle) !== undefined) return true;
    }
    return false;
  }
}
