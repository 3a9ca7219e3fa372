import { close, declareStructure, define, fcntl, O_CLOEXEC, O_RDWR, open } from '../libc.ts';

// Calls of the C library that are about memory: its allocator, memory behind descriptors, mappings. Results are as in libc.ts.

const createMemfd = define('int memfd_create(const char*, unsigned int)') as (
  name: string,
  flags: number,
) => number;

/**
 * Memory behind a descriptor, or -1. It is opened by its path: Linux does not count the open file that memfd_create makes as one that
 * writes, and takes the first other one for it when a lease is asked for.
 */
export function memfdCreate(name: string, flags: number): number {
  const created = createMemfd(name, flags);
  if (created < 0) return created;
  const descriptor = open(`/proc/self/fd/${created}`, O_RDWR | O_CLOEXEC);
  close(created);
  return descriptor;
}
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;

/** Fixes the size of a memfd for good. */
export function seal(descriptor: number): number {
  return fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

const mmap = define('intptr_t mmap(intptr_t, size_t, int, int, int, long)') as (
  address: number,
  length: number,
  protection: number,
  flags: number,
  descriptor: number,
  offset: number,
) => number;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

/** Maps a file from `offset` on: the address, or -1. */
export function mapShared(descriptor: number, sizeBytes: number, offset = 0): number {
  return mmap(0, sizeBytes, PROT_READ_WRITE, MAP_SHARED, descriptor, offset);
}

/** Takes a part of the address space that nobody uses: the address, or -1. */
export function reserveAddresses(sizeBytes: number): number {
  return mmap(0, sizeBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0);
}

export const munmap = define('int munmap(intptr_t, size_t)') as (
  address: number,
  sizeBytes: number,
) => number;
const madvise = define('int madvise(intptr_t, size_t, int)') as (
  address: number,
  sizeBytes: number,
  advice: number,
) => number;
const MADV_DONTNEED = 4;

/** Gives whole pages of private memory back; they read as zeros afterwards. */
export function discardPages(address: number, sizeBytes: number): void {
  madvise(address, sizeBytes, MADV_DONTNEED);
}
export const mlock = define('int mlock(intptr_t, size_t)') as (address: number, sizeBytes: number) => number;

const mallocTrim = define('int malloc_trim(size_t)') as (padBytes: number) => number;

/** Gives pages back that the C library keeps although nobody has them; nothing where it cannot. */
export function trimFreedMemory(): void {
  try {
    mallocTrim(0);
  } catch {
    // musl has no such call, and keeps little.
  }
}

interface MallocInfo {
  readonly fordblks: bigint | number;
}
const MALLOC_INFO_WORDS = [
  ...['arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks', 'fordblks'],
  'keepcost',
];
declareStructure('mallinfo2', Object.fromEntries(MALLOC_INFO_WORDS.map((word) => [word, 'size_t'])));
const mallinfo2 = define('mallinfo2 mallinfo2()') as () => MallocInfo;

/** Bytes that the C library could give to the next who asks, without asking the kernel; 0 where it does not say (glibc 2.33). */
export function freedBytes(): number {
  try {
    return Number(mallinfo2().fordblks);
  } catch {
    return 0;
  }
}

/** A setting of glibc's allocator. 1, or 0 for one that it does not take. */
export const mallopt = define('int mallopt(int, int)') as (setting: number, value: number) => number;
