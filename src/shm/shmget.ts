import type { Credentials } from '../kern/credentials.ts';
import { EACCES, EEXIST, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC } from '../kern/errno.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import { Creation } from './creation.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from './flags.ts';
import { pagesOf } from './limits.ts';
import { mayAccess } from './permissions.ts';
import { type Segment, SegmentState } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

const creationSleep = { message: 'shmwait', interruptible: true };

export interface ShmgetRequest {
  /** 0 (IPC_PRIVATE) to 2^32 - 1. */
  readonly key: number;
  readonly sizeBytes: number;
  /** IPC_CREAT, IPC_EXCL and a mode; other bits are ignored, the original's internal linger flag among them (SB23). */
  readonly flags: number;
  /** For a new segment: the option `linger` of the control file (decision D10). */
  readonly lingers?: boolean;
}

/**
 * shmget(2): the id of the segment with a key, or of a new one. Sleeps while the key's segment is in creation, and while memory is
 * got. Errors, in the order of their checks: for an existing key -EEXIST, -EACCES, -EINVAL (too large; S23, S25, S26);
 * otherwise -ENOENT (S9), -EINVAL (size), -ENOSPC (slots), -ENOMEM (pages; S13), what the memory failed with (S18); -EINTR (S28).
 */
export function* shmget(
  shm: ShmSubsystem,
  credentials: Credentials,
  request: ShmgetRequest,
): Operation<number> {
  const { key, sizeBytes, flags, lingers = false } = request;
  if (key !== IPC_PRIVATE) {
    const existing = yield* findCreated(shm, key);
    if (typeof existing === 'number') return existing;
    if (existing !== null) return useExisting(existing, credentials, request);
    if ((flags & IPC_CREAT) === 0) return -ENOENT;
  }

  const { limits, table } = shm;
  if (!limits.allowsSize(sizeBytes)) return -EINVAL;
  if (table.isFull) return -ENOSPC;
  if (table.committedPages + pagesOf(sizeBytes) > limits.maximumPages) return -ENOMEM;

  const creation = Creation.begin(shm, credentials, { key, mode: flags, lingers });
  if (typeof creation === 'number') return creation;
  const result = yield* creation.setSize(sizeBytes);
  if (result < 0) creation.abandon();
  return result;
}

/**
 * The live segment with this key, or null. One in creation is waited for and looked up again, as it may have failed (S28).
 * -EINTR when a signal ends the wait.
 */
export function* findCreated(shm: ShmSubsystem, key: number): Operation<Segment | null | number> {
  for (;;) {
    const segment = shm.table.findKey(key);
    if (segment?.state !== SegmentState.Creating) return segment;
    const woken = yield* sleep(segment.channel, creationSleep);
    if (woken === WakeReason.Interrupted) return -EINTR;
  }
}

/** shmget for a key that has a segment (shmget_existing; S23 to S27). */
function useExisting(
  segment: Segment,
  credentials: Credentials,
  { sizeBytes, flags }: ShmgetRequest,
): number {
  const exclusive = IPC_CREAT | IPC_EXCL;
  if ((flags & exclusive) === exclusive) return -EEXIST;
  if (!mayAccess(segment.permissions, credentials, flags)) return -EACCES;
  // A negative size is a huge one to the caller's size_t.
  if (sizeBytes < 0 || sizeBytes > segment.sizeBytes) return -EINVAL;
  return segment.id;
}
