import type { Credentials } from '../kern/credentials.ts';
import { EAGAIN, EBADF, EINVAL, ENOMEM } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import type { Operation } from '../kern/operation.ts';
import type { ReadUio, WriteUio } from '../kern/uio.ts';
import type { Work } from '../kern/work.ts';
import { applyChanges, type ChangeSource } from './changes.ts';
import { handleOf, type KqueueHandle } from './handle.ts';
import type { Change, Kevent } from './kevent.ts';
import { collect, type EventSink } from './scan.ts';
import { parseReadTimeout, type ReadTimeout } from './read-timeout.ts';
import { formatComplaint, formatLine, isProblem, parseChange } from './text.ts';

/** Longest line, without its newline. */
const LINE_LIMIT_BYTES = 4096;
const TOO_LONG = `line longer than ${LINE_LIMIT_BYTES} bytes`;
const NEWLINE = 0x0a;
const noRest = new Uint8Array(0);

/** About what a byte of a write takes while its changes are applied: a line may have as few as ten. */
const PARSED_BYTES = 16;

/** What a write means: changes, and how long reads wait from now on, or why it means nothing. */
type ParsedWrite = { changes: Change[]; timeout: ReadTimeout | null } | { complaint: string };

/** What a write leaves for the next: what follows its last newline. Nothing when that is too long to be a line's beginning. */
function lastLineOf(bytes: Uint8Array, partialLine: string): string {
  const start = bytes.lastIndexOf(NEWLINE) + 1;
  const before = start === 0 ? partialLine : '';
  if (before.length + bytes.length - start > LINE_LIMIT_BYTES) return '';
  return before + textOf(bytes.subarray(start));
}

/** Lines and bytes that one step reads: some microseconds. */
const STEP_LINES = 16;
const STEP_BYTES = 4096;

/**
 * Reads `bytes`, which go on where `partialLine` ends, as lines. Each line is a string of its own: what a knote keeps of it keeps nothing
 * else in memory.
 */
function* parseWrite(partialLine: string, bytes: Uint8Array): Work<ParsedWrite> {
  const changes: Change[] = [];
  let timeout: ReadTimeout | null = null;
  let rest = partialLine;
  let start = 0;
  let stepEnd = STEP_BYTES;
  for (let number = 1; ; number++) {
    if (number % STEP_LINES === 0 || start >= stepEnd) {
      stepEnd = start + STEP_BYTES;
      yield;
    }
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    if (rest.length + end - start > LINE_LIMIT_BYTES) return { complaint: formatComplaint(number, TOO_LONG) };
    const line = rest + textOf(bytes.subarray(start, end));
    if (newline < 0) return { changes, timeout };
    const result = parseReadTimeout(line) ?? parseChange(line);
    if (result !== null) {
      if (isProblem(result)) return { complaint: formatComplaint(number, result.message) };
      if ('timeoutMs' in result) timeout = result;
      else changes.push(result);
    }
    rest = '';
    start = newline + 1;
  }
}

/**
 * write(2) of lines. A line that no newline ends waits for the next write. Bytes written, which is all; -EINVAL when a line cannot be
 * parsed: then nothing of the write is applied or kept, the beginning of its first line neither, and the next read says why.
 * Changes that fail are read as error lines; without a reader's side the first one fails the write (K18, K19). -ENOMEM when the opener
 * may hold no more.
 */
export function* textWrite(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
  // Others may have their turn while many changes are applied.
  const heldBytes = PARSED_BYTES * uio.residual;
  if (!file.holdMore(heldBytes)) return -ENOMEM;
  try {
    return yield* applyLines(file, uio, credentials);
  } finally {
    file.holdMore(-heldBytes);
  }
}

function* applyLines(file: File, uio: WriteUio, credentials: Credentials): Operation<number> {
  const handle = handleOf(file)!;
  const length = uio.residual;
  const bytes = new Uint8Array(length);
  const fault = uio.moveIn(bytes, 0, length);
  if (fault !== 0) return fault;
  const registrar = handle.registrar(credentials);
  const { partialLine } = handle;
  // Now, as others may write to this file while many lines are read and applied: theirs go on where this write ends.
  const kept = lastLineOf(bytes, partialLine);
  if (!handle.keepPartialLine(kept)) return -ENOMEM;
  const { slicer } = handle.kqueue.subsystem.kernel;
  const parsed = yield* slicer.runCharged(parseWrite(partialLine, bytes));
  if ('complaint' in parsed) {
    if (handle.partialLine === kept) handle.keepPartialLine('');
    if (handle.hasRoom) handle.store({ text: parsed.complaint });
    return -EINVAL;
  }
  const { changes, timeout } = parsed;
  if (timeout !== null) handle.timeoutMs = timeout.timeoutMs;
  let applied = 0;
  const source: ChangeSource = { read: (count) => changes.slice(applied, (applied += count)) };
  const error = yield* applyChanges(handle.kqueue, source, changes.length, handle, registrar);
  if (error === 0) return length;
  if (handle.partialLine === kept) handle.keepPartialLine('');
  return error;
}

