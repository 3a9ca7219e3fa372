/** A file of the mount that a sleeping call watches. */
export interface Watch {
  readonly inode: number;
  /** What ends the wait: bytes or the end of the writers, or room or the end of the readers. */
  readonly direction: 'in' | 'out';
}

/**
 * What may end a sleep beside the files that it watches in the mount: time, files that others have open too, what is not known, another
 * thread of the process.
 */
export type SleepEnd = 'timeout' | 'others' | 'unknown' | 'threads';

/** A thread that sleeps in a call outside of the mount, of a process that has files of the mount open: as far as the host can tell. */
export interface Sleeper {
  readonly thread: number;
  readonly process: number;
  /** The user who has started the process. */
  readonly uid: number;
  readonly command: string;
  /** Name of the system call, `-` when it is not known. */
  readonly call: string;
  readonly watches: readonly Watch[];
  /** Inodes of the mount that the process has open. */
  readonly held: readonly number[];
  readonly ends: readonly SleepEnd[];
  /** Threads of the process that may do something unless they are blocked in the mount. */
  readonly others: readonly number[];
  /** How often the process's sleeping threads have slept: the same number means the same sleep. */
  readonly sleepCount: number;
}
