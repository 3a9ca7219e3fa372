import { type Account, Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Timespec } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { Klist } from '../kern/klist.ts';
import type { WaitChannel } from '../kern/operation.ts';
import { IPC_PRIVATE, MODE_MASK } from './flags.ts';
import { pagesOf, roundToPages } from './limits.ts';
import type { SegmentBacking } from './memory.ts';
import type { IpcPermissions } from './permissions.ts';
import type { ShmSubsystem } from './subsystem.ts';

/** A time that has not come yet. */
export const NEVER: Timespec = { seconds: 0, nanoseconds: 0 };

/**
 * Life of a segment. Creating: its slot and its key are taken, it has no id. Removed: by IPC_RMID, and still attached.
 */
export const SegmentState = { Creating: 0, Live: 1, Removed: 2, Destroyed: 3 } as const;
export type SegmentState = (typeof SegmentState)[keyof typeof SegmentState];

/** What IPC_STAT tells (struct shmid_ds). */
export interface SegmentStatus {
  readonly permissions: Readonly<IpcPermissions> & { readonly sequence: number; readonly key: number };
  /** As asked at creation, not rounded. */
  readonly sizeBytes: number;
  /** The process that attached or detached last, 0 when none has. */
  readonly lastPid: number;
  readonly creatorPid: number;
  readonly attachCount: number;
  readonly attachTime: Timespec;
  readonly detachTime: Timespec;
  readonly changeTime: Timespec;
}

export interface SegmentOptions {
  readonly slot: number;
  readonly key: number;
  readonly mode: number;
  /** Removal leaves the id usable until the last detach (decision D10). */
  readonly lingers: boolean;
}

/** A segment of shared memory, from the start of its creation to its end. */
export class Segment {
  readonly slot: number;
  readonly permissions: IpcPermissions;
  readonly creatorPid: number;
  /** The creator's, which is charged for the segment. */
  readonly account: Account;
  #bookedBytes = 0;
  readonly lingers: boolean;
  /** Calls that need the key wait here while the segment is in creation. */
  readonly channel: WaitChannel;
  /** Told of IPC_SET (NOTE_ATTRIB) and IPC_RMID (NOTE_DELETE), and cleared at the end. */
  readonly klist = new Klist();
  state: SegmentState = SegmentState.Creating;
  /** 0 for private and for removed segments. */
  key: number;
  /** Given at the end of creation; -1 before. */
  id = -1;
  sequence = 0;
  /** As asked; 0 while no size is known. */
  sizeBytes = 0;
  /** Null in creation and after the end. */
  backing: SegmentBacking | null = null;
  isWired = false;
  lastPid = 0;
  attachCount = 0;
  /** Of these, attaches whose mapping is being made. */
  attachesUnderWay = 0;
  attachTime: Timespec = NEVER;
  detachTime: Timespec = NEVER;
  changeTime: Timespec = NEVER;

  constructor(shm: ShmSubsystem, credentials: Credentials, options: SegmentOptions) {
    this.slot = options.slot;
    this.key = options.key;
    this.lingers = options.lingers;
    this.creatorPid = credentials.pid;
    this.account = shm.kernel.accounts.of(credentials.uid);
    this.permissions = {
      ownerUid: credentials.uid,
      ownerGid: credentials.gid,
      creatorUid: credentials.uid,
      creatorGid: credentials.gid,
      mode: options.mode & MODE_MASK,
    };
    this.channel = shm.kernel.channel(this);
  }

  /** What the segment holds of the committed count. */
  get pages(): number {
    return pagesOf(this.sizeBytes);
  }

  /** What a mapping covers (S17). */
  get mappedBytes(): number {
    return roundToPages(this.sizeBytes);
  }

  /** Whether an id can find it (S3, S4, S57). */
  get isVisible(): boolean {
    return this.state === SegmentState.Live || (this.state === SegmentState.Removed && this.lingers);
  }

  /** Whole pages that the creator's account is charged for: the memory of a segment, or of one in creation. */
  get bookedBytes(): number {
    return this.#bookedBytes;
  }

  /** Charges for memory of `sizeBytes` in place of what is booked; false, with nothing changed, when the quota does not hold it. */
  book(sizeBytes: number): boolean {
    const bytes = roundToPages(sizeBytes);
    if (this.account.recharge(Resource.SegmentBytes, this.#bookedBytes, bytes) !== 0) return false;
    this.#bookedBytes = bytes;
    return true;
  }

  /** A record that the caller may keep: a copy, and nothing of ours (S53). */
  status(): SegmentStatus {
    return {
      permissions: { ...this.permissions, sequence: this.sequence, key: this.key },
      sizeBytes: this.sizeBytes,
      lastPid: this.lastPid,
      creatorPid: this.creatorPid,
      attachCount: this.attachCount,
      attachTime: this.attachTime,
      detachTime: this.detachTime,
      changeTime: this.changeTime,
    };
  }

  /** Repeats the invariants of one segment; SegmentTable.checkInvariants calls it. */
  checkInvariants(): void {
    const { state } = this;
    const isCreating = state === SegmentState.Creating;
    const isRemoved = state === SegmentState.Removed;
    assert(state !== SegmentState.Destroyed, 'a destroyed segment has left the table');
    assert((this.backing === null) === isCreating, 'a segment has memory once it is created');
    assert(this.id < 0 === isCreating, 'a segment has an id once it is created');
    assert(this.backing === null || this.backing.sizeBytes === this.mappedBytes, 'memory is whole pages');
    assert(isCreating || this.#bookedBytes === this.mappedBytes, 'what is charged is what there is');
    assert(this.attachCount >= this.attachesUnderWay, 'every attach under way is counted');
    assert(!isRemoved || this.key === IPC_PRIVATE, 'a removed segment has no key');
    assert(!isRemoved || this.attachCount > 0, 'a removed segment lives by its attachments');
    assert(!isCreating || this.attachCount === 0, 'nobody attaches a segment in creation');
    assert(
      isCreating || this.channel.firstSleeper === null,
      'a caller that waits for a creation is woken at its end',
    );
    assert((this.permissions.mode & ~MODE_MASK) === 0, 'a mode has nine bits');
  }
}
