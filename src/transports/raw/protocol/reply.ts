import type { Owner } from '../../../host/linux/processes/user-namespace.ts';
import type { Node } from '../../../vfs/node.ts';
import { S_IFMT } from '../../../vfs/node.ts';
import { NOTIFY_POLL, NOTIFY_RESEND, NOTIFY_STORE, OUT_HEADER_BYTES } from './constants.ts';
import { Attr, AttrOut, Dirent, EntryOut, NotifyPollWakeupOut, NotifyStoreOut, OpenOut } from './layouts.ts';
import { RESENT } from './request.ts';

const TWO_32 = 0x1_0000_0000;
const STAT_BLOCK_BYTES = 512;
const IO_BLOCK_BYTES = 4096;
/** How long the kernel may remember what only requests of its own can change. */
const STABLE_SECONDS = 60;

/** Whom an answer is for: a request, as the kernel names it now. */
export interface Answerable {
  readonly unique: number;
  /** The request came again, and has a mark in its unique since. */
  readonly isResent: boolean;
}

/** Notifications answer nobody. */
const NOBODY: Answerable = { unique: 0, isResent: false };

const ROOT: Owner = { uid: 0, gid: 0 };

/** The answer under construction: a header's room, then the payload. One object serves all answers in turn. */
export class Reply {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly text: Buffer;
  readonly payloadCapacity: number;
  readonly #root: Owner;

  /** `root`: who the kernel is told owns files of root. It lets nobody write to a file whose owner its mount's namespace lacks. */
  constructor(payloadCapacity: number, root = ROOT) {
    const memory = new ArrayBuffer(OUT_HEADER_BYTES + payloadCapacity);
    this.bytes = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
    this.text = Buffer.from(memory);
    this.payloadCapacity = payloadCapacity;
    this.#root = root;
  }

  /** Fills in the header; `error` is 0 or a negative errno. Returns the length of the whole message. */
  header({ unique, isResent }: Answerable, error: number, payloadBytes: number): number {
    const { words } = this;
    const length = OUT_HEADER_BYTES + payloadBytes;
    words[0] = length;
    words[1] = error;
    words[2] = unique;
    words[3] = unique / TWO_32;
    if (isResent) words[3] |= RESENT;
    return length;
  }

  /** FUSE_NOTIFY_RESEND: every unanswered request comes again. */
  notifyResend(): number {
    return this.header(NOBODY, NOTIFY_RESEND, 0);
  }

  /** FUSE_NOTIFY_POLL for the poll handle `kh`: wakes the pollers of that file. */
  notifyPoll(kh: number): number {
    this.setU64(NotifyPollWakeupOut.kh, kh);
    return this.header(NOBODY, NOTIFY_POLL, NotifyPollWakeupOut.bytes);
  }

