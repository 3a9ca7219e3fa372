import type { Credentials } from '../kern/credentials.ts';
import { EBADF, EINTR } from '../kern/errno.ts';
import type { File } from '../kern/file.ts';
import { POLLHUP, POLLIN, POLLOUT, Poller } from '../kern/poll.ts';
import { MemoryReadUio, WriteUio } from '../kern/uio.ts';
import { pipe2, PIPE2_NONBLOCK, pipeInfo, pipeStat, type RingInfo } from '../pipe/anonymous.ts';
import type { PipeEnd as EngineEnd } from '../pipe/end.ts';
import { dateOf } from './date.ts';
import { checked, IpcError } from './error.ts';
import { IpcSystem, pipeIdOf, thisProcess, type WaitOptions } from './system.ts';

export interface PipeOptions {
  /** The system that it belongs to; `IpcSystem.shared` when it is not given. */
  readonly system?: IpcSystem;
  /** Calls that would wait fail with EAGAIN, or return what they could do (O_NONBLOCK). */
  readonly nonBlocking?: boolean;
}

/** What can be done with an end without waiting. */
export interface PipeReadiness {
  /** There are bytes, or the end of the stream. */
  readonly readable: boolean;
  /** A write of `kern.ipc.pipe_buf` bytes would be taken, or fail at once. */
  readonly writable: boolean;
  /** The other end is closed. */
  readonly hungUp: boolean;
}

/** What fstat(2) says of an end (P108). */
export interface PipeStat {
  /** S_IFIFO: an end has no permission bits. */
  readonly mode: number;
  /** Bytes that a reader could take now. */
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** In units of `blockSizeBytes`. */
  readonly blocks: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: number;
  readonly accessTime: Date;
  readonly modificationTime: Date;
  readonly changeTime: Date;
}

/** FreeBSD's bidirectional pipe (pipe(2); sys_pipe.c): what is written to one end is read from the other, both ways. */
export class Pipe {
  readonly ends: readonly [PipeEnd, PipeEnd];
  /** What a policy knows the pipe by: the inode number of its first end. */
  readonly id: number;

  /** Throws an IpcError (pipe2): ENOMEM when the system's budget for pipes (`kern.ipc.maxpipekva`) is used up (P1 to P12). */
  constructor({ system = IpcSystem.shared, nonBlocking = false }: PipeOptions = {}) {
    const caller = thisProcess();
    // The ends number themselves in this system when they are made: pipe2 needs no table.
    const table = { allocate: () => 0, release: () => undefined, store: () => 0 };
    const files = pipe2(system.pipes, table, nonBlocking ? PIPE2_NONBLOCK : 0, caller);
    if (typeof files === 'number') throw new IpcError(files, 'pipe2');
    this.ends = [new PipeEnd(system, files[0], caller), new PipeEnd(system, files[1], caller)];
    this.id = pipeIdOf((files[0].data as EngineEnd).pair);
  }

  /** Closes both ends. */
  async close(): Promise<void> {
    await Promise.all(this.ends.map((end) => end.close()));
  }
}

/** One end of a pipe. A call on an end that was closed fails with EBADF. */
export class PipeEnd implements AsyncIterable<Uint8Array> {
  /** The number by which kqueues of the same system know it. @internal */
  readonly descriptor: number;
  readonly #system: IpcSystem;
  readonly #file: File;
  readonly #credentials: Credentials;
  #isClosed = false;

  /** @internal */
  constructor(system: IpcSystem, file: File, credentials: Credentials) {
    this.#system = system;
    this.#file = file;
    this.#credentials = credentials;
    this.descriptor = system.open(file, this);
  }

