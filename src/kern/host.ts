import type { Clock } from './clock.ts';
import type { Credentials } from './credentials.ts';
import type { Work } from './work.ts';

/** The receiver of SIGIO: a process (id > 0) or a process group (id < 0), as it was when the owner was set. */
export interface SignalOwner {
  readonly id: number;
  readonly credentials: Credentials;
}

/** What `Host.identityOf` says of a descriptor that is not open or leads elsewhere, and where it cannot tell. */
export const NO_IDENTITY = 0;
export const UNKNOWN_IDENTITY = -1;

/** What a descriptor of some process leads to: a file of this mount. */
export interface DescriptorTarget {
  /** As Host.identityOf says it; UNKNOWN_IDENTITY when only the inode tells. */
  readonly identity: number;
  /** Null where the machine has other inode numbers than the tree. */
  readonly inode: number | null;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
}

/** What the serving process uses. */
export interface ResourceUsage {
  readonly residentBytes: number;
  /** JavaScript objects of the serving thread. */
  readonly heapBytes: number;
  readonly processorSeconds: number;
  /** When the process began, in seconds since the epoch. */
  readonly startedSeconds: number;
}

/** How a process fares, or has ended. */
export const ProcessEnding = {
  /** It runs, or nobody can tell. */
  None: 0,
  /** It exits, or has exited, by itself. */
  Exit: 1,
  /** A signal ends it, or has ended it. */
  Signal: 2,
  /** There is no such process any more, and nobody knows how it has ended. */
  Gone: 3,
} as const;
export type ProcessEnding = (typeof ProcessEnding)[keyof typeof ProcessEnding];

/** Who makes a call, for people. */
export interface CallerDescription {
  readonly process: number;
  /** The process that has made it, or that it was left to; 0 when that is not known. */
  readonly parent: number;
  /** One character a byte, as the system shows it: at most 15 of them on Linux. */
  readonly command: string;
}

/** What the kernel needs from the machine it runs on. */
export interface Host {
  readonly clock: Clock;
  /** Memory that this program may use, from which budgets take their defaults. */
  readonly memoryBytes: number;
  /** Whether the program can take `sizeBytes` more, and then has as much left as it needs to go on. */
  hasMemory(sizeBytes: number): boolean;
  /**
   * Makes `id` (a process, or a negated process group) the receiver of SIGIO on behalf of `credentials`.
   * Returns the owner, or a negative errno: ESRCH when there is no such process, EPERM when the caller could not signal it.
   */
  signalOwner(id: number, credentials: Credentials): SignalOwner | number;
  /** Sends SIGIO to the owner, if it still is the process that was named; failures are ignored as in pgsigio. */
  postSigio(owner: SignalOwner): void;
  /**
   * Sends what a host that collects signals has collected: to be called before the call that has caused them is answered. One call may
   * cause very many for the same receiver, and a pending SIGIO is one SIGIO. A few receivers get theirs at once; the others and the
   * members of groups get them by the work that this returns, null when there is none or it is being done.
   */
  flushSigio?(): Work<void> | null;
  /** Sends SIGPIPE to the thread that made a call (rule P52). */
  postSigpipe(threadId: number): void;
  /**
   * Sends a signal (a name without SIG) to the process of a thread, if `credentials` may signal it. 1 when the signal ends what the thread
   * waits for, 0 when the process ignores it or the thread blocks it, or a negative errno.
   */
  signalCaller(threadId: number, signal: string, credentials: Credentials): number;
  /** Whether a signal is pending for a thread that ends what it waits for. Missing where that cannot be told. */
  hasSignal?(threadId: number): boolean;
  /** The process that a thread belongs to; the thread's own number when that cannot be found out. */
  processOf(threadId: number): number;
  /** How the process of a thread fares: to be asked while one of its descriptors is closed, or later. */
  endingOf(threadId: number): ProcessEnding;
  /** The process that a thread belongs to and its command's name; null when the thread cannot be found. */
  describeThread(threadId: number): CallerDescription | null;
  /** The file of this mount behind a process's descriptor; null when it is none, or cannot be looked at. */
  describeDescriptor(pid: number, descriptor: number): DescriptorTarget | null;
  /**
   * The number under which the machine knows the file of this mount behind a process's descriptor: above 0, and the same as
   * OpenFile.identity has. NO_IDENTITY when the descriptor is not open or leads out of this mount, UNKNOWN_IDENTITY when it cannot
   * be looked at. Must not wait for the mount.
   */
  identityOf(pid: number, descriptor: number): number;
  /** The supplementary groups of a thread; none when it has gone. */
  supplementaryGroups(threadId: number): readonly number[];
  resourceUsage(): ResourceUsage;
  /** One line for the administrator, as the kernel's console would show. */
  log(message: string): void;
}
