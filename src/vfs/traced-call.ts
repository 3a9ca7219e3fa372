import type { Thread } from '../kern/scheduler.ts';
import type { WriteUio } from '../kern/uio.ts';
import type { Name, Node } from './node.ts';
import type { OpenFile } from './open-file.ts';

/** The bytes that a call has moved. */
export interface MovedBytes {
  /** A copy of the first `length` of them; null when they are not here any more. */
  prefix(length: number): Uint8Array | null;
}

/** A call as its transport tells the trace of it. The trace copies what it needs before it returns. */
export interface TracedCall {
  /** `read`, `write` and so on: one of TRACED_CALLS. */
  readonly call: string;
  /** The calling thread; 0 when it is not known. */
  readonly pid: number;
  /** When the request arrived, on the monotonic clock. */
  readonly beganMs: number;
  /** The operation; null for a call that never sleeps. */
  readonly thread: Thread | null;
  /** What the call is on, or the directory of `name`; null when the transport does not know. */
  readonly node: Node | null;
  /** Of a call on a name: that name. Without a node: the path from the mount's root. */
  readonly name: Name | null;
  /** The path that a rename or a link gives. */
  readonly newPath: string | null;
  readonly file: OpenFile | null;
  /** The open file's handle; -1 for none. */
  readonly handle: number;
  /** Linux's flags of an open, bytes asked for, an ioctl's command, events polled for, a new mode; -1 for none. */
  readonly argument: number;
  /** What a write takes its bytes from. */
  readonly source: WriteUio | null;
  /** What a read or write has moved, if its node has bytes to show. */
  readonly bytes: MovedBytes | null;
}

/** Every call that the trace shows, by the names that TracedCall has. */
export const TRACED_CALLS = [
  'open',
  'create',
  'read',
  'write',
  'release',
  'poll',
  'ioctl',
  'flock',
  'fcntl',
  'flush',
  'getattr',
  'setattr',
  'statfs',
  'opendir',
  'readdir',
  'releasedir',
  'mknod',
  'mkdir',
  'symlink',
  'readlink',
  'link',
  'unlink',
  'rmdir',
  'rename',
] as const;

/** What a transport tells of the calls that it carries. */
export interface TraceSink {
  /** Whether anybody wants to hear of calls: to be looked at before a TracedCall is made. */
  readonly isActive: boolean;
  /** A call is about to be answered with `result`: a count or 0, or a negative errno. */
  ended(call: TracedCall, result: number): void;
}
