import { Resource } from '../../kern/accounting.ts';
import { assert } from '../../kern/assert.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { ENOMEM } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import type { Operation } from '../../kern/operation.ts';
import type { ReadUio, WriteUio } from '../../kern/uio.ts';
import type { DisciplineFor, Drops, OptionDiscipline } from '../discipline.ts';
import type { PipeEnd } from '../end.ts';
import type { Ring } from '../ring.ts';
import type { Delivery } from './delivery.ts';
import { type FramingRules, framingRules } from './framing.ts';
import { Lines } from './lines.ts';
import { type OverflowPolicy, overflowPolicies } from './overflow.ts';
import { givesBack, type PipeOptions } from '../pipe-options.ts';
import { beginQueue, changeQueue, deliveryFor, finishQueue } from './queue-change.ts';
import { queueRead } from './queue-read.ts';
import { finishLine, queueWrite } from './queue-write.ts';
import { RecordLengths } from './record-lengths.ts';

/**
 * The queue of a pipe with options: the end's ring with the lengths of its records. Three things vary: where records end (framing), what a
 * full ring does (overflow), and what a read may take (delivery).
 */
export class Queue implements OptionDiscipline {
  readonly end: PipeEnd;
  readonly ring: Ring;
  readonly records: RecordLengths;
  /** Lines that writers have begun. */
  readonly lines: Lines;
  readonly drops: Drops;
  options: PipeOptions;
  framing: FramingRules;
  overflow: OverflowPolicy;
  delivery: Delivery;
  /** Who writes the newest record, when that is longer than the ring and goes through it in pieces. */
  tailWriter: File | null = null;
  /** The rest of that record is dropped: its reader has left. */
  isTailDropped = false;
  /** Offset of the ring's first byte in the pipe's stream. */
  ringOffset: number;
  readOffset = 0;
  writeOffset = -1;
  /** A reader has begun the oldest record in the ring, which goes through it in pieces. */
  isFirstClaimed = false;

  constructor(end: PipeEnd, options: PipeOptions, drops: Drops) {
    this.end = end;
    this.ring = end.ring;
    this.ringOffset = end.traffic.bytesOut + end.traffic.skewBytes;
    this.records = new RecordLengths(end.pair.subsystem.kernel.host);
    this.lines = new Lines(this);
    this.drops = drops;
    this.options = options;
    this.framing = framingRules[options.framing];
    this.overflow = overflowPolicies[options.overflow];
    this.delivery = deliveryFor(this, options);
  }

  begin(): number {
    return beginQueue(this);
  }

  finish(): number {
    return finishQueue(this);
  }

  change(options: PipeOptions): number {
    return changeQueue(this, options);
  }

  read(file: File, uio: ReadUio, credentials: Credentials): Operation<number> {
    return queueRead(this, file, uio, credentials);
  }

  write(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
    return queueWrite(this, file, uio, credentials);
  }

  get queuedBytes(): number {
    return this.delivery.frontBytes + this.ring.count;
  }

  readableBytes(file: File): number {
    return this.delivery.readableBytes(file);
  }

  peek(): Uint8Array {
    const bytes = new Uint8Array(this.queuedBytes);
    let at = 0;
    for (const piece of [...this.delivery.front(), this.ring.peek(this.ring.count)]) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  get spaceBytes(): number {
    return this.ring.space - this.delivery.reservedBytes;
  }

  get hasRoom(): boolean {
    const { ring, spaceBytes } = this;
    if (!this.overflow.waits) return true;
    // A record that goes through in pieces leaves room for a newline.
    if (this.tailWriter !== null) return spaceBytes > 1;
    return spaceBytes >= Math.min(this.end.pair.subsystem.pipeBufBytes, ring.size);
  }

  opened(file: File): void {
    this.delivery.opened(file);
  }

  get wantsCloses(): boolean {
    return this.options.framing !== 'bytes' && givesBack(this.options);
  }

  descriptorClosed(file: File, credentials: Credentials): void {
    this.delivery.descriptorClosed(file, credentials);
  }

  readerClosed(file: File): void {
    this.delivery.closed(file);
  }

  writerClosing(file: File): Operation<void> {
    return finishLine(this, file);
  }

  get heldBytes(): number {
    return this.records.memoryBytes + this.lines.heldBytes + this.delivery.heldBytes;
  }

  /** Charges the pipe's account for memory that the queue is going to keep: 0 or -ENOMEM. */
  hold(sizeBytes: number): number {
    return this.end.pair.account.charge(Resource.HeldBytes, sizeBytes) === 0 ? 0 : -ENOMEM;
  }

  unhold(sizeBytes: number): void {
    this.end.pair.account.release(Resource.HeldBytes, sizeBytes);
  }

  /** Makes sure that one more record can be noted: 0 or -ENOMEM. */
  reserveRecord(): number {
    return this.reserveRecords(this.records.count + 1);
  }

  /** Makes sure that `count` records can be noted in all: 0, or -ENOMEM with nothing charged. */
  reserveRecords(count: number): number {
    const growthBytes = this.records.growthBytes(count);
    if (growthBytes === 0) return 0;
    if (this.hold(growthBytes) !== 0) return -ENOMEM;
    if (this.records.grow(growthBytes)) return 0;
    this.unhold(growthBytes);
    return -ENOMEM;
  }

  /** Whether the oldest record in the ring is whole: it does not go through it in pieces. */
  get isFirstWhole(): boolean {
    return !this.isFirstClaimed && this.#isFirstEnded;
  }

  /** Whether all of the oldest record has come. */
  get #isFirstEnded(): boolean {
    return this.records.count > 1 || (this.records.count === 1 && this.tailWriter === null);
  }

