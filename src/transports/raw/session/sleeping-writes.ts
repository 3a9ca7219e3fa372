import { type Account, Resource } from '../../../kern/accounting.ts';
import { assert } from '../../../kern/assert.ts';
import { EINTR, ENOENT, ENOMEM } from '../../../kern/errno.ts';
import type { Kernel } from '../../../kern/kernel.ts';
import { type Operation, sleep, type WaitChannel, WakeReason } from '../../../kern/operation.ts';
import { ThreadState } from '../../../kern/scheduler.ts';
import type { Pager } from '../../../kern/uio.ts';
import type { WriteMemory } from '../../../tree/write-memory.ts';
import type { BufferPool } from '../device/buffer-pool.ts';
import type { InFlight } from './in-flight.ts';
import type { ReceiveBuffer } from '../protocol/request.ts';

/** A shorter write is copied when it sleeps, if its buffer is wanted for something else. */
const DETACH_LIMIT_BYTES = 64 * 1024;
/** Below this, a copy costs less than another buffer that is not in the processor's cache. */
const COPY_LIMIT_BYTES = 16 * 1024;
/** What is kept of a write that is held back: enough for the pipe to have something to read. */
const HELD_BYTES = 16 * 1024;

const fetchSleep = { message: 'pagein', interruptible: true };

/** What the transport does for `fetch`. */
export interface Redelivery {
  /** Makes the kernel send every unanswered request again (FUSE_NOTIFY_RESEND); false when it does not. */
  ask(): boolean;
  /** Puts the next request into the current buffer; its length, or a negative errno. */
  receive(): number;
  /**
   * The unanswered request that lies in the current buffer and was sent again, or null for anything else, after which none of them
   * comes any more. Its answer will name it as the kernel does now. `false`: it was no request that counts, the next may be one.
   */
  recognise(length: number): InFlight | null | false;
  /** The payload of the WRITE in the current buffer. */
  payload(): Uint8Array;
  unanswered(): Iterable<InFlight>;
}

/**
 * The memory of writes that sleep. Up to a budget they keep the buffers that they were received into, or copies of their bytes. Beyond
 * it most of the bytes stay with their writers: the kernel still has the request, and sends it again when they are wanted. So no
 * number of blocked writers holds more than the budget, and 16 KiB each. As Linux answers nobody else while it sends them again, a
 * user has a quota of such bytes. A write for which there is no memory, or no quota, may not sleep: it returns what it has written,
 * or fails.
 *
 * Bytes of a ring's entry stay in the entry: nothing is copied, and Linux does not send them again. Beyond the budget they count for
 * the same quota.
 */
export class SleepingWrites implements Pager {
  readonly #kernel: Kernel;
  readonly #memory: WriteMemory;
  readonly #buffers: BufferPool;
  readonly #channel: WaitChannel;
  /** Writes with all their bytes, the oldest first. */
  readonly #kept = new Set<InFlight>();
  /** Writes whose bytes are with their writers. */
  readonly #held = new Map<object, InFlight>();
  /** Of these, those that sleep until their bytes have come again. */
  readonly #wanting = new Map<object, InFlight>();
  /** Bytes for which #wanting has to find room. */
  #wantedBytes = 0;
  /** In the current delivery, somebody of #wanting has got the bytes. */
  #hasRestored = false;
  keptBytes = 0;
  /** Whether the kernel can send requests again (Linux 6.9). */
  canHoldBack = false;

