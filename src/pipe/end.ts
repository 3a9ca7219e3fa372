import { assert } from '../kern/assert.ts';
import type { Timestamps } from '../kern/clock.ts';
import type { SignalOwner } from '../kern/host.ts';
import { Klist } from '../kern/klist.ts';
import type { File } from '../kern/file.ts';
import type { WaitChannel } from '../kern/operation.ts';
import { PollQueue } from '../kern/poll.ts';
import type { Loan } from '../kern/uio.ts';
import type { Discipline } from './discipline.ts';
import type { PipePair } from './pair.ts';
import { Ring } from './ring.ts';

/** Life of an end (pipe_present; P118). */
export const Presence = { Active: 0, Closing: 1, Finalized: 2 } as const;
export type Presence = (typeof Presence)[keyof typeof Presence];

/** Bytes that a pipe has taken and given since it was made. */
export interface Traffic {
  bytesIn: number;
  bytesOut: number;
  /**
   * Offset of the first queued byte in the stream of all bytes that were ever queued, less `bytesOut`. 0 until an option drops bytes, gives
   * them again, or gives them to several readers. While the end has a discipline, the discipline knows the offset.
   */
  skewBytes: number;
}

/**
 * One end of a pair (struct pipe): the ring that it reads from, and everybody who waits for something to happen to it.
 * Readers and writers of the ring sleep on the same channel, and every wake-up wakes them all (P47).
 */
export class PipeEnd {
  /** Immutable. */
  readonly pair: PipePair;
  readonly ring: Ring;
  readonly channel: WaitChannel;
  readonly times: Timestamps;
  readonly pollQueue = new PollQueue();
  /** A named pipe's goes on when its pair goes. */
  readonly traffic: Traffic;
  /** A named pipe's knotes stay when its pair goes: those that name it by path wait for the next opener. */
  readonly klist: Klist;
  /** Fake inode number (P8). */
  inode = 0;
  /**
   * Bytes of a sleeping writer that are offered to readers and not all taken yet. While there is one, the ring is empty.
   * The reader that takes the last byte retires it, so that a writer that is notified of that read finds room.
   */
  chunk: Loan | null = null;
  /** What calls do in place of what BSD's do, on a pipe with options; null without. There is no direct chunk beside one. */
  discipline: Discipline | null = null;
  presence: Presence = Presence.Active;
  /** PIPE_EOF: for readers the end of the stream, for writers a broken pipe. */
  endOfFile = false;
  /** PIPE_WANTR, PIPE_WANTW, PIPE_WANT: readers, writers, a closer are asleep on `channel`. */
  readersWaiting = false;
  writersWaiting = false;
  closerWaiting = false;
  /** Reads and writes in progress on this ring (P50, P113). */
  busyCount = 0;
  /** Counts the times that the last writer of a named pipe has left (pipe_wgen; P87). */
  writerGeneration = 0;
  /** FIOASYNC and FIOSETOWN (P92, P104, P106). */
  isAsync = false;
  owner: SignalOwner | null = null;

  constructor(pair: PipePair, times: Timestamps) {
    this.pair = pair;
    this.times = times;
    this.klist = pair.fifo?.klist ?? new Klist();
    this.traffic = pair.fifo?.traffic ?? { bytesIn: 0, bytesOut: 0, skewBytes: 0 };
    this.ring = new Ring(pair.subsystem.budget, pair.account);
    this.channel = pair.subsystem.kernel.channel(this);
  }

  /** Where writes go: the other end, or for a named pipe the same one (PIPE_PEER; P1, P2). */
  get peer(): PipeEnd {
    const [forward, reverse] = this.pair.ends;
    if (this.pair.isNamed) return forward;
    return this === forward ? reverse : forward;
  }

  /** Bytes that a reader could take now, as FIONREAD, stat and EVFILT_READ count them (P74, P97, P105). */
  get queuedBytes(): number {
    if (this.discipline !== null) return this.discipline.queuedBytes;
    return this.chunk !== null ? this.chunk.residual : this.ring.count;
  }

  /** Those of them that a read of `file` could take at once. */
  readableBytes(file: File): number {
    return this.discipline === null ? this.queuedBytes : this.discipline.readableBytes(file);
  }

  /** Bytes that can be stored now. */
  get spaceBytes(): number {
    return this.discipline === null ? this.ring.space : this.discipline.spaceBytes;
  }

  /** A copy of all queued bytes, oldest first, without taking them. */
  peek(): Uint8Array {
    const { chunk, ring, discipline } = this;
    if (discipline !== null) return discipline.peek();
    if (chunk === null) return ring.peek(ring.count);
    return chunk.bytes.slice(chunk.position, chunk.position + chunk.residual);
  }

  /** Wakes sleepers if a reader is among them. */
  wakeReaders(): void {
    if (!this.readersWaiting) return;
    this.readersWaiting = false;
    this.channel.wakeup();
  }

  /** Wakes sleepers if a writer is among them. */
  wakeWriters(): void {
    if (!this.writersWaiting) return;
    this.writersWaiting = false;
    this.channel.wakeup();
  }

  /** Tells those who watch: pollers, then the SIGIO owner, then knotes (pipeselwakeup; P92). */
  notify(): void {
    this.pollQueue.wakeup();
    if (this.isAsync && this.owner !== null) this.pair.subsystem.kernel.host.postSigio(this.owner);
    this.klist.notify(0);
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    const { ring, chunk } = this;
    ring.checkInvariants();
    this.klist.checkInvariants();
    assert(chunk === null || chunk.residual > 0, 'a chunk without bytes is retired');
    assert(chunk === null || ring.count === 0, 'nothing is buffered behind a direct chunk');
    assert(this.discipline === null || chunk === null, 'a pipe with options has no direct chunk');
    this.discipline?.checkInvariants();
    assert(this.busyCount >= 0, 'operations leave once');
    assert(this.presence === Presence.Active || ring.size === 0, 'a closed end holds no memory');
    const sleepers = this.channel.checkInvariants();
    assert(sleepers <= this.busyCount + (this.closerWaiting ? 1 : 0), 'who sleeps is counted as busy');
    assert(
      sleepers === 0 || this.readersWaiting || this.writersWaiting || this.closerWaiting,
      'each sleeper will be woken',
    );
  }
}
