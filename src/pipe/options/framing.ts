import type { File } from '../../kern/file.ts';
import type { WriteUio } from '../../kern/uio.ts';
import { Admission } from './overflow.ts';
import type { Framing } from '../pipe-options.ts';
import type { Queue } from './queue.ts';

export const NEWLINE = 10;

/** What `accept` says when the writer has to wait. */
export const MUST_WAIT = 0;
const TAKEN = 1;

/** Where records end. */
export interface FramingRules {
  /** Takes some of a write's bytes, at least one: TAKEN, MUST_WAIT, or a negative errno with nothing taken. */
  accept(queue: Queue, file: File, uio: WriteUio): number;
  /** A write returns. */
  returned(queue: Queue, file: File): void;
}

/** Stores the next bytes as a record: TAKEN, or -ENOMEM, -EFAULT. */
function storeRecord(queue: Queue, uio: WriteUio, length: number): number {
  const error = queue.reserveRecord() || queue.ring.store(uio, length);
  if (error !== 0) return error;
  queue.records.push(length);
  return TAKEN;
}

/** Leaves out the next bytes: they count as dropped. */
function drop(queue: Queue, uio: WriteUio, length: number, records: number): number {
  uio.skip(length);
  queue.dropped(length, records);
  return TAKEN;
}

/** Whether another writer's record goes through the ring in pieces: nothing may come between. */
function isTailTaken(queue: Queue, file: File): boolean {
  return queue.tailWriter !== null && queue.tailWriter !== file;
}

export function admit(queue: Queue, file: File, length: number): Admission {
  if (isTailTaken(queue, file)) return queue.overflow.waits ? Admission.Wait : Admission.Drop;
  return queue.overflow.admit(queue, length);
}

/** Bytes: a record is what is stored at once. Writes of up to PIPE_BUF bytes are atomic (P54), others as far as there is room. */
const bytes: FramingRules = {
  accept(queue, file, uio) {
    const { ring } = queue;
    const { residual } = uio;
    if (residual > ring.size && !queue.overflow.waits) {
      // Of one that no ring could hold, the end is the newest.
      const isKept = queue.options.overflow === 'oldest';
      return drop(queue, uio, isKept ? residual - ring.size : residual, isKept ? 0 : 1);
    }
    switch (admit(queue, file, Math.min(residual, ring.size))) {
      case Admission.Store:
        return storeRecord(queue, uio, Math.min(residual, ring.size));
      case Admission.Drop:
        return drop(queue, uio, residual, 1);
      case Admission.Wait: {
        const room = queue.spaceBytes;
        if (room <= 0 || residual <= queue.end.pair.subsystem.pipeBufBytes) return MUST_WAIT;
        return storeRecord(queue, uio, room);
      }
    }
  },
  returned() {
    // The record has ended with what was stored.
  },
};

/** The newest record gets longer by what there is room for; `length`: what is left of it, or -1 while its end has not come. */
function extendTail(queue: Queue, uio: WriteUio, length: number): number {
  const endsHere = length >= 0;
  const wanted = endsHere ? length : uio.residual;
  if (queue.isTailDropped) {
    drop(queue, uio, wanted, 0);
  } else {
    // There is room for a newline at any time, in case that its writer closes the file.
    const room = queue.spaceBytes >= wanted && endsHere ? wanted : Math.min(wanted, queue.spaceBytes - 1);
    if (room <= 0) return MUST_WAIT;
    const error = queue.ring.store(uio, room);
    if (error !== 0) return error;
    queue.extendTail(room);
    if (room < wanted) return TAKEN;
  }
  if (endsHere) queue.endTail();
  return TAKEN;
}

/** A record that is longer than the ring begins with `begun`, which has been stored before. It goes through in pieces, or is dropped. */
function startTail(queue: Queue, file: File): number {
  if (queue.tailWriter !== null) return MUST_WAIT;
  const begun = queue.lines.of(file);
  if (queue.spaceBytes <= begun.length) return MUST_WAIT;
  const error = queue.reserveRecord() || queue.ring.append(begun);
  if (error !== 0) return error;
  queue.records.push(begun.length);
  queue.tailWriter = file;
  queue.lines.forget(file);
  return TAKEN;
}

/** Records: each write is one. */
const records: FramingRules = {
  accept(queue, file, uio) {
    const { residual } = uio;
    if (queue.tailWriter === file) return extendTail(queue, uio, residual);
    if (residual > queue.ring.size) {
      return queue.overflow.waits ? startTail(queue, file) : drop(queue, uio, residual, 1);
    }
    switch (admit(queue, file, residual)) {
      case Admission.Store:
        return storeRecord(queue, uio, residual);
      case Admission.Drop:
        return drop(queue, uio, residual, 1);
      case Admission.Wait:
        return MUST_WAIT;
    }
  },
  returned(queue, file) {
    // A write that ends early is a shorter record.
    if (queue.tailWriter === file) queue.endTail();
  },
};

/** Lines: a write may have many, and a line may come with many writes. */
const lines: FramingRules = {
  accept(queue, file, uio) {
    const length = uio.lengthUpTo(NEWLINE);
    if (queue.tailWriter === file) return extendTail(queue, uio, length);
    if (queue.lines.isDropped(file)) {
      if (length >= 0) queue.lines.forget(file);
      return drop(queue, uio, length < 0 ? uio.residual : length, 0);
    }
    const begun = queue.lines.of(file);
    const isWhole = length >= 0 && begun.length + length <= queue.ring.size;
    if (!isWhole && length < 0 && begun.length + uio.residual < queue.ring.size) {
      return queue.lines.add(file, uio, uio.residual) || TAKEN;
    }
    if (!isWhole) {
      if (queue.overflow.waits) return startTail(queue, file);
      queue.dropped(begun.length, 1);
      queue.lines.drop(file);
      return TAKEN;
    }
    const admission = admit(queue, file, begun.length + length);
    if (admission === Admission.Wait) return MUST_WAIT;
    if (admission === Admission.Store) return storeLine(queue, file, uio, length);
    queue.dropped(begun.length, 0);
    queue.lines.forget(file);
    return drop(queue, uio, length, 1);
  },
  returned() {
    // A line that is begun goes on with the file's next write.
  },
};

/** Stores the file's line, which ends with the next `length` bytes. There is room for it. */
function storeLine(queue: Queue, file: File, uio: WriteUio, length: number): number {
  const { ring, lines: begun, records: lengths } = queue;
  if (begun.of(file).length === 0) return storeRecord(queue, uio, length);
  // Together or not at all: the bytes join the line first, when nothing can fail any more.
  const error = queue.reserveRecord() || ring.prepare() || begun.add(file, uio, length);
  if (error !== 0) return error;
  const bytes = begun.of(file);
  ring.append(bytes);
  lengths.push(bytes.length);
  begun.forget(file);
  return TAKEN;
}

export const framingRules: Readonly<Record<Framing, FramingRules>> = { bytes, lines, records };
