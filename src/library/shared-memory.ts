import type { Timespec } from '../kern/clock.ts';
import { EINVAL } from '../kern/errno.ts';
import { ShmProcess, shmexit, shmfork } from '../shm/attachments.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE, MODE_MASK, SHM_RDONLY } from '../shm/flags.ts';
import { shmat, shmdt } from '../shm/shmat.ts';
import { ipcRemove, ipcSet, ipcStat } from '../shm/shmctl.ts';
import { shmget } from '../shm/shmget.ts';
import { dateOf } from './date.ts';
import { checked, IpcError } from './error.ts';
import { ViewSpace } from './shared-buffer.ts';
import { type Caller, IpcSystem, thisProcess } from './system.ts';

export interface SharedMemoryOptions {
  /** The system whose segments are meant; `IpcSystem.shared` when it is not given. */
  readonly system?: IpcSystem;
  /** Who uses them; this process when it is not given. */
  readonly caller?: Caller;
}

/** Arguments of shmget(2). */
export interface SegmentRequest {
  /** 1 to 2^32 - 1, or `'private'` for a new segment that no key finds. */
  readonly key: number | 'private';
  /** Of a new segment; of one that is there, the least that will do. */
  readonly sizeBytes: number;
  /** Makes the segment if there is none with this key (IPC_CREAT). A private one is always made. */
  readonly create?: boolean;
  /** With `create`: fails with EEXIST if there is one (IPC_EXCL). */
  readonly exclusive?: boolean;
  /** Nine permission bits of a new segment, and what is asked of one that is there; 0o600 when it is not given. */
  readonly mode?: number;
}

/** What IPC_STAT tells. */
export interface SegmentInfo {
  /** 0 for a private or removed one. */
  readonly key: number;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly creatorUid: number;
  readonly creatorGid: number;
  readonly creatorPid: number;
  /** Who attached or detached last; 0 when nobody has. */
  readonly lastPid: number;
  readonly attachCount: number;
  /** Null when it has not happened. */
  readonly attachTime: Date | null;
  readonly detachTime: Date | null;
  readonly changeTime: Date | null;
}

/** A segment that is attached. */
export interface SegmentAttachment {
  readonly id: number;
  /**
   * The memory itself, of the size that was asked for at its creation: every attachment is a view of the same bytes, and its
   * buffer can be given to worker threads. Throws EINVAL (shmdt) once it is detached.
   */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Asked for reading: JavaScript has no view that could keep its holder from writing. */
  readonly isReadOnly: boolean;
  /** shmdt(2): counts the attachment down. EINVAL (shmdt) the second time. */
  detach(): void;
}

/** NetBSD's System V shared memory (shmget(2), shmat(2), shmctl(2); sysv_shm.c), as one caller uses it. */
export class SharedMemory {
  readonly #system: IpcSystem;
  readonly #space: ViewSpace;
  readonly #process: ShmProcess;

  constructor(options: SharedMemoryOptions = {}, space = new ViewSpace()) {
    const { system = IpcSystem.shared, caller = thisProcess() } = options;
    this.#system = system;
    this.#space = space;
    this.#process = new ShmProcess(caller, space);
  }

