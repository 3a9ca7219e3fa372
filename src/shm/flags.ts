/** Flags and commands of the calls, in NetBSD's numbering; section 4.5 of the specification. */

/** The key that never matches (S8). */
export const IPC_PRIVATE = 0;

/** Flags of shmget, beside the nine mode bits. */
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;

/** Flags of shmat. */
export const SHM_RDONLY = 0o10000;
export const SHM_RND = 0o20000;

/** Commands of shmctl. Linux has 11 and 12 for the last two. */
export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const SHM_LOCK = 3;
export const SHM_UNLOCK = 4;

/** The access that a call wants, as bits of the owner's class. */
export const IPC_READ = 0o400;
export const IPC_WRITE = 0o200;

/** The bits of a mode that a segment keeps (ACCESSPERMS). */
export const MODE_MASK = 0o777;
