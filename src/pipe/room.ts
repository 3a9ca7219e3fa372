import { BIG_PIPE_SIZE_BYTES, SMALL_PIPE_SIZE_BYTES } from './budget.ts';
import type { PipeEnd } from './end.ts';

/** The size that a write of `sizeBytes` wants for the end's ring: doubled until the write fits, while the budget lets rings grow (P18 to P21). */
export function wantedSize({ ring, pair }: PipeEnd, sizeBytes: number): number {
  const { budget } = pair.subsystem;
  let wantedBytes = Math.max(SMALL_PIPE_SIZE_BYTES, ring.size);
  while (wantedBytes < ring.count + sizeBytes && budget.growthAllowed) {
    if (wantedBytes === BIG_PIPE_SIZE_BYTES) break;
    wantedBytes *= 2;
  }
  return wantedBytes;
}

/**
 * Whether a write of PIPE_BUF bytes would be taken as a whole: what POLLOUT and EVFILT_WRITE promise (P83, P99). The original looks at the
 * room that the ring has. A ring with room for fewer than two such writes would be writable only while it is empty, so there the growth
 * counts that such a write brings. An end that lacks only the growth is kept, so that who waits is told when rings may grow again.
 */
export function hasRoom(end: PipeEnd): boolean {
  const { ring, discipline } = end;
  if (discipline !== null) return discipline.hasRoom;
  const { crampedEnds, pipeBufBytes, resizeAllowed } = end.pair.subsystem;
  if (ring.space >= pipeBufBytes) return true;
  if (ring.size >= 2 * pipeBufBytes) return false;
  const grownBytes = wantedSize(end, pipeBufBytes);
  const canGrow =
    resizeAllowed === 1 && grownBytes >= ring.count + pipeBufBytes && ring.mayBecome(grownBytes);
  if (!canGrow) crampedEnds.add(end);
  return canGrow;
}
