import type { Credentials } from '../../kern/credentials.ts';
import type { File } from '../../kern/file.ts';
import type { ReadUio } from '../../kern/uio.ts';

/** What a read may take of a queue. */
export interface Delivery {
  /** Moves what the caller may take now: bytes moved, 0 when there is nothing for it, or -EFAULT, -ENOMEM. */
  take(file: File, uio: ReadUio, credentials: Credentials): number;
  /** Bytes that `take` would move at most. */
  readableBytes(file: File): number;
  /** Bytes that are in front of the ring's. */
  readonly frontBytes: number;
  /** Bytes of the ring's room that writers must leave. */
  readonly reservedBytes: number;
  /** Memory that it keeps, charged to the pipe's account. */
  readonly heldBytes: number;
  /** A process closes a descriptor of the file, or ends. */
  descriptorClosed(file: File, credentials: Credentials): void;
  /** The last descriptor of the file is closed. */
  closed(file: File): void;
  /** What writers of the pipe have given. */
  wrote(file: File, credentials: Credentials, sizeBytes: number): void;
  /** The newest record, which goes through in pieces, has got `length` bytes more. */
  tailGrew(length: number): void;
  /** A record that went through in pieces has ended with nothing left of it. */
  tailGone(): void;
  /** The ring's bytes are other records now. */
  divided(): void;
  /** The oldest record of the ring, of `length` bytes, is about to be dropped. */
  firstDropped(length: number): void;
  /** The file was opened for reading. */
  opened(file: File): void;
  /** The bytes in front of the ring's, in pieces. They stay. */
  front(): readonly Uint8Array[];
  /** Forgets all that it keeps: another delivery, or none, takes its place. */
  end(): void;
  checkInvariants(): void;
}
