import * as libc from './libc.ts';
import { processStat } from './processes.ts';

/** A set of processors, one bit each: as many as Linux can be built for. */
const SET_BYTES = 1024;
const OWN_THREAD = 0;

const allowed = new Uint8Array(SET_BYTES);
const single = new Uint8Array(SET_BYTES);

/**
 * Moves the calling thread to the processor that another thread has run on last, unless it is there or may not be there. Nothing holds it
 * there afterwards. Whether it was moved.
 */
export function moveToProcessorOf(threadId: number): boolean {
  const processor = processStat(threadId)?.processor;
  if (processor === undefined || processor === libc.currentProcessor()) return false;
  // Asked each time: who manages the machine may have changed it.
  if (libc.getAffinity(OWN_THREAD, allowed.length, allowed) < 0) return false;
  const at = processor >> 3;
  const bit = 1 << (processor & 7);
  if (((allowed[at] ?? 0) & bit) === 0) return false;
  single[at] = bit;
  const isMoved = libc.setAffinity(OWN_THREAD, single.length, single) === 0;
  single[at] = 0;
  if (isMoved) libc.setAffinity(OWN_THREAD, allowed.length, allowed);
  return isMoved;
}
