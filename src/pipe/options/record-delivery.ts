import { assert } from '../../kern/assert.ts';
import type { Credentials } from '../../kern/credentials.ts';
import type { File } from '../../kern/file.ts';
import { ProcessEnding } from '../../kern/host.ts';
import type { ReadUio } from '../../kern/uio.ts';
import type { Delivery } from './delivery.ts';
import { type Lease, LeaseTable } from './lease-table.ts';
import { givesBack } from '../pipe-options.ts';
import type { Queue } from './queue.ts';

/**
 * Reads take bytes of one record at most. The rest of a record belongs to the process that has begun it, on the open file that it reads; it
 * is a lease, which ends with the process's next read beyond the record. With `requeue` the record goes back to the front when a signal
 * ends the process before that, or the file is closed in the middle of the record.
 */
export class RecordDelivery implements Delivery {
  readonly reservedBytes = 0;
  readonly #queue: Queue;
  readonly #leases: LeaseTable;
  /** Records that have come back, in the order in which they were written. */
  readonly #returned: Lease[] = [];
  /** Who reads the record that goes through the ring in pieces. */
  #streamed: Lease | null = null;
  #lastSequence = 0;
  frontBytes = 0;
  heldBytes = 0;

  constructor(queue: Queue) {
    this.#queue = queue;
    this.#leases = new LeaseTable(queue.end.pair.subsystem.kernel.host);
  }