  /**
   * fork(2): another caller, with the same ids unless `caller` is given, who has every segment attached that this one has. Each
   * attachment counts once more; no time and no last pid changes (S63).
   */
  fork(caller: Caller = this.#process.credentials): SharedMemory {
    const child = new SharedMemory({ system: this.#system, caller }, this.#space.copy());
    shmfork(this.#process, child.#process);
    return child;
  }

  /** exit(2): detaches every segment. The detach time is set, the last pid is not (S64, S65). */
  exit(): void {
    shmexit(this.#system.shm, this.#process);
    this.#system.settle();
  }

  /** What is attached, in the order in which it was. */
  attachments(): SegmentAttachment[] {
    return Array.from(this.#process.attachments(), ({ address }) => this.#attachmentAt(address));
  }

  /**
   * The id of the segment with a key, or of a new one (S8 to S28). Fails with ENOENT, EEXIST, EACCES, EINVAL (size or key), ENOSPC
   * (`kern.ipc.shmmni` segments are there), ENOMEM (`kern.ipc.shmmaxpgs`).
   */
  async get({
    key,
    sizeBytes,
    create = false,
    exclusive = false,
    mode = 0o600,
  }: SegmentRequest): Promise<number> {
    const isKey = key === 'private' || (Number.isInteger(key) && key > IPC_PRIVATE && key < 2 ** 32);
    if (!isKey || !Number.isSafeInteger(sizeBytes)) throw new IpcError(-EINVAL, 'shmget');
    const flags = (mode & MODE_MASK) | (create ? IPC_CREAT : 0) | (exclusive ? IPC_EXCL : 0);
    const number = key === 'private' ? IPC_PRIVATE : key;
    return this.#system.run('shmget', () =>
      shmget(this.#system.shm, this.#process.credentials, { key: number, sizeBytes, flags }),
    );
  }

  /**
   * Attaches a segment (S31 to S44). Fails with EINVAL (no such segment), EACCES (its mode), EMFILE (`kern.ipc.shmseg` attachments
   * are there).
   */
  async attach(
    id: number,
    { readOnly = false }: { readonly readOnly?: boolean } = {},
  ): Promise<SegmentAttachment> {
    const { shm } = this.#system;
    const flags = readOnly ? SHM_RDONLY : 0;
    const address = await this.#system.run('shmat', () => shmat(shm, this.#process, id, { flags }));
    return this.#attachmentAt(address);
  }

  #attachmentAt(address: number): SegmentAttachment {
    const { segment, isReadOnly } = this.#process.map!.attachments.get(address)!;
    const { id, sizeBytes } = segment;
    const { shm } = this.#system;
    const space = this.#space;
    return {
      id,
      isReadOnly,
      get bytes() {
        const bytes = space.bytesAt(address);
        if (bytes === null) throw new IpcError(-EINVAL, 'shmdt');
        return bytes.subarray(0, sizeBytes);
      },
      detach: () => {
        checked(shmdt(shm, this.#process, address), 'shmdt');
        this.#system.settle();
      },
    };
  }

  /** IPC_STAT (S52). Throws EINVAL (no such segment), EACCES without read permission. */
  stat(id: number): SegmentInfo {
    const status = ipcStat(this.#system.shm, this.#process.credentials, id);
    if (typeof status === 'number') throw new IpcError(status, 'shmctl');
    const { permissions } = status;
    return {
      key: permissions.key,
      sizeBytes: status.sizeBytes,
      mode: permissions.mode,
      uid: permissions.ownerUid,
      gid: permissions.ownerGid,
      creatorUid: permissions.creatorUid,
      creatorGid: permissions.creatorGid,
      creatorPid: status.creatorPid,
      lastPid: status.lastPid,
      attachCount: status.attachCount,
      attachTime: dateOrNull(status.attachTime),
      detachTime: dateOrNull(status.detachTime),
      changeTime: dateOrNull(status.changeTime),
    };
  }

  /** IPC_SET (S54): what is not mentioned stays. Throws EINVAL, EPERM for others than owner, creator and superuser. */
  set(id: number, change: { readonly uid?: number; readonly gid?: number; readonly mode?: number }): void {
    const { shm } = this.#system;
    const segment = shm.table.find(id);
    if (segment === null) throw new IpcError(-EINVAL, 'shmctl');
    const { ownerUid, ownerGid, mode } = segment.permissions;
    const record = {
      ownerUid: change.uid ?? ownerUid,
      ownerGid: change.gid ?? ownerGid,
      mode: change.mode ?? mode,
    };
    checked(ipcSet(shm, this.#process.credentials, id, record), 'shmctl');
    this.#system.settle();
  }

  /** IPC_RMID (S55 to S57): its key is free, and it goes with its last attachment. Throws EINVAL, EPERM as `set`. */
  remove(id: number): void {
    checked(ipcRemove(this.#system.shm, this.#process.credentials, id), 'shmctl');
    this.#system.settle();
  }
}

/** Null for a time that has not been. */
function dateOrNull(time: Timespec): Date | null {
  return time.seconds === 0 && time.nanoseconds === 0 ? null : dateOf(time);
}
