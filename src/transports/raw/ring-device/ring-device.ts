import createDebug from 'debug';
import { EAGAIN, ECANCELED, ECONNABORTED, EIO, ENOENT, ENOTCONN, errnoName } from '../../../kern/errno.ts';
import type { DeviceFact, ServedDevice } from '../device/device.ts';
import type { GatherUio } from '../device/gather-uio.ts';
import { Opcode, OUT_HEADER_BYTES } from '../protocol/constants.ts';
import type { Reply } from '../protocol/reply.ts';
import type { ReceiveBuffer } from '../protocol/request.ts';
import type { EntryMemory } from './entry-memory.ts';
import { EntryPool, type EntryPoolOptions } from './entry-pool.ts';
import { type EntryRing, WATCH_TAG } from './entry-ring.ts';
import type { RingEntry } from './ring-entry.ts';
import { UnansweredEntries } from './unanswered-entries.ts';

const log = createDebug('ipcfs:ring');

/** A queue that no kernel has. */
const NO_QUEUE = 0xffff;
/** Answers that wait for the next `enter` at most. */
const MOST_UNCOMMITTED = 32;
/** How the kernel gives entries up when the connection ends. */
const ENDINGS: ReadonlySet<number> = new Set([-ENOTCONN, -ECONNABORTED, -ECANCELED]);

/** What a ring device does by /dev/fuse: INIT, FORGET and INTERRUPT, notifications, and everything when there is no ring. */
export interface WatchedDevice extends ServedDevice {
  /** Readable when `receive` has something, or `wait` would not sleep. */
  readonly watchDescriptor: number;
}

export interface RingDeviceOptions extends EntryPoolOptions {
  readonly ring: EntryRing;
  readonly memory: EntryMemory;
  /** The processor that the calling thread runs on. */
  readonly currentProcessor: () => number;
}

/**
 * FUSE over io_uring. A request comes in an entry of the ring, whose memory stays its own until it is answered: blocked calls keep
 * theirs, with the bytes that they write. Answers go out together, with the system call that gets the next requests.
 *
 * FORGET and INTERRUPT come through /dev/fuse, and notifications go out through it at once: before the answer to the call that causes
 * them. An INTERRUPT is read only when every completion has been taken, so its request is known or has ended.
 */
export class RingDevice implements ServedDevice {
  readonly #fuse: WatchedDevice;
  readonly #ring: EntryRing;
  readonly #pool: EntryPool;
  readonly #currentProcessor: () => number;
  /** The processor of the last caller. */
  #callerProcessor = -1;
  /** Answers wait for the sleep that is likely to come: one call of the kernel does both. */
  #isDeferred = false;
  #state: 'offered' | 'agreed' | 'active' | 'unused' = 'offered';
  readonly #unanswered = new UnansweredEntries();
  #uncommittedCount = 0;
  /** Requests that came while the entries were registered. */
  readonly #early: RingEntry[] = [];
  /** Whether the ring tells when `watchDescriptor` is readable. */
  #isWatching = false;
  /** It was readable: something may have come through /dev/fuse, or for one of the sources. */
  #isDeviceReady = false;
  #areSourcesReady = false;
  #wasFromDevice = false;
  /** Why the kernel offers a ring and none is used, with what to do; null otherwise. */
  refusal: string | null = null;
  /** What the kernel has refused an answer with: the connection cannot go on. */
  #failure = 0;

  constructor(fuse: WatchedDevice, options: RingDeviceOptions) {
    this.#fuse = fuse;
    this.#ring = options.ring;
    this.#currentProcessor = options.currentProcessor;
    this.#pool = new EntryPool(options.ring, options.memory, options);
  }

  get isRing(): boolean {
    return this.#state === 'active';
  }

