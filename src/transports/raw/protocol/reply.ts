import type { Node } from '../../../vfs/node.ts';
import { S_IFMT } from '../../../vfs/node.ts';
import {
  ATTR_OUT_BYTES,
  DIRENT_HEADER_BYTES,
  ENTRY_OUT_BYTES,
  NOTIFY_POLL,
  OUT_HEADER_BYTES,
} from './constants.ts';

const TWO_32 = 0x1_0000_0000;
const STAT_BLOCK_BYTES = 512;
const IO_BLOCK_BYTES = 4096;
/** How long the kernel may remember what only requests of its own can change. */
const STABLE_SECONDS = 60;

/** The answer under construction: a header's room, then the payload. One object serves all answers in turn. */
export class Reply {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly text: Buffer;
  readonly payloadCapacity: number;

  constructor(payloadCapacity: number) {
    const memory = new ArrayBuffer(OUT_HEADER_BYTES + payloadCapacity);
    this.bytes = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
    this.text = Buffer.from(memory);
    this.payloadCapacity = payloadCapacity;
  }

  /** Fills in the header; `error` is 0 or a negative errno. Returns the length of the whole message. */
  header(unique: number, error: number, payloadBytes: number): number {
    const { words } = this;
    const length = OUT_HEADER_BYTES + payloadBytes;
    words[0] = length;
    words[1] = error;
    words[2] = unique;
    words[3] = unique / TWO_32;
    return length;
  }

  /** FUSE_NOTIFY_POLL for the poll handle `kh`: wakes whoever polls that file. */
  notifyPoll(kh: number): number {
    this.header(0, NOTIFY_POLL, 8);
    this.setU64(0, kh);
    return OUT_HEADER_BYTES + 8;
  }

  setU32(offset: number, value: number): void {
    this.words[(OUT_HEADER_BYTES + offset) >> 2] = value;
  }

  setU16(offset: number, value: number): void {
    this.text.writeUInt16LE(value, OUT_HEADER_BYTES + offset);
  }

  setU64(offset: number, value: number): void {
    const index = (OUT_HEADER_BYTES + offset) >> 2;
    this.words[index] = value;
    this.words[index + 1] = Math.floor(value / TWO_32);
  }

  clear(offset: number, length: number): void {
    this.bytes.fill(0, OUT_HEADER_BYTES + offset, OUT_HEADER_BYTES + offset + length);
  }

  /** struct fuse_attr at `offset`. `type` stands in for the node's own where MKNOD asked for another (T1). */
  attr(offset: number, node: Node, type: number): void {
    const { words } = this;
    node.refresh();
    const size = node.sizeBytes;
    const { accessed, modified, changed } = node.times;
    this.setU64(offset, node.inode);
    this.setU64(offset + 8, size);
    this.setU64(offset + 16, Math.ceil(size / STAT_BLOCK_BYTES));
    this.setU64(offset + 24, accessed.seconds);
    this.setU64(offset + 32, modified.seconds);
    this.setU64(offset + 40, changed.seconds);
    const index = (OUT_HEADER_BYTES + offset + 48) >> 2;
    words[index] = accessed.nanoseconds;
    words[index + 1] = modified.nanoseconds;
    words[index + 2] = changed.nanoseconds;
    words[index + 3] = (node.mode & ~S_IFMT) | type;
    words[index + 4] = node.linkCount;
    words[index + 5] = node.uid;
    words[index + 6] = node.gid;
    words[index + 7] = 0;
    words[index + 8] = IO_BLOCK_BYTES;
    words[index + 9] = 0;
  }

  /** struct fuse_attr_out; returns its length. */
  attrOut(node: Node, type: number): number {
    this.setU64(0, node.isVolatile ? 0 : STABLE_SECONDS);
    this.setU64(8, 0);
    this.attr(16, node, type);
    return ATTR_OUT_BYTES;
  }

  /** struct fuse_entry_out; returns its length. A name is looked up anew each time if it may lead elsewhere by then (T2). */
  entryOut(nodeid: number, node: Node, type: number): number {
    this.setU64(0, nodeid);
    this.setU64(8, 0);
    this.setU64(16, node.isVolatile ? 0 : STABLE_SECONDS);
    this.setU64(24, node.isVolatile ? 0 : STABLE_SECONDS);
    this.setU64(32, 0);
    this.attr(40, node, type);
    return ENTRY_OUT_BYTES;
  }

  /** struct fuse_open_out at `offset`. `backingId` goes with FOPEN_PASSTHROUGH. */
  openOut(offset: number, handle: number, openFlags: number, backingId = 0): void {
    this.setU64(offset, handle);
    this.setU32(offset + 8, openFlags);
    this.setU32(offset + 12, backingId);
  }

  /** struct fuse_dirent at `offset`; returns its padded length, or 0 when it does not end before `limit`. */
  dirent(
    offset: number,
    limit: number,
    name: string,
    inode: number,
    type: number,
    nextOffset: number,
  ): number {
    const length = (DIRENT_HEADER_BYTES + name.length + 7) & ~7;
    if (offset + length > limit) return 0;
    this.setU64(offset, inode);
    this.setU64(offset + 8, nextOffset);
    this.setU32(offset + 16, name.length);
    this.setU32(offset + 20, type >> 12);
    this.clear(offset + DIRENT_HEADER_BYTES, length - DIRENT_HEADER_BYTES);
    this.text.write(name, OUT_HEADER_BYTES + offset + DIRENT_HEADER_BYTES, 'latin1');
    return length;
  }

  /** Plain bytes of a string at the start of the payload; returns their number. */
  string(text: string): number {
    return this.text.write(text, OUT_HEADER_BYTES, 'latin1');
  }
}
