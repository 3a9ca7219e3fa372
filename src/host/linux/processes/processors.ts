import { cpus } from 'node:os';
import { readText } from '../bounded-read.ts';
import { define } from '../libc.ts';
import { processorOf } from './processes.ts';

/** The processor that this thread runs on. */
export const currentProcessor = define('int sched_getcpu()') as () => number;
/** Sets of processors, one bit each. `threadId` 0 is the calling thread. */
const getAffinity = define('int sched_getaffinity(int, size_t, void*)') as (
  threadId: number,
  sizeBytes: number,
  processors: Uint8Array,
) => number;
const setAffinity = define('int sched_setaffinity(int, size_t, void*)') as (
  threadId: number,
  sizeBytes: number,
  processors: Uint8Array,
) => number;

/** A set of processors, one bit each: as many as Linux can be built for. */
const SET_BYTES = 1024;
const OWN_THREAD = 0;

const allowed = new Uint8Array(SET_BYTES);
const single = new Uint8Array(SET_BYTES);

/** A list of ranges: `0-3,8`. */
const POSSIBLE_PROCESSORS = '/sys/devices/system/cpu/possible';

/** How many processors this machine may ever have, those that are not there now included. */
export function possibleProcessors(): number {
  const last = /(\d+)\s*$/.exec(readText(POSSIBLE_PROCESSORS) ?? '')?.[1];
  return last === undefined ? cpus().length : Number(last) + 1;
}

/**
 * Moves the calling thread to the processor that another thread has run on last, unless it is there or may not be there. Nothing holds it
 * there afterwards. Whether it was moved. That one must wait for an answer of this server.
 */
export function moveToProcessorOf(threadId: number): boolean {
  const processor = processorOf(threadId);
  if (processor === null || processor === currentProcessor()) return false;
  // Asked each time: who manages the machine may have changed it.
  if (getAffinity(OWN_THREAD, allowed.length, allowed) < 0) return false;
  const at = processor >> 3;
  const bit = 1 << (processor & 7);
  if (((allowed[at] ?? 0) & bit) === 0) return false;
  single[at] = bit;
  const isMoved = setAffinity(OWN_THREAD, single.length, single) === 0;
  single[at] = 0;
  if (isMoved) setAffinity(OWN_THREAD, allowed.length, allowed);
  return isMoved;
}
