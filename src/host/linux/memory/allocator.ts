import * as memoryCalls from './memory-calls.ts';

const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** A full-grown ring: blocks of this size and larger leave the process when they are freed, and count for no limit any more. */
const LARGE_BYTES = 64 * 1024;
const ARENAS = 2;

/**
 * Makes the C library give memory back. By itself it keeps blocks of the size of a receive buffer once one has been freed, and an
 * arena for each thread that has ever allocated, between which a server that runs for long grows. For a process that is ours alone;
 * where the C library has no such settings nothing changes.
 */
export function returnFreedMemory(): void {
  try {
    // Given once, a threshold is not moved any more.
    memoryCalls.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    memoryCalls.mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
    memoryCalls.mallopt(M_ARENA_MAX, ARENAS);
  } catch {
    // musl and macOS.
  }
}
