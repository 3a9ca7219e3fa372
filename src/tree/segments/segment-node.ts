import { rootCredentials } from '../../kern/credentials.ts';
import { EBUSY, EINVAL, EINTR, EMFILE, ENOENT, ENOMEM, ENOSPC } from '../../kern/errno.ts';
import type { FileOps } from '../../kern/file.ts';
import type { Timespec } from '../../kern/clock.ts';
import type { Klist, Knote } from '../../kern/klist.ts';
import { plainFileKqfilter } from '../../vfs/vnode-filters.ts';
import { noteAttributes, noteTruncate, noteWrite } from '../../vfs/vnode-notes.ts';
import { type Operation, sleep, WakeReason } from '../../kern/operation.ts';
import type { ReadUio, WriteUio } from '../../kern/uio.ts';
import { assert } from '../../kern/assert.ts';
import { type Attachment, type ShmProcess } from '../../shm/attachments.ts';
import { Creation } from '../../shm/creation.ts';
import { SHM_RDONLY } from '../../shm/flags.ts';
import { removeSegment } from '../../shm/lifetime.ts';
import { pagesOf, roundToPages } from '../../shm/limits.ts';
import { NEVER, type Segment, SegmentState } from '../../shm/segment.ts';
import { attach, detach } from '../../shm/shmat.ts';
import { ipcSet } from '../../shm/shmctl.ts';
import { Engine } from '../../vfs/metrics.ts';
import { type AttributeChange, Node, type NodeContext, S_IFREG } from '../../vfs/node.ts';
import { noFileOps, type OpenFile } from '../../vfs/open-file.ts';
import type { SegmentStorage } from '../../shm/storage.ts';
import type { SegmentFiles } from './segment-files.ts';

const creationSleep = { message: 'shmwait', interruptible: true };

/** The result of an operation that has nothing to wait for. */
function withoutWaiting<T>(operation: Operation<T>): T {
  const step = operation.next();
  assert(step.done === true, 'memory and tickets are there without waiting');
  return step.value;
}

/** What an open file of a segment holds: its attachment, as D14 counts them. Null until the creation has ended. */
interface Hold {
  readonly process: ShmProcess;
  attachment: Attachment | null;
}

/** A segment as a file: stat is IPC_STAT, chmod and chown are IPC_SET, open and close are shmat and shmdt. */
export class SegmentNode extends Node {
  override readonly type = S_IFREG;
  override readonly engine = Engine.SharedMemory;
  override readonly takesRangeLocks = true;
  readonly segment: Segment;
  readonly #files: SegmentFiles;
  /** The last shmat that the access time has followed. */
  #attachTime: Timespec = NEVER;
  /** While the size is not known: the creation, its memory, and the open file that creates. */
  #creation: { readonly creation: Creation; readonly staged: SegmentStorage; file: OpenFile | null } | null =
    null;

  constructor(context: NodeContext, files: SegmentFiles, segment: Segment) {
    super(context, { mode: segment.permissions.mode, uid: 0, gid: 0 });
    this.segment = segment;
    this.#files = files;
    const { changeTime } = segment;
    if (changeTime !== NEVER) {
      this.times.accessed = changeTime;
      this.times.modified = changeTime;
    }
    this.refresh();
  }

  override get klist(): Klist {
    return this.segment.klist;
  }

  override kqfilter(knote: Knote): number {
    return plainFileKqfilter(this, knote);
  }

  override get path(): string {
    const { key, id } = this.segment;
    return key !== 0 ? `shm/${keyName(key)}` : `shm/id/${id}`;
  }

  /** Bytes: of a segment in creation those written so far. */
  override get sizeBytes(): number {
    return this.#creation === null ? this.segment.sizeBytes : this.#creation.staged.sizeBytes;
  }

