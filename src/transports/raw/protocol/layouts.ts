/**
 * Where the fields of fuse.h's structures lie, in bytes: those that this transport reads and writes. `bytes` is the size of the whole
 * structure; what follows one in a message (a name, data) begins there.
 */
export const InitIn = { major: 0, minor: 4, maxReadahead: 8, flags: 12, flags2: 16, bytes: 64 } as const;
export const InitOut = {
  major: 0,
  minor: 4,
  maxReadahead: 8,
  flags: 12,
  maxBackground: 16,
  congestionThreshold: 18,
  maxWrite: 20,
  timeGran: 24,
  maxPages: 28,
  flags2: 32,
  maxStackDepth: 36,
  bytes: 64,
} as const;
export const ForgetIn = { nlookup: 0, bytes: 8 } as const;
export const BatchForgetIn = { count: 0, bytes: 8 } as const;
export const ForgetOne = { nodeid: 0, nlookup: 8, bytes: 16 } as const;
export const InterruptIn = { unique: 0, bytes: 8 } as const;
export const GetattrIn = { bytes: 16 } as const;
export const SetattrIn = {
  valid: 0,
  size: 16,
  atime: 32,
  mtime: 40,
  atimensec: 56,
  mtimensec: 60,
  mode: 68,
  uid: 76,
  gid: 80,
  bytes: 88,
} as const;
export const MknodIn = { mode: 0, bytes: 16 } as const;
export const MkdirIn = { mode: 0, bytes: 8 } as const;
export const LinkIn = { oldnodeid: 0, bytes: 8 } as const;
export const RenameIn = { newdir: 0, bytes: 8 } as const;
export const Rename2In = { newdir: 0, flags: 8, bytes: 16 } as const;
export const OpenIn = { flags: 0, bytes: 8 } as const;
export const CreateIn = { flags: 0, mode: 4, bytes: 16 } as const;
export const ReadIn = { fh: 0, offset: 8, size: 16, readFlags: 20, flags: 32, bytes: 40 } as const;
export const WriteIn = { fh: 0, offset: 8, size: 16, flags: 32, bytes: 40 } as const;
export const WriteOut = { size: 0, padding: 4, bytes: 8 } as const;
export const FlushIn = { fh: 0, lockOwner: 16, bytes: 24 } as const;
export const ReleaseIn = { fh: 0, bytes: 24 } as const;
export const PollIn = { fh: 0, kh: 8, flags: 16, events: 20, bytes: 24 } as const;
export const PollOut = { revents: 0, padding: 4, bytes: 8 } as const;
export const NotifyPollWakeupOut = { kh: 0, bytes: 8 } as const;
export const NotifyStoreOut = { nodeid: 0, offset: 8, size: 16, padding: 20, bytes: 24 } as const;
export const IoctlIn = { fh: 0, cmd: 12, bytes: 32 } as const;
export const IoctlOut = { result: 0, bytes: 16 } as const;
export const FileLock = { start: 0, end: 8, type: 16, pid: 20, bytes: 24 } as const;
export const LkIn = { fh: 0, owner: 8, lk: 16, lkFlags: 40, bytes: 48 } as const;
export const LkOut = { lk: 0, bytes: 24 } as const;
export const OpenOut = { fh: 0, openFlags: 8, backingId: 12, bytes: 16 } as const;
/** Its size is SETXATTR_IN_BYTES. */
export const SetxattrIn = { size: 0, flags: 4 } as const;
export const GetxattrIn = { size: 0, bytes: 8 } as const;
export const GetxattrOut = { size: 0, padding: 4, bytes: 8 } as const;
export const Attr = {
  ino: 0,
  size: 8,
  blocks: 16,
  atime: 24,
  mtime: 32,
  ctime: 40,
  atimensec: 48,
  mtimensec: 52,
  ctimensec: 56,
  mode: 60,
  nlink: 64,
  uid: 68,
  gid: 72,
  rdev: 76,
  blksize: 80,
  flags: 84,
  bytes: 88,
} as const;
export const AttrOut = { attrValid: 0, attrValidNsec: 8, attr: 16, bytes: 104 } as const;
export const EntryOut = {
  nodeid: 0,
  generation: 8,
  entryValid: 16,
  attrValid: 24,
  entryValidNsec: 32,
  attr: 40,
  bytes: 128,
} as const;
export const Kstatfs = {
  blocks: 0,
  bfree: 8,
  bavail: 16,
  files: 24,
  ffree: 32,
  bsize: 40,
  namelen: 44,
  frsize: 48,
  bytes: 80,
} as const;
export const Dirent = { ino: 0, off: 8, namelen: 16, type: 20, name: 24 } as const;
