import { NOTE_DELETE } from '../kern/klist.ts';
import { IPC_PRIVATE } from './flags.ts';
import { type Segment, SegmentState } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

/**
 * Removes a segment: its key is free, no id finds it unless it lingers, and it ends with its last attachment, now if there is
 * none. The change time stays (IPC_RMID in shmctl1; S55 to S57, SB17). Removing a lingering segment again changes nothing.
 */
export function removeSegment(shm: ShmSubsystem, segment: Segment): void {
  const isFirst = segment.state === SegmentState.Live;
  const { key } = segment;
  shm.table.forgetKey(segment);
  segment.state = SegmentState.Removed;
  if (isFirst) segment.klist.notify(NOTE_DELETE);
  if (key !== IPC_PRIVATE) shm.keysChanged();
  if (isFirst && !segment.isVisible) shm.idsChanged();
  if (segment.attachCount === 0) destroySegment(shm, segment);
}

/** Counts an attachment down: the detach time is now, and the last one ends a removed segment (shm_delete_mapping; S46). */
export function dropAttachment(shm: ShmSubsystem, segment: Segment): void {
  segment.attachCount--;
  segment.detachTime = shm.kernel.host.clock.realtime();
  if (segment.attachCount === 0 && segment.state === SegmentState.Removed) destroySegment(shm, segment);
}

/** Gives back everything that a segment has: slot, pages, key, memory. Callers that wait for its creation look again. */
export function destroySegment(shm: ShmSubsystem, segment: Segment): void {
  const { backing, key, isVisible } = segment;
  const isCreating = segment.state === SegmentState.Creating;
  shm.table.remove(segment);
  segment.backing = null;
  backing?.free();
  segment.channel.wakeup();
  if (isCreating) segment.klist.notify(NOTE_DELETE);
  segment.klist.clear();
  if (key !== IPC_PRIVATE) shm.keysChanged();
  if (isVisible) shm.idsChanged();
}