  facts(): readonly DeviceFact[] {
    if (!this.isRing) return this.#fuse.facts();
    return [
      ['device', 'io_uring'],
      ['ring-entries', this.#pool.entries.length],
      ['ring-entries-free', this.#pool.freeCount],
    ];
  }

  negotiateRing(isOffered: boolean): boolean {
    if (this.#state !== 'offered') return false;
    if (isOffered) this.#state = 'agreed';
    else this.#giveUp();
    return isOffered;
  }

  /** The kernel has the answer to INIT, and lets nobody in until the entries are there or were refused. */
  #start(): void {
    if (!this.#pool.start()) this.refusal = 'there is no memory for entries: raise the limits of memory';
    this.#ring.enter(0);
    for (;;) {
      const tag = this.#ring.next();
      if (tag < 0) break;
      const entry = this.#pool.entries[tag]!;
      if (this.#ring.result < 0) this.#pool.lost(entry, this.#ring.result);
      else this.#early.push(entry);
    }
    if (this.#pool.isComplete) {
      this.#state = 'active';
      return;
    }
    this.refusal ??= 'the kernel took no entries: look for io_uring in its log';
    this.#giveUp();
  }

  /** Everything goes through /dev/fuse. A kernel that waits for entries hears it by one that it must refuse. */
  #giveUp(): void {
    log('requests come through /dev/fuse');
    if (this.#state === 'agreed') {
      this.#ring.register(0, NO_QUEUE, 0);
      this.#ring.enter(0);
    }
    this.#state = 'unused';
    this.#ring.close();
    this.#pool.free();
  }

  receive(buffer: ReceiveBuffer): number {
    buffer.outside = null;
    buffer.isFromRing = false;
    if (this.#state !== 'active') return this.#fuse.receive(buffer);
    const ring = this.#ring;
    let hasEntered = false;
    for (;;) {
      const length = this.#take(buffer);
      if (length !== 0) return length;
      if (this.#isDeviceReady && (hasEntered || !this.#wasFromDevice || !ring.hasWork)) {
        const received = this.#fuse.receive(buffer);
        this.#wasFromDevice = true;
        if (received !== -EAGAIN) return received;
        this.#isDeviceReady = false;
      }
      if (hasEntered) break;
      this.#pool.grow();
      this.#watch();
      if (!ring.hasWork) break;
      if (this.#defers()) return -EAGAIN;
      this.#enter(0);
      hasEntered = true;
    }
    this.#pool.trim();
    return -EAGAIN;
  }

  /** Whether answers are left to the sleep that comes next, or to the next call of `receive` when none does. */
  #defers(): boolean {
    this.#isDeferred = !this.#isDeferred && this.#uncommittedCount > 0 && this.isSpinVain;
    return this.#isDeferred;
  }

  /** A caller on this processor runs when this thread sleeps. */
  get isSpinVain(): boolean {
    return this.#state === 'active' && this.#callerProcessor === this.#currentProcessor();
  }

  /** Takes completions up to the next request: its length, or a negative errno that ends the connection; 0 when there is none. */
  #take(buffer: ReceiveBuffer): number {
    for (;;) {
      let entry = this.#early.shift();
      if (entry === undefined) {
        const tag = this.#ring.next();
        if (tag < 0) break;
        if (tag === WATCH_TAG) {
          this.#isWatching = false;
          this.#isDeviceReady = true;
          this.#areSourcesReady = true;
          continue;
        }
        entry = this.#pool.entries[tag]!;
        if (this.#ring.result < 0) {
          this.#refused(entry, this.#ring.result);
          continue;
        }
      }
      const length = this.#load(entry, buffer);
      if (length !== 0) return length;
    }
    const failure = this.#failure;
    this.#failure = 0;
    return failure;
  }

  #load(entry: RingEntry, buffer: ReceiveBuffer): number {
    this.#pool.taken(entry);
    entry.isRegistered = true;
    if (!entry.isSound) {
      log('a request of %d bytes with %d of payload is none', entry.requestBytes, entry.payloadBytes);
      entry.refuse(-EIO);
      this.#commit(entry);
      return 0;
    }
    buffer.isFromRing = true;
    const structEnd = entry.copyHeaderTo(buffer.words);
    if (entry.opcode === Opcode.WRITE) {
      buffer.outside = entry.payload;
      buffer.outsideStart = structEnd;
    } else {
      entry.copyPayloadTo(buffer.bytes, structEnd);
    }
    this.#unanswered.received(entry);
    this.#callerProcessor = entry.queue;
    this.#wasFromDevice = false;
    return entry.requestBytes;
  }

  /** The kernel did not take an entry. */
  #refused(entry: RingEntry, error: number): void {
    this.#pool.lost(entry, error);
    // Reading the device tells how it has ended.
    if (ENDINGS.has(error)) this.#isDeviceReady = true;
    else if (entry.isRegistered && error !== -ENOENT) {
      log('an answer was refused: %s', errnoName(error));
      this.#failure = error;
    }
  }

  /** The entry of the request that `reply` answers, which is not unanswered any more; null for anything else. */
  #answeredEntry(reply: Reply): RingEntry | null {
    if (this.#state !== 'active') return null;
    const low = reply.words[2]!;
    const high = reply.words[3]!;
    // A notification.
    if (low === 0 && high === 0) return null;
    return this.#unanswered.take(low, high);
  }

  send(reply: Reply, length: number): boolean {
    const entry = this.#answeredEntry(reply);
    if (entry === null) {
      const isTaken = this.#fuse.send(reply, length);
      if (this.#state === 'agreed') this.#start();
      return isTaken;
    }
    const payloadBytes = length - OUT_HEADER_BYTES;
    entry.setAnswer(reply.words, payloadBytes);
    entry.setPayload(reply.bytes, reply.words, payloadBytes);
    this.#commit(entry);
    return true;
  }

  sendGathered(reply: Reply, uio: GatherUio): boolean {
    const entry = this.#answeredEntry(reply);
    if (entry === null) return this.#fuse.sendGathered(reply, uio);
    entry.setAnswer(reply.words, uio.total);
    uio.copyTo(entry.payload, 0);
    this.#commit(entry);
    return true;
  }

  #commit(entry: RingEntry): void {
    this.#pool.answered(entry);
    this.#ring.commit(entry.index, entry.queue, entry.commitLow, entry.commitHigh);
    if (++this.#uncommittedCount >= MOST_UNCOMMITTED) this.flush();
  }

  #enter(timeoutMs: number): void {
    this.#isDeferred = false;
    this.#uncommittedCount = 0;
    this.#ring.enter(timeoutMs);
  }

  flush(): void {
    if (this.#uncommittedCount === 0) return;
    this.#uncommittedCount = 0;
    this.#ring.submit();
  }

  /** Has the ring tell of /dev/fuse and of the sources, once for each time that they have been looked at. */
  #watch(): void {
    if (this.#isWatching || this.#isDeviceReady || this.#areSourcesReady) return;
    this.#isWatching = true;
    this.#ring.watch(this.#fuse.watchDescriptor);
  }

  get hasSources(): boolean {
    return this.#state === 'active' ? this.#areSourcesReady : this.#fuse.hasSources;
  }

  get isAwaited(): boolean {
    return this.#state === 'active' ? this.#areSourcesReady : this.#fuse.isAwaited === true;
  }

  wait(timeoutMs: number): boolean {
    if (this.#state !== 'active') return this.#fuse.wait(timeoutMs);
    if (timeoutMs === 0) {
      this.#areSourcesReady = false;
      return this.#fuse.wait(0);
    }
    // Nothing would tell of what has not been looked at.
    if (this.#isDeviceReady || this.#areSourcesReady) return false;
    this.#watch();
    if (!this.#ring.hasCompletion) this.#enter(timeoutMs);
    return false;
  }

  /** Copying an answer into its entry is done when it is sent: nothing is left to do in the background. */
  get backgroundBytes(): number {
    return this.#state === 'active' ? Infinity : this.#fuse.backgroundBytes;
  }

  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean {
    return this.#state === 'active' ? false : this.#fuse.sendInBackground(reply, uio, buffer);
  }

  get onSent(): (buffer: ReceiveBuffer) => void {
    return this.#fuse.onSent;
  }

  set onSent(onSent: (buffer: ReceiveBuffer) => void) {
    this.#fuse.onSent = onSent;
  }

  finishAnswers(): void {
    this.#fuse.finishAnswers();
    this.flush();
  }

  openBacking(descriptor: number): number {
    return this.#fuse.openBacking(descriptor);
  }

  closeBacking(id: number): void {
    this.#fuse.closeBacking(id);
  }

  close(): void {
    if (this.#state !== 'unused') {
      this.flush();
      this.#giveUp();
    }
    this.#fuse.close();
  }

  /** Repeats the invariants between two requests; called after every step in tests. */
  checkInvariants(): void {
    this.#pool.checkInvariants();
  }
}
