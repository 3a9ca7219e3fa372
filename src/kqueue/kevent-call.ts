import type { Timespec } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EBADF, EINVAL } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { ReadUio } from '../kern/uio.ts';
import { kevent, type KeventArguments } from './call.ts';
import type { ChangeSource } from './changes.ts';
import type { Change, Kevent } from './kevent.ts';
import { KEVENT_SIZE_BYTES } from './kqueue.ts';
import { decodeChange, encodeEvent, viewOf } from './record.ts';

/**
 * The head of the structure that the ioctl for kevent(2) takes: two counts of 32 bits with a sign, the time-out, flags, and 4 bytes of
 * zeros. The changes follow it. The events take the place of the whole structure.
 */
const Head = {
  changeCount: 0,
  eventCount: 4,
  seconds: 8,
  nanoseconds: 16,
  flags: 24,
  reserved: 28,
  bytes: 32,
} as const;

/** The time-out counts; without this flag the call waits for ever. */
const HAS_TIMEOUT = 1;
/** The change list goes on in another call: this one collects no events. */
const CHANGES_GO_ON = 2;

/** The changes behind the head, a batch at a time. */
class ListedChanges implements ChangeSource {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = viewOf(bytes);
  }

  read(count: number): readonly Change[] {
    return Array.from({ length: count }, () => {
      const change = decodeChange(this.#view, this.#at);
      this.#at += KEVENT_SIZE_BYTES;
      return change;
    });
  }
}

const NO_CHANGES: ChangeSource = { read: () => [] };

const WORD = 2 ** 32;

/** The 64 bits with a sign at `at`, as near as a number comes: of a time nobody asks for more. */
function signed64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * WORD + view.getUint32(at, true);
}

/**
 * kevent(2) as one ioctl(2): `input` is the structure, and events go to `output` as records. The number of records; -EINVAL for a structure
 * that is none, or whose events would not fit into `output`; -EBADF for changes to a file that cannot be written, and events of one that
 * cannot be read; otherwise as kevent(2).
 */
export function keventCall(
  file: File,
  input: Uint8Array,
  output: ReadUio,
  credentials: Credentials,
): Operation<number> | number {
  if (input.length < Head.bytes) return -EINVAL;
  const view = viewOf(input);
  const changeCount = view.getInt32(Head.changeCount, true);
  const eventCount = view.getInt32(Head.eventCount, true);
  const flags = view.getUint32(Head.flags, true);
  if ((flags & ~(HAS_TIMEOUT | CHANGES_GO_ON)) !== 0 || view.getUint32(Head.reserved, true) !== 0)
    return -EINVAL;
  const changesEnd = Head.bytes + changeCount * KEVENT_SIZE_BYTES;
  if (changeCount < 0 || changesEnd > input.length) return -EINVAL;
  if (eventCount < 0 || eventCount * KEVENT_SIZE_BYTES > output.residual) return -EINVAL;
  if ((changeCount > 0 && !file.writable) || (eventCount > 0 && !file.readable)) return -EBADF;
  const timeout: Timespec = {
    seconds: signed64(view, Head.seconds),
    nanoseconds: signed64(view, Head.nanoseconds),
  };
  const call: KeventArguments = {
    // The request's buffer serves others while changes are applied in slices.
    changes: changeCount === 0 ? NO_CHANGES : new ListedChanges(input.slice(Head.bytes, changesEnd)),
    changeCount,
    storeEvents: (events) => storeRecords(events, output),
    eventCount,
    timeout: (flags & HAS_TIMEOUT) !== 0 ? () => timeout : null,
    collects: (flags & CHANGES_GO_ON) === 0,
  };
  return kevent(file, call, credentials);
}

function storeRecords(events: readonly Kevent[], output: ReadUio): boolean {
  const bytes = new Uint8Array(events.length * KEVENT_SIZE_BYTES);
  const view = viewOf(bytes);
  events.forEach((event, index) => {
    encodeEvent(event, view, index * KEVENT_SIZE_BYTES);
  });
  return output.moveOut(bytes, 0, bytes.length) === 0;
}
