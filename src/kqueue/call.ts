import type { Timespec } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EBADF, EFAULT, EINVAL } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import { applyChanges, type ChangeSource } from './changes.ts';
import type { Kevent } from './kevent.ts';
import { handleOf } from './handle.ts';
import { collect } from './scan.ts';

/** The arguments of kevent(2), with the caller's memory behind functions. */
export interface KeventArguments {
  readonly changes: ChangeSource;
  readonly changeCount: number;
  /** Stores records; false when they cannot be written. */
  readonly storeEvents: (events: readonly Kevent[]) => boolean;
  readonly eventCount: number;
  /** Null waits for ever; a function that returns null stands for memory that cannot be read. */
  readonly timeout: (() => Timespec | null) | null;
  /** False when the call ends after its changes: the rest of the list comes in another one. */
  readonly collects?: boolean;
}

const MS_PER_SECOND = 1000;
const NANOSECONDS_PER_MS = 1_000_000;

/**
 * kevent(2): applies changes, then collects events (sys_kevent, kern_kevent; K9, K12 to K36). The number of records stored, or
 * -EFAULT, -EBADF, -EINVAL, -EINTR, or the error of a change that could not be recorded.
 */
export function* kevent(
  file: File | null,
  call: KeventArguments,
  credentials: Credentials,
): Operation<number> {
  let timeoutMs: number | null = null;
  if (call.timeout !== null) {
    const timeout = call.timeout();
    if (timeout === null) return -EFAULT;
    timeoutMs = timeout.seconds * MS_PER_SECOND + timeout.nanoseconds / NANOSECONDS_PER_MS;
  }
  const handle = file === null ? null : handleOf(file);
  if (handle === null) return -EBADF;
  if (call.changeCount < 0 || call.eventCount < 0) return -EINVAL;
  const { kqueue } = handle;
  let records = 0;
  const sink = {
    get hasRoom() {
      return records < call.eventCount;
    },
    store(record: Kevent) {
      if (!call.storeEvents([record])) return false;
      records++;
      return true;
    },
  };
  kqueue.hold();
  let result = 0;
  if (call.changeCount > 0) {
    const registrar = handle.registrar(credentials);
    result = yield* applyChanges(kqueue, call.changes, call.changeCount, sink, registrar);
  }
  if (result === 0) result = records;
  if (result === 0 && call.collects !== false) {
    const events = {
      store: (batch: readonly Kevent[]) => (call.storeEvents(batch) ? batch.length : -EFAULT),
    };
    result = yield* collect(kqueue, events, call.eventCount, timeoutMs);
  }
  kqueue.release();
  return result;
}