  /** Whether the open file that creates is still there to set the size. */
  get isCreatorOpen(): boolean {
    return (this.#creation?.file ?? null) !== null;
  }

  get storage(): SegmentStorage | null {
    return this.#creation?.staged ?? (this.segment.backing as SegmentStorage | null);
  }

  override settle(): Operation<void> | null {
    return this.#files.transport.settleDetaches();
  }

  /**
   * Access and change are the times of the last shmat and the last IPC_SET, or what utimensat has set since. Modification is the last
   * write through a file: the last shmdt, which every close moves, is for `stat` of shm/ctl and for info/shm.
   */
  override refresh(): void {
    const { permissions, attachTime, changeTime } = this.segment;
    this.permissions = permissions.mode;
    this.uid = permissions.ownerUid;
    this.gid = permissions.ownerGid;
    this.times.changed = changeTime;
    if (this.#attachTime !== attachTime) {
      this.#attachTime = attachTime;
      this.times.accessed = attachTime;
    }
    this.linkCount = this.segment.isVisible || this.#creation !== null ? 1 : 0;
  }

  /** The making of the name, by an open with O_CREAT. The size comes later. */
  beginCreation(creation: Creation, staged: SegmentStorage): void {
    this.#creation = { creation, staged, file: null };
  }

  /** Whether the open that is to make the segment has yet to come: a host may make the name and open it in two steps. */
  get awaitsMaker(): boolean {
    return this.#creation !== null && this.#creation.file === null;
  }

  override *open(file: OpenFile): Operation<number> {
    const { segment } = this;
    if (this.awaitsMaker) {
      const error = this.openAtOnce(file, true);
      if (error < 0) this.abandon();
      return error;
    }
    while (segment.state === SegmentState.Creating) {
      const woken = yield* sleep(segment.channel, creationSleep);
      if (woken === WakeReason.Interrupted) return -EINTR;
    }
    return this.#attach(file, this.#files.enter(file.credentials));
  }

  /** The maker's own open file attaches when the size is known. */
  override openAtOnce(file: OpenFile, isMaker: boolean): number {
    const process = this.#files.enter(file.credentials);
    if (this.#creation === null) return this.#attach(file, process);
    const { attachmentsPerProcess } = this.#files.shm.limits;
    const error = !isMaker ? -EBUSY : process.attachmentCount >= attachmentsPerProcess ? -EMFILE : 0;
    if (error !== 0) {
      this.#files.leave(process);
      return error;
    }
    this.#creation.file = file;
    this.#prepare(file, { process, attachment: null });
    return 0;
  }

  /** Undoes `makeFile` when its open failed. */
  abandon(): void {
    this.#creation!.creation.abandon();
    this.#creation!.staged.free();
    this.#creation = null;
  }

  override setAttributes(change: AttributeChange): number {
    const error = change.sizeBytes === undefined ? 0 : this.#truncate(change.sizeBytes);
    if (error < 0) return error;
    // The attach that has been is older than the time that is set.
    this.#attachTime = this.segment.attachTime;
    if (change.accessed !== undefined) this.times.accessed = change.accessed;
    if (change.modified !== undefined) this.times.modified = change.modified;
    const { permissions } = this.segment;
    if (change.mode === undefined && change.uid === undefined && change.gid === undefined) {
      if (change.accessed !== undefined || change.modified !== undefined) noteAttributes(this);
      return 0;
    }
    const wanted = {
      ownerUid: change.uid ?? permissions.ownerUid,
      ownerGid: change.gid ?? permissions.ownerGid,
      mode: change.mode ?? permissions.mode,
    };
    // The host has checked that the caller may; a segment in creation or removed has no id to find it by.
    if (this.segment.isVisible) return ipcSet(this.#files.shm, rootCredentials, this.segment.id, wanted);
    permissions.ownerUid = wanted.ownerUid;
    permissions.ownerGid = wanted.ownerGid;
    permissions.mode = wanted.mode & 0o777;
    return 0;
  }

  /** IPC_RMID by unlink. 0 or a negative errno. */
  unlink(): number {
    if (this.segment.state === SegmentState.Creating) return -EBUSY;
    removeSegment(this.#files.shm, this.segment);
    return 0;
  }

  /** Bytes read from `uio.offset` on; 0 at the end. */
  read(uio: ReadUio): number {
    const count = Math.min(
      uio.residual,
      Math.max(0, this.sizeBytes - uio.offset),
      this.#files.scratch.length,
    );
    if (count === 0) return 0;
    const bytes = this.#files.scratch.subarray(0, count);
    this.storage!.read(uio.offset, bytes);
    const fault = uio.moveOut(bytes, 0, count);
    return fault === 0 ? count : fault;
  }

  /** Bytes written at `uio.offset`: short, or -ENOSPC, where the segment ends, or where a new one would get too large. */
  write(uio: WriteUio): number {
    const { limits, table } = this.#files.shm;
    const limitBytes = this.#creation === null ? this.segment.sizeBytes : limits.maximumBytes;
    const count = Math.min(uio.residual, limitBytes - uio.offset, this.#files.scratch.length);
    if (count <= 0) return uio.residual === 0 ? 0 : -ENOSPC;
    if (this.#creation !== null) {
      const end = Math.max(this.sizeBytes, uio.offset + count);
      if (table.committedPages + pagesOf(end) > limits.maximumPages || !this.segment.book(end))
        return -ENOMEM;
    }
    const bytes = this.#files.scratch.subarray(0, count);
    const sizeBefore = this.sizeBytes;
    const fault = uio.moveIn(bytes, 0, count);
    const error = fault === 0 ? this.storage!.write(uio.offset, bytes) : fault;
    if (error !== 0) {
      // The size is what it was, and so is what is charged for.
      if (this.#creation !== null) this.segment.book(this.sizeBytes);
      return error;
    }
    this.times.modified = this.context.now();
    noteWrite(this, this.sizeBytes > sizeBefore);
    return count;
  }

  /** close(2) of the last descriptor and the last mapping: shmdt. A creator's close fixes the size (S46). */
  release(file: OpenFile): void {
    const hold = file.data as Hold;
    if (this.#creation?.file === file) this.#endCreation();
    if (file.afterMappings === null) this.#detach(hold);
    else
      file.afterMappings(() => {
        this.#detach(hold);
      });
  }

  /** Of the segment's file: the engine checks the segment itself. */
  override checkInvariants(): void {
    const { segment } = this;
    if (this.#creation === null) return;
    assert(segment.state === SegmentState.Creating, 'a file creates its segment until its size is known');
    const { staged } = this.#creation;
    assert(
      segment.bookedBytes === roundToPages(staged.sizeBytes),
      'what is written of a new segment is charged for',
    );
  }

  #detach({ process, attachment }: Hold): void {
    if (attachment !== null) detach(this.#files.shm, process, attachment);
    this.#files.leave(process);
  }

  #endCreation(): void {
    const { sizeBytes } = this.#creation!.staged;
    if (sizeBytes === 0 || this.#setSize(sizeBytes) < 0) this.abandon();
  }

  /**
   * ftruncate. Size 0 changes nothing, as O_TRUNC changes nothing: programs that copy begin with either, and then write. (A segment of
   * no bytes cannot be.)
   */
  #truncate(sizeBytes: number): number {
    return sizeBytes === 0 ? 0 : this.#setSize(sizeBytes);
  }

  /** The first size makes the segment, the same size again is fine, another is -EINVAL. */
  #setSize(sizeBytes: number): number {
    if (this.#creation === null) return sizeBytes === this.segment.sizeBytes ? 0 : -EINVAL;
    const { creation, staged, file } = this.#creation;
    const sizeBefore = staged.sizeBytes;
    // Opening with O_TRUNC says nothing of the size that is wanted.
    const { memory } = this.#files;
    memory.adopt(staged);
    const id = withoutWaiting(creation.setSize(sizeBytes));
    memory.adopt(null);
    if (id < 0) return id;
    this.#creation = null;
    if (sizeBytes !== sizeBefore) noteTruncate(this, sizeBytes > sizeBefore);
    if (file !== null) {
      const hold = file.data as Hold;
      const attached = withoutWaiting(attach(this.#files.shm, hold.process, this.segment, attachFlags(file)));
      hold.attachment = typeof attached === 'number' ? null : attached;
    }
    return 0;
  }

  #attach(file: OpenFile, process: ShmProcess): number {
    const { segment } = this;
    const attached = segment.isVisible
      ? withoutWaiting(attach(this.#files.shm, process, segment, attachFlags(file)))
      : -ENOENT;
    if (typeof attached === 'number') {
      this.#files.leave(process);
      return attached;
    }
    this.#prepare(file, { process, attachment: attached });
    return 0;
  }

  #prepare(file: OpenFile, hold: Hold): void {
    file.ops = segmentOps;
    file.data = hold;
    file.memoryDescriptor = this.storage!.descriptor;
    file.memoryOwnerPid = hold.process.credentials.pid;
  }
}

/** SHM_RDONLY for a descriptor that cannot write. */
function attachFlags(file: OpenFile): { flags: number } {
  return { flags: file.writable ? 0 : SHM_RDONLY };
}

/** How keys are listed. */
export function keyName(key: number): string {
  return `0x${key.toString(16).padStart(8, '0')}`;
}

function nodeOf(file: OpenFile): SegmentNode {
  return file.node as SegmentNode;
}

const segmentOps: FileOps = {
  ...noFileOps,
  *read(file, uio) {
    return nodeOf(file as OpenFile).read(uio);
  },
  *write(file, uio) {
    return nodeOf(file as OpenFile).write(uio);
  },
  *close(file) {
    nodeOf(file as OpenFile).release(file as OpenFile);
    return 0;
  },
};