  constructor(kernel: Kernel, memory: WriteMemory, buffers: BufferPool) {
    this.#kernel = kernel;
    this.#memory = memory;
    this.#buffers = buffers;
    this.#channel = kernel.channel(this);
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Whether writes wait for their bytes. */
  get isWanted(): boolean {
    return this.#wanting.size > 0;
  }

  /** A write has gone to sleep, and its payload lies in the current buffer. */
  slept(thread: InFlight): void {
    const { length, untakenBytes } = thread.source!;
    if (untakenBytes === 0) return;
    if (thread.ownsBytes) {
      this.#keepInEntry(thread);
      return;
    }
    const mayHoldBack = this.#mayHoldBack(thread);
    const isWithinBudget = this.keptBytes + length <= this.#memory.budgetBytes;
    if ((isWithinBudget || !mayHoldBack) && this.#keep(thread)) return;
    const error = mayHoldBack ? this.#holdBack(thread) : -ENOMEM;
    if (error === 0) return;
    // Changes of a kqueue, between two slices: they have been charged for.
    if (!thread.options!.interruptible) thread.source!.detach();
    // It goes on before the next request is received, while its bytes are still there.
    else this.#kernel.scheduler.refuse(thread, error);
  }

  /** A write has ended that has slept. */
  ended(thread: InFlight): void {
    if (this.#kept.has(thread)) this.#giveUp(thread);
    if (thread.source!.isHeldBack) this.#forgetHeld(thread);
    if (!thread.isCharged) return;
    thread.isCharged = false;
    this.#accountOf(thread).release(Resource.BlockedBytes, thread.source!.length);
  }

  *fetch(source: object): Operation<number> {
    const thread = this.#held.get(source)!;
    this.#wanting.set(source, thread);
    this.#wantedBytes += thread.source!.length;
    const reason = yield* sleep(this.#channel, fetchSleep);
    if (this.#wanting.delete(source)) this.#wantedBytes -= thread.source!.length;
    return reason === WakeReason.Interrupted ? -EINTR : 0;
  }

  /**
   * Gets bytes back for those who wait for them, as many as there is room for; the buffers of others make room. Nothing else may be
   * answered meanwhile: an answer does not find a request that is on its way here again. The length of a new request that lies
   * in the current buffer afterwards; 0 without one.
   */
  deliver(redelivery: Redelivery): number {
    this.#makeRoom();
    this.#hasRestored = false;
    const missing = new Set(redelivery.unanswered());
    if (!redelivery.ask()) {
      for (const thread of this.#wanting.values()) this.#kernel.scheduler.interrupt(thread);
      return 0;
    }
    let left = 0;
    for (;;) {
      const length = redelivery.receive();
      if (length === -ENOENT || length === -EINTR) continue;
      // EAGAIN: that was all. Any other failure is seen again by the loop.
      if (length < 0) break;
      const thread = redelivery.recognise(length);
      if (thread === false) continue;
      if (thread === null) {
        left = length;
        break;
      }
      missing.delete(thread);
      this.#restore(thread, redelivery);
    }
    // A writer that was killed on the way has taken its request along.
    for (const thread of missing) this.#kernel.scheduler.interrupt(thread);
    return left;
  }

  /** Repeats the invariants, with the requests that sleep; called after every step in tests. */
  checkInvariants(inFlight: ReadonlySet<InFlight>): void {
    for (const thread of [...this.#kept, ...this.#held.values()]) {
      assert(inFlight.has(thread), 'a write that has ended is forgotten');
      assert(!thread.ownsBytes || thread.buffer === null, 'bytes in an entry need no buffer');
    }
    let keptBytes = 0;
    const buffers = new Set<ReceiveBuffer>();
    for (const { source, buffer } of this.#kept) {
      keptBytes += source!.length;
      assert(!source!.isHeldBack, 'a write with all its bytes is not held back');
      if (buffer === null) continue;
      assert(!buffers.has(buffer), 'no two writes keep one buffer');
      buffers.add(buffer);
    }
    assert(keptBytes === this.keptBytes, 'the bytes of sleeping writes are counted');
    for (const [source, thread] of this.#held) {
      assert(thread.source === source && thread.source.isHeldBack, 'a write that is held back knows it');
      assert(thread.buffer === null && !this.#kept.has(thread), 'a write that is held back keeps no buffer');
    }
    let wantedBytes = 0;
    for (const [source, thread] of this.#wanting) {
      assert(this.#held.get(source) === thread, 'only a write that is held back waits for its bytes');
      wantedBytes += thread.source!.length;
    }
    assert(wantedBytes === this.#wantedBytes, 'the bytes that are waited for are counted');
    assert(
      this.#channel.checkInvariants() === this.#wanting.size,
      'a write sleeps until its bytes have come',
    );
  }

  #restore(thread: InFlight, redelivery: Redelivery): void {
    const { source } = thread;
    if (source?.isHeldBack !== true) return;
    const isWanted = this.#wanting.has(source);
    // Waiting writers go first. One of them always gets its bytes, or no writer would ever go on.
    const reservedBytes = isWanted ? 0 : this.#wantedBytes;
    const isProgress = isWanted && !this.#hasRestored;
    const afterwardsBytes = this.keptBytes + source.length + reservedBytes;
    if (!isProgress && afterwardsBytes > this.#memory.budgetBytes) return;
    const payload = redelivery.payload();
    if (!this.#keepBuffer(thread)) {
      if (isWanted) this.#kernel.scheduler.refuse(thread, -ENOMEM);
      return;
    }
    source.restore(payload);
    this.#forgetHeld(thread);
    if (!isWanted) return;
    this.#hasRestored = true;
    this.#wanting.delete(source);
    this.#wantedBytes -= source.length;
    if (thread.state === ThreadState.Sleeping) this.#kernel.scheduler.resume(thread, WakeReason.Awakened);
  }

  /** Takes buffers from the oldest writes until those fit that are wanted, or nothing is left to take. */
  #makeRoom(): void {
    for (const thread of this.#kept) {
      if (this.keptBytes + this.#wantedBytes <= this.#memory.budgetBytes) return;
      if (this.#mayHoldBack(thread) && this.#holdBack(thread) === 0) this.#giveUp(thread);
    }
  }

  #mayHoldBack({ source }: InFlight): boolean {
    return this.canHoldBack && source!.isPageable && source!.untakenBytes > HELD_BYTES;
  }

  /** Keeps a small part of the bytes. 0, or the negative errno of a user whose quota does not hold the others, or -ENOMEM. */
  #holdBack(thread: InFlight): number {
    if (!this.#kernel.host.hasMemory(HELD_BYTES)) return -ENOMEM;
    const source = thread.source!;
    const error = this.#accountOf(thread).charge(Resource.BlockedBytes, source.length);
    if (error !== 0) return error;
    source.holdBack(HELD_BYTES, this);
    this.#held.set(source, thread);
    return 0;
  }

  #forgetHeld(thread: InFlight): void {
    this.#held.delete(thread.source!);
    this.#accountOf(thread).release(Resource.BlockedBytes, thread.source!.length);
  }

  #accountOf({ uid }: InFlight): Account {
    return this.#kernel.accounts.of(uid);
  }

  /** The bytes lie where they can stay. Beyond the budget, that is up to the quota of the user and to the memory that is left. */
  #keepInEntry(thread: InFlight): void {
    const { length } = thread.source!;
    if (this.keptBytes + length > this.#memory.budgetBytes) {
      const hasMemory = this.#kernel.host.hasMemory(length);
      const error = hasMemory ? this.#accountOf(thread).charge(Resource.BlockedBytes, length) : -ENOMEM;
      if (error === 0) thread.isCharged = true;
      // Changes of a kqueue, between two slices: they have been charged for.
      else if (thread.options!.interruptible) {
        this.#kernel.scheduler.refuse(thread, error);
        return;
      }
    }
    this.#added(thread);
  }

  /** Keeps all bytes, in the current buffer or as a copy; false when there is no memory for it. */
  #keep(thread: InFlight): boolean {
    const { length } = thread.source!;
    const isCopied = length < COPY_LIMIT_BYTES || (length <= DETACH_LIMIT_BYTES && !this.#buffers.hasSpare);
    if (!isCopied) return this.#keepBuffer(thread);
    if (!this.#kernel.host.hasMemory(length)) return false;
    thread.source!.detach();
    this.#added(thread);
    return true;
  }

  #keepBuffer(thread: InFlight): boolean {
    thread.buffer = this.#buffers.keepCurrent();
    if (thread.buffer === null) return false;
    this.#added(thread);
    return true;
  }

  #added(thread: InFlight): void {
    this.#kept.add(thread);
    this.keptBytes += thread.source!.length;
  }

  /** The bytes are not kept any more: they are with their writer, or nobody wants them. */
  #giveUp(thread: InFlight): void {
    if (thread.buffer !== null) this.#buffers.giveBack(thread.buffer);
    thread.buffer = null;
    this.#kept.delete(thread);
    this.keptBytes -= thread.source!.length;
  }
}
