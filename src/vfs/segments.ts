import { rootCredentials } from '../kern/credentials.ts';
import { EBUSY, EINVAL, EINTR, EMFILE, ENOENT, ENOMEM, ENOSPC } from '../kern/errno.ts';
import type { FileOps } from '../kern/file.ts';
import type { Klist, Knote } from '../kern/klist.ts';
import { plainFileKqfilter } from '../kqueue/filters/vnode.ts';
import { noteTruncate, noteWrite } from '../kqueue/filters/vnode-notes.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import { assert } from '../kern/assert.ts';
import { type Attachment, type ShmProcess } from '../shm/attachments.ts';
import { Creation } from '../shm/creation.ts';
import { SHM_RDONLY } from '../shm/flags.ts';
import { removeSegment } from '../shm/lifetime.ts';
import { pagesOf } from '../shm/limits.ts';
import { type Segment, SegmentState } from '../shm/segment.ts';
import { attach, detach } from '../shm/shmat.ts';
import { ipcSet } from '../shm/shmctl.ts';
import { Engine } from './metrics.ts';
import { type AttributeChange, Node, type NodeContext, S_IFREG } from './node.ts';
import { noFileOps, type OpenFile } from './open-file.ts';
import type { SegmentStorage } from '../shm/storage.ts';
import type { SegmentFiles } from './segment-files.ts';

const creationSleep = { message: 'shmwait', interruptible: true };

/** An operation that has nothing to wait for: its result. */
function atOnce<T>(operation: Operation<T>): T {
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
  readonly segment: Segment;
  readonly #files: SegmentFiles;
  /** While the size is not known: the creation, its memory, and the open file that creates. */
  #creation: { readonly creation: Creation; readonly staged: SegmentStorage; file: OpenFile | null } | null =
    null;

  constructor(context: NodeContext, files: SegmentFiles, segment: Segment) {
    super(context, { mode: segment.permissions.mode, uid: 0, gid: 0 });
    this.segment = segment;
    this.#files = files;
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

  /** Access, modification and change are the times of the last shmat, the last shmdt, and the last IPC_SET. */
  override refresh(): void {
    const { permissions, attachTime, detachTime, changeTime } = this.segment;
    this.permissions = permissions.mode;
    this.uid = permissions.ownerUid;
    this.gid = permissions.ownerGid;
    this.times.changed = changeTime;
    this.times.accessed = attachTime.seconds === 0 ? changeTime : attachTime;
    this.times.modified = detachTime.seconds === 0 ? changeTime : detachTime;
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
    const error = change.sizeBytes === undefined ? 0 : this.#setSize(change.sizeBytes);
    if (error < 0) return error;
    const { permissions } = this.segment;
    if (change.mode === undefined && change.uid === undefined && change.gid === undefined) return 0;
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

  /** IPC_RMID by unlink. 0 or a positive errno. */
  unlink(): number {
    if (this.segment.state === SegmentState.Creating) return EBUSY;
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
    return fault === 0 ? count : -fault;
  }

  /** Bytes written at `uio.offset`: short, or -ENOSPC, where the segment ends, or where a new one would get too large. */
  write(uio: WriteUio): number {
    const { limits, table } = this.#files.shm;
    let limitBytes = this.segment.sizeBytes;
    if (this.#creation !== null) {
      limitBytes = limits.maximumBytes;
      const end = Math.max(this.sizeBytes, Math.min(uio.offset + uio.residual, limitBytes));
      if (table.committedPages + pagesOf(end) > limits.maximumPages || !this.segment.book(end))
        return -ENOMEM;
    }
    const count = Math.min(uio.residual, limitBytes - uio.offset, this.#files.scratch.length);
    if (count <= 0) return uio.residual === 0 ? 0 : -ENOSPC;
    const bytes = this.#files.scratch.subarray(0, count);
    const fault = uio.moveIn(bytes, 0, count);
    if (fault !== 0) return -fault;
    const sizeBefore = this.sizeBytes;
    const error = this.storage!.write(uio.offset, bytes);
    if (error !== 0) return error;
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

  #detach({ process, attachment }: Hold): void {
    if (attachment !== null) detach(this.#files.shm, process, attachment);
    this.#files.leave(process);
  }

  #endCreation(): void {
    const { sizeBytes } = this.#creation!.staged;
    if (sizeBytes === 0 || this.#setSize(sizeBytes) < 0) this.abandon();
  }

  /** ftruncate: the first size makes the segment, the same size again is fine, another is -EINVAL. */
  #setSize(sizeBytes: number): number {
    if (this.#creation === null) return sizeBytes === this.segment.sizeBytes ? 0 : -EINVAL;
    const { creation, staged, file } = this.#creation;
    const sizeBefore = staged.sizeBytes;
    // Opening with O_TRUNC says nothing of the size that is wanted.
    const { memory } = this.#files;
    memory.adopt(staged);
    const id = atOnce(creation.setSize(sizeBytes));
    memory.adopt(null);
    if (id < 0) return id;
    this.#creation = null;
    if (sizeBytes !== sizeBefore) noteTruncate(this, sizeBytes > sizeBefore);
    if (file !== null) {
      const hold = file.data as Hold;
      const attached = atOnce(attach(this.#files.shm, hold.process, this.segment, attachFlags(file)));
      hold.attachment = typeof attached === 'number' ? null : attached;
    }
    return 0;
  }

  #attach(file: OpenFile, process: ShmProcess): number {
    const { segment } = this;
    const attached = segment.isVisible
      ? atOnce(attach(this.#files.shm, process, segment, attachFlags(file)))
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