  /** Bytes that a read would get now (FIONREAD). */
  get queuedBytes(): number {
    return this.#isClosed ? 0 : this.#end.queuedBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Where bytes lie in the ring that this end reads from (P110). */
  get ring(): RingInfo {
    return pipeInfo(this.#end);
  }

  /** fstat(2). Throws EBADF once the end is closed, and what the system's policy refuses with. */
  stat(): PipeStat {
    this.#use('fstat');
    const stat = pipeStat(this.#end, this.#credentials);
    if (typeof stat === 'number') throw new IpcError(stat, 'fstat');
    const { mode, sizeBytes, blockSizeBytes, blocks, uid, gid, inode, times } = stat;
    return {
      mode,
      sizeBytes,
      blockSizeBytes,
      blocks,
      uid,
      gid,
      inode,
      accessTime: dateOf(times.accessed),
      modificationTime: dateOf(times.modified),
      changeTime: dateOf(times.changed),
    };
  }

  /**
   * Reads up to `maximumBytes`, and waits for the first of them: none is the end of the stream (read(2); P33 to P50). Fails with
   * EINTR when `signal` ends it, EAGAIN.
   */
  async read(maximumBytes: number, options: WaitOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    this.#use('read');
    const buffer = new Uint8Array(maximumBytes);
    const uio = new MemoryReadUio([buffer]);
    const count = await this.#system.run(
      'read',
      () => this.#file.ops.read(this.#file, uio, this.#credentials),
      options,
    );
    return buffer.subarray(0, count);
  }

  /**
   * Writes all of it, and returns how many bytes were written: fewer when `signal` ended the call, or without blocking (write(2);
   * P51 to P80). Text is written as UTF-8. Up to `kern.ipc.pipe_buf` bytes are written in one piece; from `kern.ipc.pipe_mindirect`
   * on they go to the reader directly, and must not be changed before the call has ended. Fails with EPIPE when the other end is
   * closed, EINTR with nothing written, EAGAIN.
   */
  async write(data: Uint8Array | string, options: WaitOptions = {}): Promise<number> {
    this.#use('write');
    const uio = new WriteUio([typeof data === 'string' ? new TextEncoder().encode(data) : data]);
    return this.#system.run('write', () => this.#file.ops.write(this.#file, uio, this.#credentials), options);
  }

  /** What could be done now (poll(2) with a time-out of 0). */
  poll(): PipeReadiness {
    return readiness(this.#look(null));
  }

  /**
   * Waits until it can be read, or with `'write'` written, or the other end is closed (poll(2); P82 to P91). Fails with EINTR when
   * `signal` ends it.
   */
  async ready(what: 'read' | 'write', { signal }: WaitOptions = {}): Promise<PipeReadiness> {
    for (;;) {
      if (signal?.aborted === true) throw new IpcError(-EINTR, 'poll');
      let onChange = (): void => undefined;
      const changed = new Promise<void>((resolve) => (onChange = resolve));
      const poller = new Poller(onChange);
      const found = readiness(this.#look(poller));
      if (found.hungUp || (what === 'read' ? found.readable : found.writable)) {
        poller.cancel();
        return found;
      }
      signal?.addEventListener('abort', onChange, { once: true });
      await changed;
      signal?.removeEventListener('abort', onChange);
      poller.cancel();
    }
  }

  /** What is read until the end of the stream, in pieces as they come. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (;;) {
      const bytes = await this.read(ITERATION_BYTES);
      if (bytes.length === 0) return;
      yield bytes;
    }
  }

  /**
   * Closes the end: the other one reads what is left and then the end of the stream, and its writes are EPIPE (P113 to P118). Reads of
   * this end that wait return the end of the stream. Nothing happens the second time.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#system.close(this.descriptor);
  }

  get #end(): EngineEnd {
    return this.#file.data as EngineEnd;
  }

  #look(poller: Poller | null): number {
    this.#use('poll');
    return checked(this.#file.ops.poll(this.#file, POLLIN | POLLOUT, poller, this.#credentials), 'poll');
  }

  #use(syscall: string): void {
    if (this.#isClosed) throw new IpcError(-EBADF, syscall);
  }
}

const ITERATION_BYTES = 65_536;

function readiness(events: number): PipeReadiness {
  return {
    readable: (events & POLLIN) !== 0,
    writable: (events & POLLOUT) !== 0,
    hungUp: (events & POLLHUP) !== 0,
  };
}