  take(file: File, uio: ReadUio, { pid }: Credentials): number {
    const lease = this.#leases.find(file, pid);
    if (lease !== null) {
      const moved = this.#goOn(lease, uio);
      // The rest of a record that comes in pieces is yet to come.
      if (moved !== 0 || lease === this.#streamed) return moved;
      this.#leases.remove(lease);
      this.#forget(lease);
    }
    return this.#begin(file, uio, pid);
  }

  readableBytes(file: File): number {
    const rest = this.#leases.restBytes(file);
    if (rest > 0) return rest;
    const [first] = this.#returned;
    if (first !== undefined) return first.bytes!.length;
    const { records } = this.#queue;
    if (records.count === 0) return 0;
    return this.#streamed === null || this.#streamed.file === file ? records.first : 0;
  }

  descriptorClosed(file: File, { pid }: Credentials): void {
    if (!this.#leases.has(file)) return;
    const ending = this.#queue.end.pair.subsystem.kernel.host.endingOf(pid);
    if (ending === ProcessEnding.None) return;
    const lease = this.#leases.find(file, pid);
    if (lease === null) {
      if (ending === ProcessEnding.Signal) this.#loseOfGoneThreads(file);
    } else if (ending === ProcessEnding.Signal) this.#lose(lease);
    else if (isRead(lease)) this.#finish(lease);
    else this.#leases.orphan(lease);
  }

  closed(file: File): void {
    for (const lease of this.#leases.ofFile(file)) {
      if (isRead(lease) && !this.#hasDied(lease)) this.#finish(lease);
      else this.#lose(lease);
    }
  }

  wrote(): void {
    // Who has written does not matter.
  }

  front(): readonly Uint8Array[] {
    return this.#returned.map(({ bytes }) => bytes!);
  }

  tailGrew(): void {
    // Its reader takes what is there.
  }

  tailGone(): void {
    const lease = this.#streamed;
    if (lease === null) return;
    this.#endStream();
    this.#leases.remove(lease);
  }

  divided(): void {
    // What is left of a record in pieces is anybody's.
    this.tailGone();
  }

  firstDropped(): void {
    // Records that readers have begun are not in the ring any more, but for one that is not dropped.
  }

  opened(): void {
    // Every reader takes what is there.
  }

  end(): void {
    for (const lease of this.#leases.all()) this.#finish(lease);
    for (const lease of this.#returned.splice(0)) this.#forget(lease);
    this.#endStream();
    this.frontBytes = 0;
  }

  /** Moves what is left of the lease's record. */
  #goOn(lease: Lease, uio: ReadUio): number {
    const { bytes } = lease;
    if (bytes === null) return lease === this.#streamed ? this.#takePiece(uio) : 0;
    const length = Math.min(uio.residual, bytes.length - lease.position);
    const error = length === 0 ? 0 : uio.moveOut(bytes, lease.position, length);
    if (error !== 0) return error;
    this.#queue.readOffset = lease.offset + lease.position;
    lease.position += length;
    return length;
  }

  #takePiece(uio: ReadUio): number {
    const queue = this.#queue;
    const { count } = queue.records;
    const length = Math.min(uio.residual, queue.records.first);
    const error = length === 0 ? 0 : queue.ring.show(uio, 0, length);
    if (error !== 0 || length === 0) return error;
    queue.readOffset = queue.ringOffset;
    queue.consume(length);
    if (queue.records.count < count) this.#endStream();
    return length;
  }

  #endStream(): void {
    this.#streamed = null;
    this.#queue.isFirstClaimed = false;
  }

  /** Takes the next record, if there is one for this caller. */
  #begin(file: File, uio: ReadUio, pid: number): number {
    const queue = this.#queue;
    const returned = this.#returned.shift();
    if (returned !== undefined) {
      this.frontBytes -= returned.bytes!.length;
      return this.#hand({ ...returned, file, thread: pid, process: -1, position: 0 }, uio);
    }
    const { records, ring } = queue;
    if (records.count === 0 || this.#streamed !== null || records.first === 0) return 0;
    const length = records.first;
    const offset = queue.ringOffset;
    if (!queue.isFirstWhole) {
      const lease = {
        file,
        thread: pid,
        process: -1,
        bytes: null,
        offset,
        position: 0,
        sequence: ++this.#lastSequence,
      };
      this.#streamed = lease;
      queue.isFirstClaimed = true;
      this.#leases.add(lease);
      return this.#takePiece(uio);
    }
    if (uio.residual >= length && !givesBack(queue.options)) {
      const error = ring.show(uio, 0, length);
      if (error !== 0) return error;
      queue.readOffset = offset;
      queue.consume(length);
      return length;
    }
    const lack = queue.hold(length);
    if (lack !== 0) return lack;
    this.heldBytes += length;
    const bytes = ring.peek(length);
    queue.consume(length);
    const sequence = ++this.#lastSequence;
    return this.#hand({ file, thread: pid, process: -1, bytes, offset, position: 0, sequence }, uio);
  }

  /** Gives a record to its reader. One that cannot be moved stays in front. */
  #hand(lease: Lease, uio: ReadUio): number {
    const moved = this.#goOn(lease, uio);
    if (moved < 0) this.#putBack(lease);
    else if (isRead(lease) && !givesBack(this.#queue.options)) this.#forget(lease);
    else this.#leases.add(lease);
    return moved;
  }

  /** Whether the process has ended by a signal, or nobody knows how: asked when no close of its own has told. */
  #hasDied({ file, thread }: Lease): boolean {
    if (thread <= 0 || !givesBack(this.#queue.options)) return false;
    const ending = this.#queue.end.pair.subsystem.kernel.host.endingOf(thread);
    return ending === ProcessEnding.Signal || (ending === ProcessEnding.Gone && !file.areClosesReported);
  }

  /**
   * A process has been killed whose last thread is none that has begun a record. Records of threads that have ended are its own, as far as
   * can be known: one that comes twice is better than one that is lost.
   */
  #loseOfGoneThreads(file: File): void {
    const { host } = this.#queue.end.pair.subsystem.kernel;
    for (const lease of this.#leases.ofFile(file)) {
      if (lease.thread > 0 && host.endingOf(lease.thread) === ProcessEnding.Gone) this.#lose(lease);
    }
  }

  /** The reader has read it, and is done with it. */
  #finish(lease: Lease): void {
    this.#leases.remove(lease);
    this.#forget(lease);
  }

  /** The reader has left before it was done. */
  #lose(lease: Lease): void {
    const queue = this.#queue;
    this.#leases.remove(lease);
    if (lease === this.#streamed) {
      this.#endStream();
      queue.dropFirst();
      queue.lookAgain();
    } else if (lease.bytes === null || !givesBack(queue.options)) {
      const restBytes = (lease.bytes?.length ?? 0) - lease.position;
      if (restBytes > 0) queue.dropped(restBytes, 1);
      this.#forget(lease);
    } else {
      this.#putBack(lease);
      queue.wakeReaders();
    }
  }

  #putBack(lease: Lease): void {
    const at = this.#returned.findIndex(({ sequence }) => sequence > lease.sequence);
    this.#returned.splice(at < 0 ? this.#returned.length : at, 0, lease);
    this.frontBytes += lease.bytes!.length;
  }

  /** Gives back the memory of a record that nobody will need any more. */
  #forget({ bytes }: Lease): void {
    if (bytes === null) return;
    this.heldBytes -= bytes.length;
    this.#queue.unhold(bytes.length);
  }

  checkInvariants(): void {
    const sum = (leases: readonly Lease[]): number =>
      leases.reduce((total, { bytes }) => total + (bytes?.length ?? 0), 0);
    assert(sum(this.#returned) === this.frontBytes, 'the bytes that have come back add up');
    assert(sum(this.#returned) + sum(this.#leases.all()) === this.heldBytes, 'the memory of records adds up');
    assert((this.#streamed !== null) === this.#queue.isFirstClaimed, 'a record in pieces has one reader');
  }
}

function isRead({ bytes, position }: Lease): boolean {
  return bytes !== null && position === bytes.length;
}
