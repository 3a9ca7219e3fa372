import { ENOMEM } from '../../../kern/errno.ts';
import { type ForeignState, Side } from '../../../kern/foreign.ts';
import { closeForeign } from '../descriptors/close-foreign.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import type { SlotNumbers } from './descriptor-table.ts';
import { EpollEntries } from './epoll-entries.ts';
import { copyRefusal, fits, kindOfSocket, noDescriptor, type Refusal, type StreamKind } from './kinds.ts';
import { stateOf } from './stream-state.ts';

/** A process some of whose descriptors are watched. Its pidfd names it for ever, also when another process has its number. */
export class WatchedProcess {
  readonly pid: number;
  readonly pidfd: number;
  readonly token: number;
  readonly streams = new Set<Stream>();

  constructor(pid: number, pidfd: number, token: number) {
    this.pid = pid;
    this.pidfd = pidfd;
    this.token = token;
  }
}

/** One direction of a watched open file: its entry in the epoll set, under a number of its own. */
interface Entry {
  readonly slot: number;
  readonly token: number;
}

/** A socket, a pipe, a terminal of a process. */
export class Stream {
  readonly file: number;
  readonly process: WatchedProcess;
  readonly descriptor: number;
  readonly kind: StreamKind;
  readonly isListening: boolean;
  readonly entries = new Map<number, Entry>();
  /** Sides that were asked for. */
  sides = 0;
  /** How often it was described. */
  descriptionCount = 0;

  constructor(
    file: number,
    process: WatchedProcess,
    descriptor: number,
    kind: StreamKind,
    isListening: boolean,
  ) {
    this.file = file;
    this.process = process;
    this.descriptor = descriptor;
    this.kind = kind;
    this.isListening = isListening;
  }
}

/** What is looked for where a stream of this kind was found. */
function placeKind(kind: StreamKind): StreamKind | 'socket' {
  return kind === 'pipe' || kind === 'terminal' || kind === 'other' ? kind : 'socket';
}

/** Bits of Side that one entry tells of. */
const INPUT = Side.Read | Side.Except;
const INPUT_EVENTS = calls.EPOLLIN | calls.EPOLLPRI | calls.EPOLLRDHUP;

/** Shells save the descriptors that they redirect under numbers from here on. */
const FIRST_SAVED = 10;
const SAVED_COUNT = 16;

/** How many others are looked at when one is found: so those whose descriptors were closed never outnumber the others. */
const SWEEP_COUNT = 2;

/** What has happened to a stream; null state: its descriptor was closed. */
export type TellStream = (stream: Stream, state: ForeignState | null, news: number) => void;

/**
 * Open files of processes, watched through an epoll set. Nobody keeps a copy of a descriptor: an entry of the set lives as long as the open
 * file does, and does not keep it. A copy is taken for a moment to add an entry, to ask for counts, and to find out whether the number still
 * leads to the file: adding it under the entry's number again fails then.
 */
export class Streams {
  readonly #mountDevice: string;
  readonly #entries: EpollEntries;
  readonly #newNumber: () => number;
  readonly #tell: TellStream;
  readonly #processes = new Map<number, WatchedProcess>();
  readonly #streams = new Map<number, Stream>();
  readonly #byPlace = new Map<string, Stream>();
  /** Entries and processes, by token. */
  readonly #byToken = new Map<number, { stream: Stream; sides: number } | WatchedProcess>();
  #lastToken = 0;
  #sweep: Iterator<Stream> | null = null;

  /** `mountDevice`: major:minor of the mount that the server serves. */
  constructor(slots: SlotNumbers, mountDevice: string, newNumber: () => number, tell: TellStream) {
    this.#entries = new EpollEntries(slots);
    this.#mountDevice = mountDevice;
    this.#newNumber = newNumber;
    this.#tell = tell;
  }

  /** Readable when there is something to `take`. */
  get descriptor(): number {
    return this.#entries.descriptor;
  }

  get(file: number): Stream | undefined {
    return this.#streams.get(file);
  }

  /** The stream behind a descriptor, watched on `side` from now on, with its state. `otherPid`: see ForeignRequest. */
  find(
    pid: number,
    otherPid: number,
    descriptor: number,
    expected: StreamKind | 'socket',
    side: number,
  ): { stream: Stream; state: ForeignState } | Refusal {
    for (let left = SWEEP_COUNT; left > 0; left--) this.#sweepNext();
    const process = this.#process(pid);
    if (!(process instanceof WatchedProcess)) return process;
    const found = this.#find(process, otherPid, descriptor, expected, side);
    if (!('stream' in found)) this.#releaseProcess(process);
    return found;
  }

