import { Resource } from '../../kern/accounting.ts';
import { assert } from '../../kern/assert.ts';
import type { Credentials } from '../../kern/credentials.ts';
import { EBUSY, ENOMEM } from '../../kern/errno.ts';
import type { File } from '../../kern/file.ts';
import type { Operation } from '../../kern/operation.ts';
import type { ReadUio, WriteUio } from '../../kern/uio.ts';
import { BIG_PIPE_SIZE_BYTES, PIPE_SIZE_BYTES } from '../budget.ts';
import type { DisciplineFor, Drops, OptionDiscipline } from '../discipline.ts';
import type { PipeEnd } from '../end.ts';
import type { Ring } from '../ring.ts';
import { ByteDelivery } from './byte-delivery.ts';
import type { Delivery } from './delivery.ts';
import { FanoutDelivery } from './fanout-delivery.ts';
import { type FramingRules, framingRules, NEWLINE } from './framing.ts';
import { Lines } from './lines.ts';
import { type OverflowPolicy, overflowPolicies } from './overflow.ts';
import { givesBack, type PipeOptions } from '../pipe-options.ts';
import { queueRead } from './queue-read.ts';
import { finishLine, queueWrite } from './queue-write.ts';
import { RecordDelivery } from './record-delivery.ts';
import { RecordLengths } from './record-lengths.ts';
import { TokenDelivery } from './token-delivery.ts';

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
  /** A reader has begun the oldest record in the ring, which goes through it in pieces. */
  isFirstClaimed = false;

  constructor(end: PipeEnd, options: PipeOptions, drops: Drops) {
    this.end = end;
    this.ring = end.ring;
    this.records = new RecordLengths(end.pair.subsystem.kernel.host);
    this.lines = new Lines(this);
    this.drops = drops;
    this.options = options;
    this.framing = framingRules[options.framing];
    this.overflow = overflowPolicies[options.overflow];
    this.delivery = deliveryFor(this, options);
  }

  /**
   * Takes over the end of a BSD pipe. 0, or -ENOMEM with the end as it was. Without a capacity of its own the ring gets the largest of BSD's
   * sizes if it can, so that what is written stays there as long as it may.
   */
  begin(): number {
    const { end, ring, options } = this;
    const lack = this.reserveRecords(this.#countRecords([], options));
    if (lack !== 0) return lack;
    const wantedBytes = options.capacityBytes === 0 ? BIG_PIPE_SIZE_BYTES : options.capacityBytes;
    const isResized =
      ring.size === wantedBytes || (ring.count <= wantedBytes && ring.resize(wantedBytes) === 0);
    if (!isResized && options.capacityBytes > 0) {
      this.dispose();
      return ring.count > wantedBytes ? -EBUSY : -ENOMEM;
    }
    this.#divide();
    end.chunk = null;
    end.discipline = this;
    this.lookAgain();
    return 0;
  }

  /** Gives the end back to BSD's engine with all bytes. 0, or -EBUSY when its ring could not hold them, or -ENOMEM. */
  finish(): number {
    const { end, ring } = this;
    const sizeBytes = this.queuedBytes + sumOf(this.lines.all());
    if (sizeBytes > BIG_PIPE_SIZE_BYTES) return -EBUSY;
    let ringBytes = PIPE_SIZE_BYTES;
    while (ringBytes < sizeBytes) ringBytes *= 2;
    const error =
      (ring.size === ringBytes ? 0 : ring.resize(ringBytes)) ||
      this.#refill(this.delivery.front(), this.lines.all());
    if (error !== 0) return error;
    this.delivery.end();
    end.discipline = null;
    this.dispose();
    this.lookAgain();
    return 0;
  }

  /** Changes the options. 0, or with nothing changed -EBUSY (what is queued does not fit) or -ENOMEM. */
  change(options: PipeOptions): number {
    const { ring } = this;
    const before = this.options;
    const capacityBytes = options.capacityBytes === 0 ? BIG_PIPE_SIZE_BYTES : options.capacityBytes;
    const isOther = deliveryKind(options) !== deliveryKind(before);
    const front = isOther ? this.delivery.front() : [];
    const begun = options.framing === before.framing ? [] : this.lines.all();
    const neededBytes = sumOf(front) + ring.count + sumOf(begun) + this.delivery.reservedBytes;
    if (neededBytes > capacityBytes || this.lines.longestBytes >= capacityBytes) return -EBUSY;
    const isDivided = options.framing !== before.framing || front.length > 0;
    const lack = isDivided ? this.reserveRecords(this.#countRecords(front, options)) : 0;
    if (lack !== 0) return lack;
    if (ring.size !== capacityBytes && (options.capacityBytes > 0 || before.capacityBytes > 0)) {
      const error = ring.resize(capacityBytes);
      if (error !== 0) return error;
    }
    if (neededBytes > ring.size) return -EBUSY;
    const error = this.#refill(front, begun);
    if (error !== 0) return error;
    if (isOther) {
      this.delivery.end();
      this.delivery = deliveryFor(this, options);
    }
    this.options = options;
    this.overflow = overflowPolicies[options.overflow];
    this.framing = framingRules[options.framing];
    if (isDivided) {
      this.lines.forgetAll();
      this.tailWriter = null;
      this.isTailDropped = false;
      this.#divide();
      this.delivery.divided();
    }
    this.lookAgain();
    return 0;
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

  *closing(file: File): Operation<void> {
    if (file.readable) this.delivery.closed(file);
    if (file.writable) yield* finishLine(this, file);
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

  /** Removes the oldest `length` bytes of the ring, with the records that end in them. */
  consume(length: number): void {
    const { records } = this;
    this.ring.discard(length);
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
    const { ring, records } = this;
    while (this.spaceBytes < neededBytes) {
      if (!this.isFirstWhole) return false;
      const length = records.first;
      this.delivery.firstDropped(length);
      ring.discard(length);
      records.shift();
      this.dropped(length, 1);
    }
    return true;
  }

  /** Drops what is in the ring of the oldest record, and what is yet to come of it. */
  dropFirst(): void {
    const { ring, records } = this;
    if (records.count === 0) return;
    const length = records.first;
    ring.discard(length);
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

  /** Gives back all memory beside the ring. */
  dispose(): void {
    this.lines.forgetAll();
    this.delivery.end();
    this.unhold(this.records.memoryBytes);
    this.records.clear();
  }

  /** Puts bytes before and behind those in the ring, which has room for them. 0, or with nothing changed -ENOMEM. */
  #refill(before: readonly Uint8Array[], behind: readonly Uint8Array[]): number {
    if (before.length === 0 && behind.length === 0) return 0;
    const { ring } = this;
    const stored = ring.peek(ring.count);
    ring.discard(ring.count);
    // Only a ring that was empty can lack memory, and then the first piece is refused.
    for (const piece of [...before, stored, ...behind]) {
      const error = ring.append(piece);
      if (error !== 0) return error;
    }
    return 0;
  }

  /** How many records there are at most once `front` lies before the ring's bytes, and begun lines behind. */
  #countRecords(front: readonly Uint8Array[], { framing }: PipeOptions): number {
    if (framing !== 'lines') return 1;
    let count = 1;
    let length = this.ring.lengthUpTo(NEWLINE, 0);
    for (let at = 0; length > 0; length = this.ring.lengthUpTo(NEWLINE, at)) {
      count++;
      at += length;
    }
    for (const bytes of front) for (const byte of bytes) if (byte === NEWLINE) count++;
    return count;
  }

  /** Notes the records of the bytes in the ring, as far as their bytes tell. There is memory for them. */
  #divide(): void {
    const { ring, records } = this;
    records.empty();
    let at = 0;
    while (at < ring.count) {
      const found = this.options.framing === 'lines' ? ring.lengthUpTo(NEWLINE, at) : -1;
      const length = found < 0 ? ring.count - at : found;
      records.push(length);
      at += length;
    }
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

function sumOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

type DeliveryKind = 'bytes' | 'records' | 'tokens' | 'fanout';

function deliveryKind({ fanout, framing, jobserver }: PipeOptions): DeliveryKind {
  if (jobserver) return 'tokens';
  if (fanout) return 'fanout';
  return framing === 'bytes' ? 'bytes' : 'records';
}

function deliveryFor(queue: Queue, options: PipeOptions): Delivery {
  switch (deliveryKind(options)) {
    case 'bytes':
      return new ByteDelivery(queue);
    case 'records':
      return new RecordDelivery(queue);
    case 'tokens':
      return new TokenDelivery(queue);
    case 'fanout':
      return new FanoutDelivery(queue);
  }
}

export const queueFor: DisciplineFor = (end, options, drops) => new Queue(end, options, drops);
