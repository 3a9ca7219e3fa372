import { assert } from '../../kern/assert.ts';
import type { File } from '../../kern/file.ts';
import type { ReadUio } from '../../kern/uio.ts';
import type { Delivery } from './delivery.ts';
import type { Queue } from './queue.ts';

/** The place of one reader. */
interface Cursor {
  /** Number of its record, among all that the queue has had. */
  record: number;
  /** Bytes of that record that it has read. */
  offset: number;
  /** Bytes before that record, among all that the queue has had. */
  position: number;
  /** The rest of a record that it had begun when the record was dropped, and its offset in the pipe's stream. */
  rest: Uint8Array | null;
  restOffset: number;
}

/** Every open file reads everything that is written since it was opened. The bytes lie in the ring once, until the last has read them. */
export class FanoutDelivery implements Delivery {
  readonly frontBytes = 0;
  readonly reservedBytes = 0;
  readonly #queue: Queue;
  readonly #cursors = new Map<File, Cursor>();
  /** Number of the oldest record in the ring, and bytes before it. */
  #firstRecord = 0;
  #firstPosition = 0;
  heldBytes = 0;

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  opened(file: File): void {
    const { records } = this.#queue;
    this.#cursors.set(file, {
      record: this.#firstRecord + records.count,
      offset: 0,
      position: this.#firstPosition + records.totalBytes,
      rest: null,
      restOffset: 0,
    });
  }

  closed(file: File): void {
    const cursor = this.#cursors.get(file);
    if (cursor === undefined) return;
    this.#cursors.delete(file);
    this.#forgetRest(cursor);
    this.#trim();
    this.#queue.end.wakeWriters();
    this.#queue.end.notify();
  }

  take(file: File, uio: ReadUio): number {
    const cursor = this.#cursors.get(file);
    if (cursor === undefined) return 0;
    if (cursor.rest !== null) return this.#takeRest(cursor, uio);
    const queue = this.#queue;
    const offset = cursor.position + cursor.offset - this.#firstPosition;
    const length = Math.min(uio.residual, this.#nextBytes(cursor));
    const error = length === 0 ? 0 : queue.ring.show(uio, offset, length);
    if (error !== 0 || length === 0) return error;
    queue.readOffset = queue.ringOffset + offset;
    this.#advance(cursor, length);
    this.#trim();
    return length;
  }

  readableBytes(file: File): number {
    const cursor = this.#cursors.get(file);
    return cursor === undefined ? 0 : (cursor.rest?.length ?? this.#nextBytes(cursor));
  }

  /** Bytes that the reader's next read gets: all that is there, or up to the end of a record. */
  #nextBytes(cursor: Cursor): number {
    // The record may have ended since, with what has been read.
    this.#advance(cursor, 0);
    const { options, records } = this.#queue;
    const { record, offset, position } = cursor;
    const index = record - this.#firstRecord;
    if (index >= records.count) return 0;
    if (options.framing !== 'bytes') return records.at(index) - offset;
    return records.totalBytes - (position + offset - this.#firstPosition);
  }

  #advance(cursor: Cursor, length: number): void {
    const { records, tailWriter } = this.#queue;
    cursor.offset += length;
    for (;;) {
      const index = cursor.record - this.#firstRecord;
      if (index >= records.count || cursor.offset < records.at(index)) return;
      // A record that goes through in pieces has more to come.
      if (index === records.count - 1 && tailWriter !== null) return;
      cursor.offset -= records.at(index);
      cursor.position += records.at(index);
      cursor.record++;
    }
  }

  #takeRest(cursor: Cursor, uio: ReadUio): number {
    const rest = cursor.rest!;
    const length = Math.min(uio.residual, rest.length);
    const error = uio.moveOut(rest, 0, length);
    if (error !== 0) return error;
    const offset = cursor.restOffset;
    this.#queue.readOffset = offset;
    this.#forgetRest(cursor);
    if (length < rest.length) this.#keepRest(cursor, rest.slice(length), offset + length);
    return length;
  }

  /** Gives up the records that every reader has read, and of one that goes through in pieces what all have. */
  #trim(): void {
    const { records } = this.#queue;
    let first = this.#firstRecord + records.count;
    for (const { record } of this.#cursors.values()) first = Math.min(first, record);
    let length = 0;
    for (let index = 0; index < first - this.#firstRecord; index++) length += records.at(index);
    this.#firstRecord = first;
    this.#firstPosition += length;
    this.#queue.consume(length);
    if (this.#queue.tailWriter !== null && records.count === 1) this.#trimTail();
  }

  #trimTail(): void {
    let length = this.#queue.records.first;
    for (const { record, offset } of this.#cursors.values())
      if (record === this.#firstRecord) length = Math.min(length, offset);
    for (const cursor of this.#cursors.values()) {
      if (cursor.record !== this.#firstRecord) continue;
      cursor.position += length;
      cursor.offset -= length;
    }
    this.#firstPosition += length;
    this.#queue.consume(length);
  }

  firstDropped(length: number): void {
    for (const cursor of this.#cursors.values()) {
      if (cursor.record !== this.#firstRecord) continue;
      const { framing } = this.#queue.options;
      // Lines and records come whole: who has begun one gets the rest of it.
      if (cursor.offset > 0 && framing !== 'bytes')
        this.#keepRest(
          cursor,
          this.#queue.ring.peek(length).slice(cursor.offset),
          this.#queue.ringOffset + cursor.offset,
        );
      cursor.record++;
      cursor.offset = 0;
      cursor.position += length;
    }
    this.#firstRecord++;
    this.#firstPosition += length;
  }

  #keepRest(cursor: Cursor, rest: Uint8Array, offset: number): void {
    if (rest.length === 0 || this.#queue.hold(rest.length) !== 0) return;
    this.heldBytes += rest.length;
    cursor.rest = rest;
    cursor.restOffset = offset;
  }

  #forgetRest(cursor: Cursor): void {
    const length = cursor.rest?.length ?? 0;
    cursor.rest = null;
    this.heldBytes -= length;
    this.#queue.unhold(length);
  }

  descriptorClosed(): void {
    // Others have the same records anyway.
  }

  wrote(): void {
    // Who has written does not matter.
  }

  front(): readonly Uint8Array[] {
    return [];
  }

  tailGrew(length: number): void {
    const tail = this.#firstRecord + this.#queue.records.count - 1;
    for (const cursor of this.#cursors.values()) if (cursor.record > tail) cursor.position += length;
  }

  tailGone(): void {
    // Readers that were opened meanwhile have their place behind it.
    const next = this.#firstRecord + this.#queue.records.count;
    for (const cursor of this.#cursors.values()) cursor.record = Math.min(cursor.record, next);
  }

  /** Readers keep their places in the bytes. */
  divided(): void {
    const { records } = this.#queue;
    for (const cursor of this.#cursors.values()) {
      const place = cursor.position + cursor.offset;
      let offset = place - this.#firstPosition;
      let index = 0;
      while (index < records.count && offset >= records.at(index)) offset -= records.at(index++);
      cursor.record = this.#firstRecord + index;
      cursor.offset = offset;
      cursor.position = place - offset;
    }
  }

  end(): void {
    for (const cursor of this.#cursors.values()) this.#forgetRest(cursor);
    this.#cursors.clear();
  }

  checkInvariants(): void {
    const { records } = this.#queue;
    let heldBytes = 0;
    for (const { record, offset, position, rest } of this.#cursors.values()) {
      const index = record - this.#firstRecord;
      assert(index >= 0 && index <= records.count, 'a reader has its place in the ring, or behind it');
      assert(
        index < records.count ? offset <= records.at(index) : offset === 0,
        'a place lies in its record',
      );
      let before = this.#firstPosition;
      for (let at = 0; at < index; at++) before += records.at(at);
      assert(position === before, 'a reader knows the bytes before its record');
      heldBytes += rest?.length ?? 0;
    }
    assert(heldBytes === this.heldBytes, 'the memory of readers adds up');
  }
}
