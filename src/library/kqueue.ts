import type { Timespec } from '../kern/clock.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EBADF, EINVAL, errnoName, negatedErrno } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { EVFILT_TIMER, EVFILT_USER } from '../kern/klist.ts';
import { kevent } from '../kqueue/call.ts';
import { createKqueue } from '../kqueue/file.ts';
import { handleOf } from '../kqueue/handle.ts';
import { type Change, EV_ERROR, Given, type Kevent, NOTE_FFCOPY, NOTE_TRIGGER } from '../kqueue/kevent.ts';
import type { Kqueue as EngineKqueue } from '../kqueue/kqueue.ts';
import { register } from '../kqueue/register.ts';
import { collect } from '../kqueue/scan.ts';
import { filterName, filterNumbers, flagOptions, formatFlags, verbFlags } from '../kqueue/words.ts';
import { IpcError } from './error.ts';
import { PipeEnd } from './pipe.ts';
import { IpcSystem, thisProcess, type WaitOptions } from './system.ts';

/** What is watched: an end of a pipe or another kqueue by `read` and `write`; a number of your choice by `timer` and `user`. */
export type KqueueIdent = PipeEnd | Kqueue | number;
export type KqueueFilter = 'read' | 'write' | 'timer' | 'user';
export type KqueueAction = 'add' | 'delete' | 'enable' | 'disable' | 'modify';
export type KqueueFlag = 'oneshot' | 'clear' | 'dispatch' | 'disable' | 'enable';
/** Comes back with the event, unchanged. */
export type KqueueToken = number | bigint | string;

/** One change of what is watched (struct kevent). */
export interface KqueueChange {
  /**
   * `add` when it is not given. `add` of a registration that exists replaces its values and keeps its flags; `modify` changes only what it
   * mentions.
   */
  readonly action?: KqueueAction;
  readonly filter: KqueueFilter;
  readonly ident: KqueueIdent;
  /**
   * `oneshot` deletes it once it was reported, `clear` reports it again only when something new happens, `dispatch` disables it
   * once it was reported.
   */
  readonly flags?: readonly KqueueFlag[];
  /** Of a timer: its period in milliseconds, 1 or more; it is reported every period, unless it is `oneshot`. */
  readonly periodMs?: number;
  /** Of a user event: makes it happen. */
  readonly trigger?: boolean;
  /** Of a user event: replaces the 24 bits that come with it. */
  readonly bits?: number;
  readonly token?: KqueueToken;
}

/** Something that has happened. */
export interface KqueueEvent {
  readonly filter: KqueueFilter;
  readonly ident: KqueueIdent;
  /** `read`: bytes that can be read; `write`: room; `timer`: expirations since the last report. */
  readonly data: number;
  /** `read` and `write`: the other end is closed. */
  readonly endOfFile: boolean;
  /** Of a user event. */
  readonly bits: number;
  /** As the change set it; 0 when it set none. */
  readonly token: KqueueToken;
}

/** A change that `kevent` could not apply. */
export interface KqueueRefusal {
  /** ENOENT and so on: see `Kqueue.change`. */
  readonly code: string;
  readonly filter: KqueueFilter;
  readonly ident: KqueueIdent;
  readonly token: KqueueToken;
}

/** What one kevent(2) gives: refused changes, or events, never both. */
export interface KqueueResult {
  readonly refused: readonly KqueueRefusal[];
  readonly events: readonly KqueueEvent[];
}

export interface KqueueOptions {
  /** The system of what it watches; `IpcSystem.shared` when it is not given. */
  readonly system?: IpcSystem;
}

export interface KqueueWait extends WaitOptions {
  /** At most so many events, 1 or more; 64 when it is not given. */
  readonly count?: number;
  /** How long to wait for the first event: 0 takes what is pending, without it the wait has no end. */
  readonly timeoutMs?: number;
}

