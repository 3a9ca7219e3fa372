import { assert } from '../kern/assert.ts';
import { EBUSY, EINTR } from '../kern/errno.ts';
import { type Operation, sleep, WakeReason } from '../kern/operation.ts';
import { MAXIMUM_SLOTS } from './limits.ts';
import type { ShmSubsystem } from './subsystem.ts';

const resizeSleep = { message: 'shmrealc', interruptible: true };

/**
 * Sets the number of slots of the table, from 1 to MAXIMUM_SLOTS (a write of shmmni; shmrealloc). Waits until no creation or attach is
 * under way (S71); a creation that has no size yet does not hold it up. 0, or what the host refuses a new table with (S70),
 * -EBUSY (a slot beyond is in use; S69), -EINTR; then the table is as it was.
 */
export function* resizeTable(shm: ShmSubsystem, slotCount: number): Operation<number> {
  assert(slotCount >= 1 && slotCount <= MAXIMUM_SLOTS, 'a table has as many slots as an id can tell apart');
  const { memory, table } = shm;
  const error = memory.reserveTable(slotCount);
  if (error !== 0) return error;
  while (shm.callsUnderWay > 0) {
    const woken = yield* sleep(shm.resizers, resizeSleep);
    if (woken === WakeReason.Interrupted) {
      memory.releaseTable(slotCount);
      return -EINTR;
    }
  }
  if (table.highestUsedSlot() >= slotCount) {
    memory.releaseTable(slotCount);
    return -EBUSY;
  }
  const oldSlotCount = table.slotCount;
  table.resize(slotCount);
  memory.releaseTable(oldSlotCount);
  return 0;
}