/** The lines that a read takes: whole ones, or the beginning of one for a caller that asks for less. */
class LineSink implements EventSink {
  readonly #handle: KqueueHandle;
  readonly #uio: ReadUio;
  readonly #credentials: Credentials;
  #isEmpty = true;

  constructor(handle: KqueueHandle, uio: ReadUio, credentials: Credentials) {
    this.#handle = handle;
    this.#uio = uio;
    this.#credentials = credentials;
  }

  /** A rest too: another thread of the process may have begun a line while this one slept. */
  get hasOther(): boolean {
    return this.#handle.recordCount > 0 || this.#handle.restFor(this.#credentials) !== null;
  }

  store(events: readonly Kevent[]): number {
    let stored = 0;
    for (const event of events) {
      const result = this.#storeLine(bytesOf(formatLine(event)));
      if (result <= 0) return stored > 0 || !this.#isEmpty ? stored : result;
      stored++;
    }
    return stored;
  }

  /** Hands over lines about changes, as many as fit. 0 or a negative errno. */
  takeRecords(): number {
    for (;;) {
      const record = this.#handle.firstRecord;
      if (record === null) return 0;
      const result = this.#storeLine(bytesOf('text' in record ? record.text : formatLine(record)));
      if (result <= 0) return result;
      this.#handle.dropRecord();
    }
  }

  /** Goes on with a line that this caller has begun to read. 0 or a negative errno. */
  takeRest(rest: Uint8Array): number {
    const length = Math.min(rest.length, this.#uio.residual);
    const fault = this.#uio.moveOut(rest, 0, length);
    if (fault !== 0) return fault;
    this.#handle.setRest(this.#credentials, rest.subarray(length));
    return 0;
  }

  /** 1 when the line was taken, 0 when there is no room for it, or a negative errno. */
  #storeLine(line: Uint8Array): number {
    const { residual } = this.#uio;
    if (line.length > residual && !this.#isEmpty) return 0;
    const length = Math.min(line.length, residual);
    if (length < line.length && !this.#handle.setRest(this.#credentials, line.subarray(length)))
      return -ENOMEM;
    const fault = this.#uio.moveOut(line, 0, length);
    if (fault !== 0) {
      this.#handle.setRest(this.#credentials, noRest);
      return fault;
    }
    this.#isEmpty = false;
    return 1;
  }
}

/**
 * read(2) of lines: the rest of one that the caller has begun, or lines about changes, or events, for which it waits. A caller that
 * reads a line in pieces gets all of it, also when others read meanwhile. Bytes read, 0 when a time-out has ended the wait, or -EAGAIN, -EINTR, -EFAULT.
 */
export function* textRead(file: File, uio: ReadUio, credentials: Credentials): Operation<number> {
  if (uio.residual === 0) return 0;
  const handle = handleOf(file)!;
  if (!file.readable) return -EBADF;
  const { kqueue } = handle;
  const requested = uio.residual;
  const sink = new LineSink(handle, uio, credentials);
  kqueue.hold();
  let error = 0;
  while (uio.residual === requested && error === 0) {
    const rest = handle.restFor(credentials);
    if (rest !== null) {
      error = sink.takeRest(rest);
      continue;
    }
    if (handle.recordCount > 0) {
      error = sink.takeRecords();
      continue;
    }
    const collected = yield* collect(kqueue, sink, Infinity, file.nonBlocking ? 0 : handle.timeoutMs);
    if (collected < 0) error = collected;
    else if (collected === 0 && !sink.hasOther) {
      // The time has passed, or there is none to wait.
      if (file.nonBlocking) error = -EAGAIN;
      break;
    }
  }
  kqueue.release();
  const moved = requested - uio.residual;
  return moved > 0 ? moved : error;
}

/** One character a byte, as names are kept: what a caller wrote comes back as it was. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** A line, which is short enough to be passed as arguments. */
function textOf(bytes: Uint8Array): string {
  return Reflect.apply(String.fromCharCode, null, bytes) as string;
}
