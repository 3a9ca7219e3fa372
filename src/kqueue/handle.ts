import { Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import { type Credentials, writerCredentials } from '../kern/credentials.ts';
import type { File } from '../kern/file.ts';
import type { RecordSink } from './changes.ts';
import type { Kevent } from './kevent.ts';
import type { Kqueue } from './kqueue.ts';
import type { Registrar } from './register.ts';

/** Records about changes that wait to be read: as many as one write of records of 1 MiB can cause. */
const RECORD_LIMIT = 32_768;
/** What one of them takes of the opener's quota of held bytes: about what it takes in memory. */
const RECORD_BYTES = 1024;

/** Readers in the middle of a line. Those beyond this many have died there: their rests are forgotten. */
const REST_LIMIT = 256;

/** A line of text in place of a record: what was wrong with a write that could not be parsed. */
export interface Complaint {
  readonly text: string;
}

/**
 * An open file of a kqueue: what it has written that is not yet a line, what it is to be told about its changes, and who is in
 * the middle of reading a line.
 */
export class KqueueHandle implements RecordSink {
  readonly kqueue: Kqueue;
  /** The process that opened it. */
  readonly openerPid: number;
  readonly #file: File;
  /** Made by kqueue(2), as against opening a name: not inherited by fork (K10). */
  readonly isDescriptor: boolean;
  /** Errors, receipts and complaints, oldest first. */
  #records: (Kevent | Complaint)[] = [];
  /** How many of them have been read. */
  #recordsRead = 0;
  #partialLine = '';
  /** How long a read waits for an event before it returns end-of-file; null for ever. */
  timeoutMs: number | null = null;
  /** Lines that have been read in part, by the process that reads them. */
  readonly #rests = new Map<number, Uint8Array>();
  /** The thread that has read a part of a line last, and its process. */
  #restThread = 0;
  #restProcess = 0;

  constructor(kqueue: Kqueue, file: File, isDescriptor: boolean) {
    this.kqueue = kqueue;
    this.openerPid = kqueue.subsystem.environment.processOf(file.credentials.pid);
    this.#file = file;
    this.isDescriptor = isDescriptor;
  }

  registrar(writer: Credentials): Registrar {
    return { credentials: writerCredentials(this.#file.credentials, writer), openerPid: this.openerPid };
  }

  /** The beginning of a line whose end has not been written yet. */
  get partialLine(): string {
    return this.#partialLine;
  }

  /** Keeps the beginning of a line; false, with what was kept before, when there is no room for it. */
  keepPartialLine(line: string): boolean {
    if (!this.#file.holdMore(line.length - this.#partialLine.length)) return false;
    this.#partialLine = line;
    return true;
  }

  get recordCount(): number {
    return this.#records.length - this.#recordsRead;
  }

  /** A file that cannot be read has no room for records: its writes fail with the error itself (K19). */
  get hasRoom(): boolean {
    if (!this.#file.readable || this.recordCount >= RECORD_LIMIT) return false;
    return this.#file.account?.holds(Resource.HeldBytes, RECORD_BYTES) !== false;
  }

  store(record: Kevent | Complaint): boolean {
    if (!this.#file.holdMore(RECORD_BYTES)) return false;
    this.#records.push(record);
    // A reader that waits for events of this file reads the record instead.
    this.kqueue.channel.wakeup();
    this.kqueue.pollQueue.wakeup();
    return true;
  }

  get firstRecord(): Kevent | Complaint | null {
    return this.#records[this.#recordsRead] ?? null;
  }

  dropRecord(): void {
    this.#recordsRead++;
    this.#file.holdMore(-RECORD_BYTES);
    if (this.#recordsRead < this.#records.length) return;
    this.#records = [];
    this.#recordsRead = 0;
  }

  /** Repeats the invariants; called after every step in tests. `isBusy`: a call on the file sleeps, and holds more for itself. */
  checkInvariants(isBusy: boolean): void {
    let keptBytes = this.#partialLine.length + this.recordCount * RECORD_BYTES;
    for (const rest of this.#rests.values()) {
      assert(rest.length > 0, 'a rest that has been read is forgotten');
      keptBytes += rest.buffer.byteLength;
    }
    assert(this.#rests.size <= REST_LIMIT, 'no more rests are kept than their limit');
    const { heldBytes } = this.#file;
    assert(
      isBusy ? heldBytes >= keptBytes : heldBytes === keptBytes,
      'the opener is charged for what is kept for it',
    );
  }

  /** The rest of the line that this caller has begun to read, or null. */
  restFor(credentials: Credentials): Uint8Array | null {
    if (this.#rests.size === 0) return null;
    return this.#rests.get(this.#reader(credentials)) ?? null;
  }

  /**
   * The caller has read a line up to `rest`, which is its own: others begin with the next line. False, with nothing kept, when there is
   * no room for it.
   */
  setRest(credentials: Credentials, rest: Uint8Array): boolean {
    const reader = this.#reader(credentials);
    if (rest.length === 0) {
      this.#forgetRest(reader);
      return true;
    }
    if (!this.#rests.has(reader)) {
      // What is kept is the whole line, however much of it is left.
      if (!this.#file.holdMore(rest.buffer.byteLength)) return false;
      if (this.#rests.size === REST_LIMIT) this.#forgetRest(this.#rests.keys().next().value!);
    }
    this.#rests.delete(reader);
    this.#rests.set(reader, rest);
    return true;
  }

  #forgetRest(reader: number): void {
    const rest = this.#rests.get(reader);
    if (rest === undefined) return;
    this.#rests.delete(reader);
    this.#file.holdMore(-rest.buffer.byteLength);
  }

  /** The caller's process. Asking for it takes longer than a read, and shells read lines byte by byte: it is asked for once a line. */
  #reader({ pid }: Credentials): number {
    if (pid !== this.#restThread || !this.#rests.has(this.#restProcess)) {
      this.#restProcess = this.kqueue.subsystem.environment.processOf(pid);
      this.#restThread = pid;
    }
    return this.#restProcess;
  }
}

/** The kqueue side of an open file; null when it is none. */
export function handleOf(file: File): KqueueHandle | null {
  return file.data instanceof KqueueHandle ? file.data : null;
}
