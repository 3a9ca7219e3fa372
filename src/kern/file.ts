import { type Account, Resource } from './accounting.ts';
import { assert } from './assert.ts';
import type { Credentials } from './credentials.ts';
import type { Knote } from './klist.ts';
import type { Operation } from './operation.ts';
import type { Poller } from './poll.ts';
import type { ReadUio, WriteUio } from './uio.ts';

/** Flags of an open file. */
export const FREAD = 0x1;
export const FWRITE = 0x2;
export const FNONBLOCK = 0x4;

/** ioctl commands, in FreeBSD's numbering. The argument of each is one int. */
export const Ioctl = {
  FIONREAD: 0x4004667f,
  FIONBIO: 0x8004667e,
  FIOASYNC: 0x8004667d,
  FIOSETOWN: 0x8004667c,
  FIOGETOWN: 0x4004667b,
  TIOCSPGRP: 0x80047476,
  TIOCGPGRP: 0x40047477,
} as const;

/** The int behind an ioctl's pointer: read or written by the command. */
export interface IoctlArgument {
  value: number;
}

/**
 * What can be done with an open file (struct fileops). Operations that may sleep are generators; results are
 * a count or 0, or a negative errno.
 */
export interface FileOps {
  /** Bytes read; 0 at end-of-file. */
  read(file: File, uio: ReadUio, credentials: Credentials): Operation<number>;
  /** Bytes written. */
  write(file: File, uio: WriteUio, credentials: Credentials): Operation<number>;
  /** 0 or a negative errno. */
  ioctl(file: File, command: number, argument: IoctlArgument, credentials: Credentials): number;
  /**
   * An ioctl whose argument is a structure: it takes the bytes of `input` and gives those that it moves to `output`. What the caller's
   * ioctl(2) returns, or a negative errno: at once, or as the result of an operation. Bytes that the operation has moved are its own, so
   * it may sleep after that; `input` is not.
   */
  exchange?(
    file: File,
    input: Uint8Array,
    output: ReadUio,
    credentials: Credentials,
  ): Operation<number> | number;
  /**
   * The poll bits that hold now, or a negative errno. A `poller` is recorded, ready or not, and hears once when that may
   * have changed.
   */
  poll(file: File, events: number, poller: Poller | null, credentials: Credentials): number;
  /** Gives the knote its filter and puts it on the object's list; 0 or a negative errno. */
  kqfilter(file: File, knote: Knote): number;
  /** A process closes one of its descriptors of the file, or ends; other references may be left. Only for files that ask for it. */
  descriptorClosed?(file: File, credentials: Credentials): void;
  /** Called once, when the last reference goes. */
  close(file: File): Operation<number>;
}

/** A registration that ends when the file it was made under is closed. Linked through itself, for File only. */
export interface FileKnote {
  nextOfFile: FileKnote | null;
  previousOfFile: FileKnote | null;
  /** The file is being closed: the registration goes, silently. */
  fileClosed(): void;
}

/** An open file description (struct file). */
export class File {
  /** FREAD and FWRITE are fixed at open; FNONBLOCK follows fcntl. */
  flags: number;
  ops: FileOps;
  /** The object behind the file, as its FileOps know it. */
  data: unknown = null;
  /** The caller that opened the file. */
  readonly credentials: Credentials;
  /** A FIFO's writer generation as seen at open (f_pipegen; P87, P122). */
  pipeGeneration = 0;
  /**
   * For the writer whose open created a FIFO's name: the FIFO's count of reader opens then, as it waits for the first reader
   * when it first writes. -1 when there is nothing to wait for.
   */
  pipeMeeting = -1;
  /** Set by the open of a file that needs `descriptorClosed`. */
  wantsCloses = false;
  /** Set by a transport that calls `descriptorClosed` for each close of a descriptor. */
  areClosesReported = false;
  /** Reads and writes that moved data (P49, P67). */
  messagesReceived = 0;
  messagesSent = 0;
  /** The opener's account; null where nobody keeps accounts of open files. */
  account: Account | null = null;
  /** Bytes that are kept for the file, as `hold` has said. */
  #heldBytes = 0;
  /** The newest of the knotes registered under this file (f_klist). */
  #knotes: FileKnote | null = null;

  constructor(flags: number, ops: FileOps, credentials: Credentials) {
    this.flags = flags;
    this.ops = ops;
    this.credentials = credentials;
  }

  get readable(): boolean {
    return (this.flags & FREAD) !== 0;
  }

  get writable(): boolean {
    return (this.flags & FWRITE) !== 0;
  }

  get nonBlocking(): boolean {
    return (this.flags & FNONBLOCK) !== 0;
  }

  /**
   * Says how many bytes are kept for the file now; false, with as many as before, when the opener's quota does not hold them, or nobody
   * has memory for them. The caller answers ENOMEM.
   */
  hold(sizeBytes: number): boolean {
    assert(sizeBytes >= 0, 'a file gives back no more bytes than it holds');
    const error = this.account?.recharge(Resource.HeldBytes, this.#heldBytes, sizeBytes) ?? 0;
    if (error !== 0) return false;
    this.#heldBytes = sizeBytes;
    return true;
  }

  /** Bytes that the opener is charged for. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** As `hold`, for `sizeBytes` more, or less. */
  holdMore(sizeBytes: number): boolean {
    return this.hold(this.#heldBytes + sizeBytes);
  }

  addKnote(knote: FileKnote): void {
    knote.previousOfFile = null;
    knote.nextOfFile = this.#knotes;
    if (this.#knotes !== null) this.#knotes.previousOfFile = knote;
    this.#knotes = knote;
  }

  removeKnote(knote: FileKnote): void {
    if (knote.previousOfFile === null) this.#knotes = knote.nextOfFile;
    else knote.previousOfFile.nextOfFile = knote.nextOfFile;
    if (knote.nextOfFile !== null) knote.nextOfFile.previousOfFile = knote.previousOfFile;
    knote.nextOfFile = null;
    knote.previousOfFile = null;
  }

  /** For knotesOfClosedFile. */
  get newestKnote(): FileKnote | null {
    return this.#knotes;
  }
}

/**
 * Removes the knotes registered under a file, in time proportional to their number. The close of a file calls it before the
 * file's own close (knote_fdclose; K55, K57).
 */
export function knotesOfClosedFile(file: File): void {
  for (let knote = file.newestKnote; knote !== null; knote = file.newestKnote) knote.fileClosed();
}
