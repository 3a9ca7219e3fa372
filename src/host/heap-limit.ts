import { getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import type { MemoryLimit } from './memory-room.ts';

/** Of the old generation, the part that is there for callers: the rest is for growing tables, and for what a call needs for a moment. */
const SHARE = 5 / 8;
/** V8 counts the young generation into its limit, but only the old one has to hold what stays. */
const YOUNG_GENERATION_BYTES = (resourceLimits.maxYoungGenerationSizeMb ?? 48) * 1024 ** 2;

/** The heap of this thread, beyond which V8 ends the program. */
export class HeapLimit implements MemoryLimit {
  roomBytes(): number {
    const { heap_size_limit: limitBytes, used_heap_size: usedBytes } = getHeapStatistics();
    return (limitBytes - YOUNG_GENERATION_BYTES) * SHARE - usedBytes;
  }
}