  /** What a stream shows now, told with `news`; it is forgotten when its descriptor was closed. Null then. */
  look(stream: Stream, news: number): ForeignState | null {
    const copy = this.#copyOf(stream);
    if (copy < 0) {
      this.#remove(stream);
      this.#tell(stream, null, 0);
      return null;
    }
    const state = stateOf(copy, stream.kind, stream.isListening, stream.sides);
    libc.close(copy);
    this.#tell(stream, state, news);
    return state;
  }

  /** Tells what has happened. `except`: a stream that is about to be described anyway. */
  takeEvents(except: Stream | null = null): void {
    const news = new Map<Stream, number>();
    for (const token of this.#entries.take()) {
      const found = this.#byToken.get(token);
      if (found instanceof WatchedProcess) this.#ended(found);
      else if (found !== undefined) news.set(found.stream, (news.get(found.stream) ?? 0) | found.sides);
    }
    for (const [stream, sides] of news) {
      if (stream !== except && this.#streams.get(stream.file) === stream) this.look(stream, sides);
    }
  }

  forget(file: number, count: number): void {
    const stream = this.#streams.get(file);
    if (stream === undefined) return;
    stream.descriptionCount -= count;
    if (stream.descriptionCount > 0) return;
    for (const { slot } of stream.entries.values()) {
      const copy = this.#copyAt(stream, slot);
      if (copy < 0) continue;
      this.#entries.remove(copy);
      libc.close(copy);
    }
    this.#remove(stream);
  }

  #find(
    process: WatchedProcess,
    otherPid: number,
    descriptor: number,
    expected: StreamKind | 'socket',
    side: number,
  ): { stream: Stream; state: ForeignState } | Refusal {
    const copy = libc.pidfdGetDescriptor(process.pidfd, descriptor);
    if (copy < 0) return copyRefusal(process.pid);
    if (!fits(expected, copy)) {
      // It may be a file of a file system whose server never answers a close.
      closeForeign(copy);
      return noDescriptor('it has been replaced meanwhile');
    }
    try {
      const kind = expected === 'socket' ? kindOfSocket(copy) : expected;
      if (typeof kind !== 'string') return kind;
      const holder = this.#holder(process, otherPid, descriptor, copy, expected);
      const stream = this.#streamAt(holder, descriptor, copy, kind);
      const error = this.#watch(stream, side, copy);
      if (error !== null) {
        if (stream.entries.size === 0) this.#remove(stream);
        return error;
      }
      stream.descriptionCount++;
      return { stream, state: stateOf(copy, kind, stream.isListening, stream.sides) };
    } finally {
      libc.close(copy);
    }
  }

