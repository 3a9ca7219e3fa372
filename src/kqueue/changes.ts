import { EFAULT } from '../kern/errno.ts';
import { type Operation, pause } from '../kern/operation.ts';
import { type Change, EV_ERROR, EV_RECEIPT, EV_SYSFLAGS, type Kevent } from './kevent.ts';
import type { Kqueue } from './kqueue.ts';
import { type Registrar, register } from './register.ts';
import { UNDECIDED } from './resolver.ts';
import { BATCH_SIZE } from './scan.ts';

/** How long one call goes on with its changes, in milliseconds, before others have their turn. */
export const SLICE_MS = 0.5;

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
 * Applies a change list in order, a batch at a time (the first half of kern_kevent; K13 to K22, K124). 0, or the negative errno
 * that the whole call fails with: the rest of the list is not applied then.
 */
export function* applyChanges(
  kqueue: Kqueue,
  source: ChangeSource,
  count: number,
  sink: RecordSink,
  registrar: Registrar,
): Operation<number> {
  const { callouts } = kqueue.subsystem.kernel;
  let sliceEndMs = callouts.nowMs() + SLICE_MS;
  for (let left = count; left > 0; left -= BATCH_SIZE) {
    const batch = source.read(Math.min(left, BATCH_SIZE));
    if (batch === null) return -EFAULT;
    for (const change of batch) {
      if (callouts.nowMs() > sliceEndMs) {
        yield* pause(kqueue.subsystem.writers);
        sliceEndMs = callouts.nowMs() + SLICE_MS;
      }
      let error = applyChange(kqueue, change, sink, registrar);
      if (error === UNDECIDED) {
        yield* decide(kqueue, change, registrar);
        error = applyChange(kqueue, change, sink, registrar);
      }
      if (error !== 0) return error;
    }
  }
  return 0;
}

/** After UNDECIDED: the change can then be applied. */
function decide(kqueue: Kqueue, change: Change, { credentials }: Registrar): Operation<void> {
  return kqueue.subsystem.environment.resolver.decide(change.ident as number, credentials);
}

/**
 * Applies one change, and stores a record if it failed or asked for one; 0, or what the whole call fails with. UNDECIDED when nothing
 * was done, as it has to be found out which file a descriptor is.
 */
function applyChange(kqueue: Kqueue, change: Change, sink: RecordSink, registrar: Registrar): number {
  change.flags &= ~EV_SYSFLAGS;
  const wantsReceipt = (change.flags & EV_RECEIPT) !== 0;
  const error = register(kqueue, change, registrar);
  if (error === UNDECIDED || (error === 0 && !wantsReceipt)) return error;
  // Without room an error fails the call, and a receipt is left out (K19, KB1).
  if (!sink.hasRoom) return error;
  change.flags = EV_ERROR;
  change.data = error === 0 ? 0 : -error;
  if (sink.store(change)) return 0;
  return error !== 0 ? error : -EFAULT;
}
