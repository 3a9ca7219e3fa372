/** The file that a descriptor leads to. */
export interface FileSeen {
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly inode: number;
  /** `pipe`; `anonymous` for eventfds, epolls and the like, which share an inode; `other`. */
  readonly type: 'pipe' | 'anonymous' | 'other';
}

/** Numbers of descriptors or threads. */
export interface Listed {
  readonly numbers: readonly number[];
  /** False when there are more than were to be listed. */
  readonly isWhole: boolean;
}

/** Files of /proc/PID/task/TID that are read whole. */
export type ThreadFile = 'syscall' | 'wchan' | 'status' | 'children';

/**
 * What the host shows of its processes; tests have their own. Every answer has a bounded size. Nothing throws: what may not be seen, or
 * has gone, is null.
 */
export interface ProcessView {
  pids(): readonly number[];
  /** The user who has started the process. */
  uidOf(pid: number): number | null;
  /** The descriptors of a process, `most` at most. */
  descriptors(pid: number, most: number): Listed | null;
  threads(pid: number, most: number): Listed | null;
  /** Asks the kernel only, not the server of a mount. */
  file(pid: number, descriptor: number): FileSeen | null;
  access(
    pid: number,
    descriptor: number,
  ): { readonly isReadable: boolean; readonly isWritable: boolean } | null;
  /** What the link of a descriptor shows: `pipe:[17]`, `anon_inode:[eventfd]`. */
  link(pid: number, descriptor: number): string | null;
  /** The text of /proc/PID/fdinfo/N; null also when it is too long. */
  info(pid: number, descriptor: number): string | null;
  threadText(pid: number, thread: number, file: ThreadFile): string | null;
  /** Whether the process has timers that send it signals. */
  hasTimers(pid: number): boolean;
  command(pid: number): string | null;
  /** Bytes of a process's memory, as many of them as can be read. */
  memory(pid: number, address: bigint, sizeBytes: number): Buffer | null;
  /** Whether two descriptors lead to one open file; null when that cannot be found out. */
  isSameFile(pid: number, descriptor: number, otherPid: number, otherDescriptor: number): boolean | null;
}