  /** `otherPid`'s process when its number leads to the same open file, and otherwise `process`. */
  #holder(
    process: WatchedProcess,
    otherPid: number,
    descriptor: number,
    copy: number,
    expected: StreamKind | 'socket',
  ): WatchedProcess {
    if (otherPid === process.pid || otherPid <= 0) return process;
    const other = this.#process(otherPid);
    if (!(other instanceof WatchedProcess)) return process;
    const theirs = libc.pidfdGetDescriptor(other.pidfd, descriptor);
    const isSame = theirs >= 0 && fits(expected, theirs) && this.#entries.areSame(copy, theirs);
    if (theirs >= 0) closeForeign(theirs);
    if (isSame) {
      if (process.streams.size === 0) this.#releaseProcess(process);
      return other;
    }
    this.#releaseProcess(other);
    return process;
  }

  #streamAt(process: WatchedProcess, descriptor: number, copy: number, kind: StreamKind): Stream {
    const place = `${process.pid}:${descriptor}`;
    const known = this.#byPlace.get(place);
    if (known !== undefined) {
      const [entry] = known.entries.values();
      if (this.#entries.isOf(entry!.slot, copy)) return known;
    }
    const isListening = calls.integerOption(copy, calls.SO_ACCEPTCONN) === 1;
    const stream = new Stream(this.#newNumber(), process, descriptor, kind, isListening);
    process.streams.add(stream);
    if (known !== undefined) {
      this.#remove(known);
      this.#tell(known, null, 0);
    }
    this.#streams.set(stream.file, stream);
    this.#byPlace.set(place, stream);
    return stream;
  }

  /** Adds the entry of a side; null, or why not. */
  #watch(stream: Stream, side: number, copy: number): Refusal | null {
    const sides = (side & INPUT) !== 0 || (side & Side.Notes) !== 0 ? INPUT : Side.Write;
    stream.sides |= side;
    if (stream.entries.has(sides)) return null;
    const token = ++this.#lastToken;
    const slot = this.#entries.add(copy, sides === INPUT ? INPUT_EVENTS : calls.EPOLLOUT, token);
    if (slot < 0) {
      return { errno: -ENOMEM, reason: 'the server can watch no more: raise its limit of open files' };
    }
    stream.entries.set(sides, { slot, token });
    this.#byToken.set(token, { stream, sides });
    // What the set says at once of a file that is ready is no news.
    this.takeEvents(stream);
    return null;
  }

  /** A copy of what the stream's number leads to, or -1 when that is not the stream's file any more. */
  #copyOf(stream: Stream): number {
    const [entry] = stream.entries.values();
    return entry === undefined ? -1 : this.#copyAt(stream, entry.slot);
  }

  #copyAt(stream: Stream, slot: number): number {
    const copy = libc.pidfdGetDescriptor(stream.process.pidfd, stream.descriptor);
    if (copy < 0) return -1;
    if (fits(placeKind(stream.kind), copy)) return this.#entries.moveTo(slot, copy);
    const isRedirected = calls.statusOfDescriptor(copy)?.device === this.#mountDevice;
    closeForeign(copy);
    return isRedirected ? this.#savedCopyAt(stream, slot) : -1;
  }

  /** The same where the number leads to a file of the mount: in `read event <&3` a shell keeps its standard input under another number. */
  #savedCopyAt(stream: Stream, slot: number): number {
    for (let number = FIRST_SAVED; number < FIRST_SAVED + SAVED_COUNT; number++) {
      const copy = libc.pidfdGetDescriptor(stream.process.pidfd, number);
      if (copy < 0) continue;
      if (!fits(placeKind(stream.kind), copy)) {
        closeForeign(copy);
        continue;
      }
      const found = this.#entries.moveTo(slot, copy);
      if (found >= 0) return found;
    }
    return -1;
  }

  #process(pid: number): WatchedProcess | Refusal {
    const known = this.#processes.get(pid);
    if (known !== undefined) return known;
    const pidfd = libc.pidfdOpen(pid);
    if (pidfd < 0) return copyRefusal(pid);
    if (!this.#entries.keeps(pidfd))
      return { errno: -ENOMEM, reason: 'the server watches too many processes' };
    const process = new WatchedProcess(pid, pidfd, ++this.#lastToken);
    this.#entries.addKept(pidfd, process.token);
    this.#processes.set(pid, process);
    this.#byToken.set(process.token, process);
    return process;
  }

  #releaseProcess(process: WatchedProcess): void {
    if (process.streams.size > 0 || this.#processes.get(process.pid) !== process) return;
    this.#processes.delete(process.pid);
    this.#byToken.delete(process.token);
    libc.close(process.pidfd);
  }

  /** All descriptors of a process that has ended are closed. */
  #ended(process: WatchedProcess): void {
    for (const stream of [...process.streams]) {
      this.#remove(stream);
      this.#tell(stream, null, 0);
    }
    this.#releaseProcess(process);
  }

  #remove(stream: Stream): void {
    if (!this.#streams.delete(stream.file)) return;
    const place = `${stream.process.pid}:${stream.descriptor}`;
    if (this.#byPlace.get(place) === stream) this.#byPlace.delete(place);
    for (const { slot, token } of stream.entries.values()) {
      this.#byToken.delete(token);
      this.#entries.giveSlot(slot);
    }
    stream.process.streams.delete(stream);
    this.#releaseProcess(stream.process);
  }

  #sweepNext(): void {
    this.#sweep ??= this.#streams.values();
    const next = this.#sweep.next();
    if (next.done === true) {
      this.#sweep = null;
      return;
    }
    const copy = this.#copyOf(next.value);
    if (copy >= 0) {
      libc.close(copy);
      return;
    }
    this.#remove(next.value);
    this.#tell(next.value, null, 0);
  }
}
