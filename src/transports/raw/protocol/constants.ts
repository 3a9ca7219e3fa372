/** Numbers of the FUSE protocol, version 7 (include/uapi/linux/fuse.h). */
export const FUSE_KERNEL_VERSION = 7;
/** The newest minor version whose messages this transport knows. */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Older kernels lay messages out differently. */
export const FUSE_OLDEST_MINOR_VERSION = 31;
/** The first with FOPEN_PARALLEL_DIRECT_WRITES. */
export const FUSE_PARALLEL_WRITES_MINOR_VERSION = 38;
export const FUSE_ROOT_ID = 1;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  SETLK: 32,
  SETLKW: 33,
  GETLK: 31,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  BATCH_FORGET: 42,
  RENAME2: 45,
} as const;

/** Sizes of the headers, in bytes. */
export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;

export const NOTIFY_POLL = 1;
/** Bytes for the kernel's page cache of a file. */
export const NOTIFY_STORE = 4;
/** Every request that has not been answered comes again, marked in its unique (Linux 6.9). */
export const NOTIFY_RESEND = 7;

/** Of struct fuse_setxattr_in: what follows its first fields is there only with FUSE_SETXATTR_EXT. */
export const SETXATTR_IN_BYTES = 8;

/** INIT flags, low word. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  BIG_WRITES: 1 << 5,
  FLOCK_LOCKS: 1 << 10,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
  HANDLE_KILLPRIV_V2: 1 << 28,
  INIT_EXT: 1 << 30,
} as const;

/** INIT flags, high word (flags2). */
export const INIT2_PASSTHROUGH = 1 << (37 - 32);
export const INIT2_HAS_RESEND = 1 << (39 - 32);
export const INIT2_OVER_IO_URING = 1 << (41 - 32);

/** open_flags of an answer to OPEN. */
export const FOPEN_DIRECT_IO = 1 << 0;
/** Leave what the page cache has of the file. */
export const FOPEN_KEEP_CACHE = 1 << 1;
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;
/** Writes within the size that the kernel knows do not exclude each other (Linux 6.2). */
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;
/** Mappings, and without DIRECT_IO reads and writes too, go to a backing file. */
export const FOPEN_PASSTHROUGH = 1 << 7;

export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_FH = 1 << 6;
export const FATTR_ATIME_NOW = 1 << 7;
export const FATTR_MTIME_NOW = 1 << 8;
/** Set-id bits are to go: a caller without the right to keep them truncates the file. */
export const FATTR_KILL_SUIDGID = 1 << 11;

export const POLL_SCHEDULE_NOTIFY = 1 << 0;

/** read_flags: a process reads. Without it, the kernel fills a page of its cache, for a mapping or for splice(2). */
export const READ_LOCKOWNER = 1 << 1;

/** Of struct fuse_lk_in: the lock is flock's. */
export const LK_FLOCK = 1 << 0;
/** Types of locks (F_RDLCK and so on). */
export const LockType = { Shared: 0, Exclusive: 1, Unlocked: 2 } as const;
/** `end` of a lock that goes on past any end of file, in two words: the largest offset. */
export const LOCK_TO_END_HIGH = 0x7fff_ffff;
export const LOCK_TO_END_LOW = 0xffff_ffff;

export const RENAME_NOREPLACE = 1 << 0;
export const RENAME_EXCHANGE = 1 << 1;

/** _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, u32), on /dev/fuse. */
export const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501;
export const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502;

/** The largest READ and WRITE, and the pages that hold it. */
export const MAX_WRITE_BYTES = 1024 * 1024;
export const MAX_PAGES = 256;
/** A receive buffer: the largest WRITE with its headers. */
export const RECEIVE_BUFFER_BYTES = MAX_WRITE_BYTES + 4096;