  /**
   * FUSE_NOTIFY_STORE of `sizeBytes`, up to 8, at `fileOffset` of what the kernel knows as `nodeid`: the first is `byte`, others are 0.
   */
  notifyStore(nodeid: number, fileOffset: number, sizeBytes: number, byte = 0): number {
    this.setU64(NotifyStoreOut.nodeid, nodeid);
    this.setU64(NotifyStoreOut.offset, fileOffset);
    this.setU32(NotifyStoreOut.size, sizeBytes);
    this.setU32(NotifyStoreOut.padding, 0);
    this.clear(NotifyStoreOut.bytes, sizeBytes);
    this.bytes[OUT_HEADER_BYTES + NotifyStoreOut.bytes] = byte;
    return this.header(NOBODY, NOTIFY_STORE, NotifyStoreOut.bytes + sizeBytes);
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

  /** What `setU32` has put there. */
  u32(offset: number): number {
    return this.words[(OUT_HEADER_BYTES + offset) >> 2]!;
  }

  /** What `setU64` has put there. */
  u64(offset: number): number {
    const index = (OUT_HEADER_BYTES + offset) >> 2;
    return this.words[index]! + this.words[index + 1]! * TWO_32;
  }

  clear(offset: number, length: number): void {
    this.bytes.fill(0, OUT_HEADER_BYTES + offset, OUT_HEADER_BYTES + offset + length);
  }

  /** struct fuse_attr at `offset`. `type` stands in for the node's own where MKNOD asked for another (T1). */
  attr(offset: number, node: Node, type: number): void {
    node.refresh();
    const size = node.sizeBytes;
    const { accessed, modified, changed } = node.times;
    this.setU64(offset + Attr.ino, node.inode);
    this.size(offset, size);
    this.setU64(offset + Attr.atime, accessed.seconds);
    this.setU64(offset + Attr.mtime, modified.seconds);
    this.setU64(offset + Attr.ctime, changed.seconds);
    this.setU32(offset + Attr.atimensec, accessed.nanoseconds);
    this.setU32(offset + Attr.mtimensec, modified.nanoseconds);
    this.setU32(offset + Attr.ctimensec, changed.nanoseconds);
    this.setU32(offset + Attr.mode, (node.mode & ~S_IFMT) | type);
    this.setU32(offset + Attr.nlink, node.linkCount);
    this.setU32(offset + Attr.uid, node.uid === 0 ? this.#root.uid : node.uid);
    this.setU32(offset + Attr.gid, node.gid === 0 ? this.#root.gid : node.gid);
    this.setU32(offset + Attr.rdev, 0);
    this.setU32(offset + Attr.blksize, IO_BLOCK_BYTES);
    this.setU32(offset + Attr.flags, 0);
  }

  /** The size, and the blocks that it takes, in a struct fuse_attr at `offset`. */
  size(offset: number, sizeBytes: number): void {
    this.setU64(offset + Attr.size, sizeBytes);
    this.setU64(offset + Attr.blocks, Math.ceil(sizeBytes / STAT_BLOCK_BYTES));
  }

  /** struct fuse_attr_out; returns its length. */
  attrOut(node: Node, type: number): number {
    this.setU64(AttrOut.attrValid, node.isVolatile ? 0 : STABLE_SECONDS);
    this.setU64(AttrOut.attrValidNsec, 0);
    this.attr(AttrOut.attr, node, type);
    return AttrOut.bytes;
  }

  /** struct fuse_entry_out; returns its length. A name is looked up anew each time if it may lead elsewhere by then (T2). */
  entryOut(nodeid: number, node: Node, type: number): number {
    const validSeconds = node.isVolatile ? 0 : STABLE_SECONDS;
    this.setU64(EntryOut.nodeid, nodeid);
    this.setU64(EntryOut.generation, 0);
    this.setU64(EntryOut.entryValid, validSeconds);
    this.setU64(EntryOut.attrValid, validSeconds);
    this.setU64(EntryOut.entryValidNsec, 0);
    this.attr(EntryOut.attr, node, type);
    return EntryOut.bytes;
  }

  /** struct fuse_open_out at `offset`. `backingId` goes with FOPEN_PASSTHROUGH. */
  openOut(offset: number, handle: number, openFlags: number, backingId = 0): void {
    this.setU64(offset + OpenOut.fh, handle);
    this.setU32(offset + OpenOut.openFlags, openFlags);
    this.setU32(offset + OpenOut.backingId, backingId);
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
    const length = (Dirent.name + name.length + 7) & ~7;
    if (offset + length > limit) return 0;
    this.setU64(offset + Dirent.ino, inode);
    this.setU64(offset + Dirent.off, nextOffset);
    this.setU32(offset + Dirent.namelen, name.length);
    this.setU32(offset + Dirent.type, type >> 12);
    this.clear(offset + Dirent.name, length - Dirent.name);
    this.text.write(name, OUT_HEADER_BYTES + offset + Dirent.name, 'latin1');
    return length;
  }

  /** Plain bytes of a string at the start of the payload; returns their number. */
  string(text: string): number {
    return this.text.write(text, OUT_HEADER_BYTES, 'latin1');
  }
}
