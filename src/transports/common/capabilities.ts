/**
 * What a transport can do beyond carrying plain calls. Each field says in CAPABILITY_LOSSES what callers lose without it, and
 * whatever depends on one that is missing fails or degrades in just that way.
 */
export interface Capabilities {
  /** poll, select and epoll tell when a file is ready. */
  readonly poll: boolean;
  /** A signal ends a call that waits. */
  readonly interrupt: boolean;
  readonly ioctl: boolean;
  /** However many calls wait, others are served. */
  readonly manyWaits: boolean;
  /** The user and group of each caller are known. */
  readonly callerUser: boolean;
  /** The process of each caller is known. */
  readonly callerProcess: boolean;
  /** Each open chooses between going to the server and going through the page cache. */
  readonly perOpenDirectIo: boolean;
  /** All names of a file are one file to the host's kernel. */
  readonly sameFile: boolean;
  /** st_ino is the number that info/ shows. */
  readonly inodeNumbers: boolean;
  /** Mappings of a segment are its memory itself. */
  readonly passthrough: boolean;
  /** A writer without a reader gets SIGPIPE. */
  readonly sigpipe: boolean;
  /** mkfifo(1) makes a pipe that the server serves. */
  readonly mkfifo: boolean;
  /** open(2) with O_CREAT is one request. */
  readonly createInOneStep: boolean;
  /** O_NONBLOCK set by fcntl reaches the server. */
  readonly statusFlags: boolean;
  /** lseek on pipes and kqueues is refused. */
  readonly unseekable: boolean;
  /** Pipes and kqueues have no position: a part of a long call is known as such, and calls on one open file do not exclude each other. */
  readonly streams: boolean;
  /** fstat of an open pipe says nothing of what is queued, so programs read to the end. */
  readonly openSizes: boolean;
  /** A call that waits on one open of a pipe holds up no write through another. */
  readonly independentOpens: boolean;
  /** A name can be removed or moved while a read or write waits on it. */
  readonly removeWhileBlocked: boolean;
  /** The same while an open waits on it. */
  readonly removeWhileOpening: boolean;
  /** What a process does after a close finds the close done, whatever else goes on. */
  readonly orderedClose: boolean;
  /** renameat2 with RENAME_NOREPLACE and RENAME_EXCHANGE. */
  readonly renameFlags: boolean;
  /** Access and modification time can be set each by itself, to the nanosecond. */
  readonly separateTimes: boolean;
  /** Names may be any bytes. */
  readonly anyName: boolean;
  /** flock and fcntl locks are kept by the server. */
  readonly locks: boolean;
  /** getxattr and setxattr show and set the options of pipes. */
  readonly extendedAttributes: boolean;
}

export type CapabilityName = keyof Capabilities;

/** What is lost without each, in the order in which tables show them. */
export const CAPABILITY_LOSSES: Readonly<Record<CapabilityName, string>> = {
  poll: 'poll, select and epoll say that every file is ready',
  interrupt: 'a call that waits cannot be killed: the other side or umount ends it',
  ioctl: 'ioctl is ENOTTY; stat shows the bytes that are queued',
  manyWaits: 'at most 48 calls wait at a time: one more fails with ENOBUFS, and others are served',
  callerUser: 'only the user who mounts may use the mount, root included; --allow-other is refused',
  callerProcess:
    'fd:N and the descriptors of kqueue.bin are EBADF, watching signals is EOPNOTSUPP, info/waits shows pid 0, shmseg counts all processes as one',
  perOpenDirectIo:
    'shm/ is a mount of its own within the mount, or for users other than root a symbolic link to one, and shm/ctl in it a symbolic link',
  sameFile:
    'the ids of segments are symbolic links, and so are other spellings of their keys than that of the maker, which ls shows',
  inodeNumbers: 'stat and ls -i show other inode numbers than info/, and each name of a file has its own',
  passthrough: 'segments are mapped through the page cache',
  sigpipe: 'a writer without a reader gets EPIPE, and no signal',
  mkfifo: 'mkfifo fails; touch makes a pipe',
  createInOneStep:
    'the open that creates a pipe waits for the other side like any other; of two that open a new segment at once the faster is its maker',
  statusFlags: 'O_NONBLOCK counts when it is given to open, not when fcntl sets it later',
  unseekable:
    'lseek succeeds: back it gives back what was last read, forward it skips in a pipe, otherwise it changes nothing',
  streams:
    'a read of more than 128 KiB (1 MiB with libfuse 3) may wait for more although it has some; reads and writes through one shared descriptor exclude each other',
  openSizes: 'fstat of an open pipe shows the queued bytes: programs that trust it read no more',
  independentOpens: 'a write behind one that waits on the same pipe waits too, O_NONBLOCK or not',
  removeWhileBlocked:
    'rm and mv of a name that a read or write waits on wait for that call, and whatever uses the directory waits for them: umount ends it',
  removeWhileOpening:
    'rm and mv of a name that an open waits on wait for that open, and whatever uses the directory waits for them: umount ends it',
  orderedClose: 'a close may be seen a moment after it returned',
  renameFlags: 'renameat2 with flags is EINVAL',
  separateTimes: 'touch -a and touch -m change nothing, and both times become the same',
  anyName: 'a name that is not UTF-8 is EILSEQ',
  locks:
    "flock and fcntl locks are the kernel's own: info/waits and info/locks do not show them, and each name of a file has its own",
  extendedAttributes: 'getfattr and setfattr find no options of pipes: ipcfs get and set do',
};

export const CAPABILITY_NAMES = Object.keys(CAPABILITY_LOSSES) as readonly CapabilityName[];

/** Rows of info/transport: every capability with yes or no. */
export function capabilityRows(capabilities: Capabilities): (readonly [string, string])[] {
  return CAPABILITY_NAMES.map((name) => [kebab(name), capabilities[name] ? 'yes' : 'no'] as const);
}

/** `perOpenDirectIo` as tables show it: `per-open-direct-io`. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
