import type { Credentials } from '../kern/credentials.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import type { PipeEnd } from './end.ts';
import type { PipeOptions } from './pipe-options.ts';

/**
 * What calls on a pipe with options do. BSD's pipe has none: its end holds null, and its own read and write run. Who waits for what (end of
 * file, broken pipe, pollers, knotes) stays the end's.
 */
export interface Discipline {
  /** read(2): bytes moved, 0 at end-of-file or when a time-out ends the wait, or -EAGAIN, -EINTR, -EFAULT, -ENOMEM. */
  read(file: File, uio: ReadUio, credentials: Credentials): Operation<number>;
  /** write(2): bytes taken, also when an error followed them, or -EPIPE, -EAGAIN, -EINTR, -EFAULT, -ENOMEM. */
  write(file: File, uio: WriteUio, credentials: Credentials): Operation<number>;
  /** Bytes that are stored and not with a reader. */
  readonly queuedBytes: number;
  /** Those of them that a read of `file` could take at once. */
  readableBytes(file: File): number;
  /** A copy of the queued bytes, oldest first. */
  peek(): Uint8Array;
  /** Bytes that a write finds room for. */
  readonly spaceBytes: number;
  /** Whether a write of PIPE_BUF bytes would be taken at once. */
  readonly hasRoom: boolean;
  /** The file was opened for reading. */
  opened(file: File): void;
  /** Whether `descriptorClosed` makes a difference for files that are opened now. */
  readonly wantsCloses: boolean;
  /** A process closes a descriptor of the file, or ends. */
  descriptorClosed(file: File, credentials: Credentials): void;
  /** The last descriptor of a file that reads is closed. */
  readerClosed(file: File): void;
  /** The last descriptor of a file that writes is closed. May sleep until what it has begun to write is stored. */
  writerClosing(file: File): Operation<void>;
  /** Offset in the pipe's stream of the first byte that the last read returned. */
  readonly readOffset: number;
  /** The same of the last write that returned; -1 when its first byte is not in the stream: it was dropped, or its line is not whole. */
  readonly writeOffset: number;
  /** Whether a record longer than the ring goes through it in pieces: other readers and writers wait for its end. */
  readonly isInPieces: boolean;
  /** Bytes that it keeps beside the ring, charged to the pipe's account. */
  readonly heldBytes: number;
  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void;
}

/** Bytes and records that were not delivered: an overflow, or a reader that has left in the middle. */
export interface Drops {
  bytes: number;
  records: number;
}

/** What a pipe that has options asks of its discipline. */
export interface OptionDiscipline extends Discipline {
  /** Takes over the end of a BSD pipe. 0, or -ENOMEM or -EBUSY with the end as it was. */
  begin(): number;
  /** Gives the end back to BSD's engine with all bytes. 0, or -EBUSY when its ring could not hold them, or -ENOMEM. */
  finish(): number;
  /** 0, or with nothing changed -EBUSY (what is queued does not fit) or -ENOMEM. */
  change(options: PipeOptions): number;
  /** The end is closed, with all bytes. */
  dispose(): void;
}

/** Makes the discipline of an end. Given to the engine, which knows nothing of the options. */
export type DisciplineFor = (end: PipeEnd, options: PipeOptions, drops: Drops) => OptionDiscipline;