const DEFAULT_COUNT = 64;
const LARGEST_BITS = 0x00ff_ffff;

/** DragonFly's kqueue (kqueue(2), kevent(2); kern_event.c). */
export class Kqueue {
  /** @internal */
  readonly descriptor: number;
  readonly #system: IpcSystem;
  readonly #file: File;
  readonly #kqueue: EngineKqueue;
  readonly #caller: Credentials = thisProcess();
  #isClosed = false;

  constructor({ system = IpcSystem.shared }: KqueueOptions = {}) {
    this.#system = system;
    // The system numbers the file when it is open: kqueue(2) needs no table.
    const file = createKqueue(system.kqueues, { allocate: () => 0 }, this.#caller);
    if (typeof file === 'number') throw new IpcError(file, 'kqueue');
    this.#file = file;
    this.#kqueue = handleOf(file)!.kqueue;
    this.descriptor = system.open(file, this);
  }

  /** Events that are pending. */
  get pendingCount(): number {
    return this.#kqueue.count;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Applies changes in their order (K37 to K57). Throws an IpcError (kevent) at the first that fails, and those after it are not
   * applied: ENOENT (what is changed or deleted is not watched), EBADF (a closed end, or one of another system), EPIPE (`write` of
   * an end whose other end is closed), EINVAL (the filter cannot watch that, or a value is out of range), ENOMEM
   * (`kern.kq_calloutmax` timers are there).
   */
  change(...changes: readonly KqueueChange[]): void {
    this.#use();
    const registrar = { credentials: this.#caller, openerPid: this.#caller.pid };
    try {
      for (const change of changes) {
        const error = register(this.#kqueue, this.#encode(change), registrar);
        if (error !== 0) throw new IpcError(error, 'kevent', `${change.action ?? 'add'} ${change.filter}`);
      }
    } finally {
      this.#system.settle();
    }
  }

  /**
   * Waits for events, and takes up to `count` of them, oldest first (K23 to K35). None when the time has passed. Fails with EINTR
   * when `signal` ends it, EBADF when the kqueue is closed, EINVAL for a count or time that is none.
   */
  async wait(options: KqueueWait = {}): Promise<KqueueEvent[]> {
    this.#use();
    const { count = DEFAULT_COUNT, timeoutMs } = options;
    checkWait(count, timeoutMs);
    const events: Kevent[] = [];
    const isClosed = (): boolean => this.#isClosed;
    const sink = {
      get hasOther() {
        return isClosed();
      },
      store: (batch: readonly Kevent[]) => {
        events.push(...batch);
        return batch.length;
      },
    };
    await this.#system.run('kevent', () => collect(this.#kqueue, sink, count, timeoutMs ?? null), options);
    this.#use();
    return events.map((event) => this.#decode(event));
  }

  /**
   * kevent(2): applies every change in turn, then waits for events as `wait` does, with no other call in between (K12 to K36). A
   * change that fails is reported, those after it are applied, and the call then waits for nothing. Fails as `wait` does.
   */
  async kevent(changes: readonly KqueueChange[], options: KqueueWait = {}): Promise<KqueueResult> {
    this.#use();
    const { count = DEFAULT_COUNT, timeoutMs } = options;
    checkWait(count, timeoutMs);
    const encoded = changes.map((change) => this.#encode(change));
    let taken = 0;
    const records: Kevent[] = [];
    const call = {
      changes: { read: (wanted: number) => encoded.slice(taken, (taken += wanted)) },
      changeCount: encoded.length,
      eventCount: Math.max(count, encoded.length),
      storeEvents: (batch: readonly Kevent[]) => {
        records.push(...batch.map((record) => ({ ...record })));
        return true;
      },
      timeout: timeoutMs === undefined ? null : () => timespecOf(timeoutMs),
    };
    await this.#system.run('kevent', () => kevent(this.#file, call, this.#caller), options);
    const isRefusal = ({ flags }: Kevent): boolean => (flags & EV_ERROR) !== 0;
    return {
      refused: records.filter(isRefusal).map((record) => {
        const { filter, ident, token } = this.#decode(record);
        return { code: errnoName(negatedErrno(Number(record.data))), filter, ident, token };
      }),
      events: records.filter((record) => !isRefusal(record)).map((record) => this.#decode(record)),
    };
  }

  /** Every event, until the kqueue is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<KqueueEvent, void, undefined> {
    while (!this.#isClosed) {
      try {
        yield* await this.wait();
      } catch (error) {
        if (this.#isClosed) return;
        throw error;
      }
    }
  }

  /** Ends everything that it watches. Waits on it fail with EBADF. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#kqueue.channel.wakeup();
    await this.#system.close(this.descriptor);
  }

  #use(): void {
    if (this.#isClosed) throw new IpcError(-EBADF, 'kevent');
  }

  #encode({
    action = 'add',
    filter,
    ident,
    flags = [],
    periodMs,
    trigger,
    bits,
    token,
  }: KqueueChange): Change {
    const number = filterNumbers.get(filter);
    const verb = verbFlags.get(action);
    const isNumber = number === EVFILT_TIMER || number === EVFILT_USER;
    if (number === undefined || verb === undefined || isNumber !== (typeof ident === 'number')) {
      throw new IpcError(-EINVAL, 'kevent', `${action} ${filter}`);
    }
    if (
      (periodMs !== undefined && !(periodMs >= 1)) ||
      (bits !== undefined && !(bits >= 0 && bits <= LARGEST_BITS))
    ) {
      throw new IpcError(-EINVAL, 'kevent', `${action} ${filter}`);
    }
    let given: number = action === 'add' ? Given.Everything : Given.Nothing;
    if (periodMs !== undefined) given |= Given.Data;
    if (bits !== undefined || trigger === true) given |= Given.Fflags;
    if (token !== undefined) given |= Given.Udata;
    return {
      ident: typeof ident === 'number' ? ident : this.#descriptorOf(ident),
      filter: number,
      flags: flags.reduce((sum, flag) => sum | (flagOptions.get(flag) ?? 0), verb),
      fflags: ((trigger === true ? NOTE_TRIGGER : 0) | (bits === undefined ? 0 : NOTE_FFCOPY | bits)) >>> 0,
      data: Math.round(periodMs ?? 0),
      udata: token ?? 0,
      label: null,
      given,
    };
  }

  #descriptorOf(object: PipeEnd | Kqueue): number {
    if (this.#system.ownerOf(object.descriptor) !== object) throw new IpcError(-EBADF, 'kevent');
    return object.descriptor;
  }

  #decode({ filter, ident, data, flags, fflags, udata }: Kevent): KqueueEvent {
    const isNumber = filter === EVFILT_TIMER || filter === EVFILT_USER;
    return {
      filter: filterName(filter) as KqueueFilter,
      ident: isNumber ? (ident as number) : (this.#system.ownerOf(ident as number) as PipeEnd | Kqueue),
      data: Number(data),
      endOfFile: formatFlags(flags).split(',').includes('eof'),
      bits: fflags,
      token: udata,
    };
  }
}

function checkWait(count: number, timeoutMs: number | undefined): void {
  const isTimeValid = timeoutMs === undefined || timeoutMs >= 0;
  if (!Number.isSafeInteger(count) || count < 1 || !isTimeValid) throw new IpcError(-EINVAL, 'kevent');
}

const MS_PER_SECOND = 1000;
const NANOSECONDS_PER_MS = 1_000_000;

function timespecOf(timeoutMs: number): Timespec {
  const seconds = Math.floor(timeoutMs / MS_PER_SECOND);
  return { seconds, nanoseconds: Math.round((timeoutMs - seconds * MS_PER_SECOND) * NANOSECONDS_PER_MS) };
}
