import type { Credentials } from '../kern/credentials.ts';
import { EAGAIN, EBADF, EFAULT, EINVAL, ENOMEM } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import { applyChanges, type ChangeSource } from './changes.ts';
import { handleOf, type KqueueHandle } from './handle.ts';
import type { Change, Kevent } from './kevent.ts';
import { KEVENT_SIZE_BYTES } from './kqueue.ts';
import { decodeChange, encodeEvent, viewOf } from './record.ts';
import { collect, type EventSink } from './scan.ts';

/** The records of a write. */
class RecordSource implements ChangeSource {
  readonly #uio: WriteUio;

  constructor(uio: WriteUio) {
    this.#uio = uio;
  }

  read(count: number): readonly Change[] | null {
    const bytes = new Uint8Array(count * KEVENT_SIZE_BYTES);
    if (this.#uio.moveIn(bytes, 0, bytes.length) !== 0) return null;
    const view = viewOf(bytes);
    return Array.from({ length: count }, (_, index) => decodeChange(view, index * KEVENT_SIZE_BYTES));
  }
}

/**
 * write(2) of records: each is a change; what they have to say is read from the same file. Bytes written, which is less than asked
 * when the rest could not be read; -EINVAL unless the length is a number of records, -EFAULT, -ENOMEM when the
 * opener may hold no more, or the error of a change that
 * could not be recorded (K18).
 */
export function* binaryWrite(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
  const handle = handleOf(file)!;
  const requested = uio.residual;
  if (requested % KEVENT_SIZE_BYTES !== 0) return -EINVAL;
  const count = requested / KEVENT_SIZE_BYTES;
  const registrar = handle.registrar(credentials);
  // They are read as they are applied, with others in between.
  if (!file.holdMore(requested)) return -ENOMEM;
  let error: number;
  try {
    error = yield* applyChanges(handle.kqueue, new RecordSource(uio), count, handle, registrar);
  } finally {
    file.holdMore(-requested);
  }
  if (error === 0) return requested;
  return error === -EFAULT && uio.residual < requested ? requested - uio.residual : error;
}

/** The records that a read takes. */
class RecordSink implements EventSink {
  readonly #handle: KqueueHandle;
  readonly #uio: ReadUio;

  constructor(handle: KqueueHandle, uio: ReadUio) {
    this.#handle = handle;
    this.#uio = uio;
  }

  get hasOther(): boolean {
    return this.#handle.recordCount > 0;
  }

  store(events: readonly Kevent[]): number {
    const bytes = new Uint8Array(events.length * KEVENT_SIZE_BYTES);
    const view = viewOf(bytes);
    events.forEach((event, index) => {
      encodeEvent(event, view, index * KEVENT_SIZE_BYTES);
    });
    const fault = this.#uio.moveOut(bytes, 0, bytes.length);
    return fault === 0 ? events.length : fault;
  }

  /** Hands over the records about changes, as many as the read takes (K17). 0 or a negative errno. */
  takeRecords(): number {
    for (;;) {
      const record = this.#handle.firstRecord;
      if (record === null || 'text' in record || this.#uio.residual < KEVENT_SIZE_BYTES) return 0;
      const stored = this.store([record]);
      if (stored < 0) return stored;
      this.#handle.dropRecord();
    }
  }
}

/**
 * read(2) of records: those about changes if there are any, and otherwise events, for which it waits. Bytes read; -EINVAL when there
 * is no room for one record, -EAGAIN, -EINTR, -EFAULT.
 */
export function* binaryRead(file: File, uio: ReadUio, _credentials: Credentials): Operation<number> {
  if (uio.residual === 0) return 0;
  const handle = handleOf(file)!;
  if (!file.readable) return -EBADF;
  const limit = Math.floor(uio.residual / KEVENT_SIZE_BYTES);
  if (limit === 0) return -EINVAL;
  const { kqueue } = handle;
  const requested = uio.residual;
  const sink = new RecordSink(handle, uio);
  kqueue.hold();
  let error = 0;
  while (uio.residual === requested && error === 0) {
    if (handle.recordCount > 0) {
      error = sink.takeRecords();
      continue;
    }
    const collected = yield* collect(kqueue, sink, limit, file.nonBlocking ? 0 : null);
    if (collected < 0) error = collected;
    else if (collected === 0 && file.nonBlocking && handle.recordCount === 0) error = -EAGAIN;
  }
  kqueue.release();
  const moved = requested - uio.residual;
  return moved > 0 ? moved : error;
}