  get isInPieces(): boolean {
    return this.isFirstClaimed || this.tailWriter !== null;
  }

  /** Offset in the pipe's stream of the next byte to be stored. */
  get endOffset(): number {
    return this.ringOffset + this.ring.count;
  }

  /** Removes the oldest `length` bytes of the ring. */
  #discard(length: number): void {
    this.ring.discard(length);
    this.ringOffset += length;
  }

  /** Removes the oldest `length` bytes of the ring, with the records that end in them. */
  consume(length: number): void {
    const { records } = this;
    this.#discard(length);
    let left = length;
    while (left > 0) {
      const bytes = Math.min(left, records.first);
      left -= bytes;
      if (bytes === records.first && this.#isFirstEnded) records.shift();
      else records.shortenFirst(bytes);
    }
  }

  /** Drops whole records until `neededBytes` fit; false when what is left cannot be dropped. */
  dropOldest(neededBytes: number): boolean {
    const { records } = this;
    while (this.spaceBytes < neededBytes) {
      if (!this.isFirstWhole) return false;
      const length = records.first;
      this.delivery.firstDropped(length);
      this.#discard(length);
      records.shift();
      this.dropped(length, 1);
    }
    return true;
  }

  /** Drops what is in the ring of the oldest record, and what is yet to come of it. */
  dropFirst(): void {
    const { records } = this;
    if (records.count === 0) return;
    const length = records.first;
    this.#discard(length);
    this.dropped(length, 1);
    if (this.#isFirstEnded) {
      records.shift();
    } else {
      records.shortenFirst(length);
      this.isTailDropped = true;
    }
  }

  /** `length` bytes more of the record that goes through in pieces have been stored. */
  extendTail(length: number): void {
    this.records.extendLast(length);
    this.delivery.tailGrew(length);
  }

  /** The record that goes through in pieces has all its bytes. */
  endTail(): void {
    this.tailWriter = null;
    this.isTailDropped = false;
    // Others have waited for the end of it.
    this.end.wakeWriters();
    if (this.records.last > 0) return;
    this.records.pop();
    this.delivery.tailGone();
  }

  /** Stores bytes that have come back, for which there is room. */
  putBack(bytes: Uint8Array): void {
    const { ring, records } = this;
    if (bytes.length === 0) return;
    const isNoted = records.count > 0 || this.reserveRecord() === 0;
    if (!isNoted || ring.append(bytes) !== 0) {
      this.dropped(bytes.length, 0);
    } else if (records.count > 0) {
      records.extendLast(bytes.length);
    } else {
      records.push(bytes.length);
    }
    this.wakeReaders();
  }

  dropped(bytes: number, records: number): void {
    const { subsystem } = this.end.pair;
    for (const drops of [this.drops, subsystem.drops]) {
      drops.bytes += bytes;
      drops.records += records;
    }
  }

  /** Everybody who waits or watches looks again. */
  lookAgain(): void {
    const { end } = this;
    end.readersWaiting = false;
    end.writersWaiting = false;
    end.channel.wakeup();
    end.notify();
  }

  /** Records have come back, or what a reader kept has gone: those who wait for bytes look again. */
  wakeReaders(): void {
    this.end.wakeReaders();
    this.end.notify();
  }

  /** Gives back all memory beside the ring, and tells the end where its stream is. */
  dispose(): void {
    const { traffic } = this.end;
    traffic.skewBytes = this.ringOffset - traffic.bytesOut;
    this.lines.forgetAll();
    this.delivery.end();
    this.unhold(this.records.memoryBytes);
    this.records.clear();
  }

  checkInvariants(): void {
    const { ring, records } = this;
    records.checkInvariants();
    this.lines.checkInvariants();
    this.delivery.checkInvariants();
    assert(records.totalBytes === ring.count, 'the ring holds its records');
    assert(this.tailWriter === null || records.count > 0, 'a record that goes through in pieces is noted');
    assert(this.spaceBytes >= 0, 'what is reserved in a ring is room');
  }
}

export const queueFor: DisciplineFor = (end, options, drops) => new Queue(end, options, drops);
