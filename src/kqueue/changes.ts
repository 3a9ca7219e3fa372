import { EBADF, EFAULT, negatedErrno } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import type { WaitingWork } from '../kern/work.ts';
import { type Change, EV_ERROR, EV_RECEIPT, EV_SYSFLAGS, type Kevent } from './kevent.ts';
import type { Kqueue } from './kqueue.ts';
import { ForeignFile } from './foreign/foreign-file.ts';
import { type Registrar, register } from './register.ts';
import { ELSEWHERE, UNDECIDED } from './resolver.ts';
import { BATCH_SIZE } from './scan.ts';

/** A change list in the caller's memory. */
export interface ChangeSource {
  /** The next `count` changes, or null when they cannot be read. */
  read(count: number): readonly Change[] | null;
}

/** Where records about changes go: errors and receipts. */
export interface RecordSink {
  readonly hasRoom: boolean;
  /** False when the record cannot be stored. */
  store(record: Kevent): boolean;
}

/**
 * Applies a change list in order, a batch at a time, and in slices (the first half of kern_kevent; K13 to K22, K124). 0, or the negative
 * errno that the whole call fails with: the rest of the list is not applied then.
 */
export function* applyChanges(
  kqueue: Kqueue,
  source: ChangeSource,
  count: number,
  sink: RecordSink,
  registrar: Registrar,
): Operation<number> {
  if (count !== 1) {
    const { slicer } = kqueue.subsystem.kernel;
    return yield* slicer.runCharged(applyingChanges(kqueue, source, count, sink, registrar));
  }
  // Most calls make one change, which is one step: they cost no more than that.
  const batch = source.read(1);
  if (batch === null) return -EFAULT;
  const [change] = batch as [Change];
  let error = applyChange(kqueue, change, sink, registrar);
  for (let left = MOST_LOOKS; isOpen(error); left--) {
    yield* findOut(kqueue, change, left === 0 ? 0 : error, registrar);
    error = applyChange(kqueue, change, sink, registrar);
  }
  return error;
}

/** One change a step: it may look into /proc, or walk a long path. */
function* applyingChanges(
  kqueue: Kqueue,
  source: ChangeSource,
  count: number,
  sink: RecordSink,
  registrar: Registrar,
): WaitingWork<number> {
  for (let left = count; left > 0; left -= BATCH_SIZE) {
    if (left < count) yield;
    const batch = source.read(Math.min(left, BATCH_SIZE));
    if (batch === null) return -EFAULT;
    for (const change of batch) {
      if (change !== batch[0]) yield;
      let error = applyChange(kqueue, change, sink, registrar);
      for (let left = MOST_LOOKS; isOpen(error); left--) {
        yield findOut(kqueue, change, left === 0 ? 0 : error, registrar);
        error = applyChange(kqueue, change, sink, registrar);
      }
      if (error !== 0) return error;
    }
  }
  return 0;
}

/** How often it is found out what a descriptor is that another thread replaces meanwhile. */
const MOST_LOOKS = 4;

/** Whether it has to be found out what the ident leads to. */
function isOpen(error: number): boolean {
  return error === UNDECIDED || error === ELSEWHERE;
}

/** After UNDECIDED or ELSEWHERE: the change can then be applied, unless the descriptor has been replaced meanwhile. 0: it is EBADF. */
function* findOut(kqueue: Kqueue, change: Change, error: number, registrar: Registrar): Operation<void> {
  const { environment, foreign } = kqueue.subsystem;
  if (error === 0) {
    change.location = { file: -EBADF, reason: 'it is replaced again and again', insidePath: null };
  } else if (error === UNDECIDED) {
    yield* environment.resolver.decide(change.ident as number, registrar.credentials);
  } else {
    change.location = yield* foreign!.locate(change.ident as number | string, change.filter, registrar);
  }
}

/**
 * Applies one change, and stores a record if it failed or asked for one; 0, or what the whole call fails with. UNDECIDED or ELSEWHERE
 * when nothing was done, as it has to be found out what the ident leads to.
 */
function applyChange(kqueue: Kqueue, change: Change, sink: RecordSink, registrar: Registrar): number {
  change.flags &= ~EV_SYSFLAGS;
  const wantsReceipt = (change.flags & EV_RECEIPT) !== 0;
  const error = register(kqueue, change, registrar);
  if (isOpen(error)) return error;
  const { location } = change;
  if (location?.file instanceof ForeignFile) location.file.unuse();
  if (error === 0 && !wantsReceipt) return error;
  // Without room an error fails the call, and a receipt is left out (K19, KB1).
  if (!sink.hasRoom) return error;
  change.flags = EV_ERROR;
  change.data = negatedErrno(error);
  change.reason = location?.reason ?? null;
  if (sink.store(change)) return 0;
  return error !== 0 ? error : -EFAULT;
}
