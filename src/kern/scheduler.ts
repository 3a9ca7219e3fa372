import { type Account, type Accounts, Resource } from './accounting.ts';
import { assert } from './assert.ts';
import { EINTR } from './errno.ts';
import type { Callout, CalloutQueue } from './callout.ts';
import { isPause, type Operation, type SleepOptions, type WaitChannel, WakeReason } from './operation.ts';
import { SLICE_MS } from './work.ts';

export const ThreadState = { New: 0, Running: 1, Sleeping: 2, Runnable: 3, Done: 4 } as const;
export type ThreadState = (typeof ThreadState)[keyof typeof ThreadState];

/** One operation in progress, and what it sleeps on. */
export class Thread {
  state: ThreadState = ThreadState.New;
  operation: Operation<number> | null = null;
  /** Called once, with the operation's result, after its last statement has run. */
  onExit: ((result: number, thread: Thread) => void) | null = null;
  /** Set while sleeping. */
  channel: WaitChannel | null = null;
  options: SleepOptions | null = null;
  /** The monotonic time at which the current sleep began, in milliseconds. */
  sleepingSinceMs = 0;
  /** How long it has slept in all, pauses excepted, in milliseconds; negative as long as it has not. */
  sleptMs = -1;
  /** A signal is pending: it stays so until the operation has ended. */
  interrupted = false;
  /** Whose quota of blocked calls holds for it. */
  uid = 0;
  /** The account that it is charged to as a blocked call: from its first sleep to its end. */
  account: Account | null = null;
  /** It may not sleep, for want of quota or memory: the negative errno that it gets in place of -EINTR. 0 as long as it may. */
  refusal = 0;
  reason: WakeReason = WakeReason.Awakened;
  timeout: Callout | null = null;
  nextSleeper: Thread | null = null;
  previousSleeper: Thread | null = null;
}

/** Operations that can go on, in the order in which they were woken. */
class RunQueue {
  #threads: Thread[] = [];
  /** Position of the first one: those before it have gone on. */
  #head = 0;

  get count(): number {
    return this.#threads.length - this.#head;
  }

  push(thread: Thread): void {
    this.#threads.push(thread);
  }

  /** Takes the first one. There must be one. */
  shift(): Thread {
    const thread = this.#threads[this.#head++]!;
    if (this.#head === this.#threads.length) {
      this.#threads.length = 0;
      this.#head = 0;
    } else if (this.#head === COMPACTION_LENGTH) {
      this.#threads = this.#threads.slice(this.#head);
      this.#head = 0;
    }
    return thread;
  }

  /** Takes the one at this position, for the last to have its place. For a queue of which none was shifted. */
  take(index: number): Thread {
    const thread = this.#threads[index]!;
    const last = this.#threads.pop()!;
    if (index < this.#threads.length) this.#threads[index] = last;
    return thread;
  }
}

/** Threads that have gone on before their places are given up. */
const COMPACTION_LENGTH = 4096;

/** Threads that go on before the clock is looked at. */
const LOOK_INTERVAL = 16;

/** Chooses which of `count` runnable operations goes on next; returns its position. */
export type Chooser = (count: number) => number;

/**
 * Runs operations, one at a time. Without a chooser, runnable operations go on in the order in which they
 * were woken; tests pass a seeded random chooser to explore interleavings.
 */
export class Scheduler {
  readonly #callouts: CalloutQueue;
  readonly #choose: Chooser | null;
  readonly #accounts: Accounts | null;
  #runnable = new RunQueue();
  /** Those that `runSlice` has not come to. */
  #backlog = new RunQueue();
  #current: Thread | null = null;
  #sleepingCount = 0;
  /** Work has used up the slice that `runSlice` is in. */
  #isSliceOver = false;

  /**
   * Called with what an operation threw: a bug of ours. The operation has ended, without a result. Without this, it is thrown on to
   * the runner of the scheduler.
   */
  onFailure: ((thread: Thread, error: unknown) => void) | null = null;

  /** Called when an operation has gone to sleep, pauses excepted, while somebody traces. */
  onSleep: ((thread: Thread) => void) | null = null;

  constructor(callouts: CalloutQueue, choose: Chooser | null = null, accounts: Accounts | null = null) {
    this.#callouts = callouts;
    this.#choose = choose;
    this.#accounts = accounts;
  }

  get sleepingCount(): number {
    return this.#sleepingCount;
  }

  get runnableCount(): number {
    return this.#runnable.count + this.#backlog.count;
  }

  /**
   * Runs `thread.operation` at once, until it ends or sleeps. True when it has ended; then `onExit` has been called.
   */
  start(thread: Thread): boolean {
    assert(this.#current === null, 'no operation is started from within another');
    assert(thread.state === ThreadState.New, 'a thread is started once');
    return this.#step(thread, WakeReason.Awakened);
  }

  /** Puts `thread` behind the runnable ones without running it: for work that an operation leaves to be done after it, and for tests. */
  enqueue(thread: Thread): void {
    assert(thread.state === ThreadState.New, 'a thread is started once');
    thread.state = ThreadState.Runnable;
    this.#runnable.push(thread);
  }

  /** Runs one runnable operation until it ends or sleeps; false when there was none. */
  runOne(): boolean {
    if (this.#runnable.count === 0) this.#takeBacklog();
    const { count } = this.#runnable;
    if (count === 0) return false;
    let thread: Thread;
    if (this.#choose === null) {
      thread = this.#runnable.shift();
    } else {
      const index = this.#choose(count);
      assert(index >= 0 && index < count, 'the chooser picks a runnable thread');
      thread = this.#runnable.take(index);
    }
    this.#step(thread, thread.reason);
    return true;
  }

  /** Runs until no operation is runnable. */
  run(): void {
    while (this.runOne());
  }

  /**
   * Runs what has been woken since the last slice; after half a millisecond, whatever is left is put behind the backlog. So those whom
   * one call wakes do not wait for the thousands that another has woken.
   */
  runSlice(): void {
    let endMs = 0;
    this.#isSliceOver = false;
    for (let count = 1; this.#runnable.count > 0; count++) {
      this.runOne();
      if (this.#isSliceOver) {
        this.#setBack();
        return;
      }
      if (count % LOOK_INTERVAL !== 0) continue;
      const nowMs = this.#callouts.nowMs();
      if (endMs === 0) endMs = nowMs + SLICE_MS;
      else if (nowMs >= endMs) {
        this.#setBack();
        return;
      }
    }
  }

  /** For work that has used up a slice: others of the backlog have the next one. */
  endSlice(): void {
    this.#isSliceOver = true;
  }

  get backlogCount(): number {
    return this.#backlog.count;
  }

  /** Goes on with the backlog for a slice. */
  runBacklog(): void {
    this.#takeBacklog();
    this.runSlice();
  }

  #takeBacklog(): void {
    const fresh = this.#runnable;
    if (fresh.count > 0) return;
    this.#runnable = this.#backlog;
    this.#backlog = fresh;
  }

  #setBack(): void {
    if (this.#runnable.count === 0) return;
    if (this.#backlog.count === 0) [this.#runnable, this.#backlog] = [this.#backlog, this.#runnable];
    else while (this.#runnable.count > 0) this.#backlog.push(this.#runnable.shift());
  }

  /** Ends an interruptible sleep; otherwise the next interruptible sleep of the operation ends at once. */
  interrupt(thread: Thread): void {
    if (thread.state === ThreadState.Done) return;
    thread.interrupted = true;
    if (thread.state === ThreadState.Sleeping && thread.options!.interruptible) {
      this.resume(thread, WakeReason.Interrupted);
    }
  }

  /** Ends an interruptible sleep for which there is not enough of something; its operation's result is `refusal` in place of -EINTR. */
  refuse(thread: Thread, refusal: number): void {
    thread.refusal = refusal;
    this.interrupt(thread);
  }

  /** Takes a sleeping thread off its channel and makes it runnable. */
  resume(thread: Thread, reason: WakeReason): void {
    assert(thread.state === ThreadState.Sleeping, 'only a sleeping thread is resumed');
    const channel = thread.channel!;
    const isPausing = isPause(thread.options!);
    if (!isPausing) {
      thread.sleptMs = Math.max(thread.sleptMs, 0) + this.#callouts.nowMs() - thread.sleepingSinceMs;
    }
    if (thread.previousSleeper === null) channel.firstSleeper = thread.nextSleeper;
    else thread.previousSleeper.nextSleeper = thread.nextSleeper;
    if (thread.nextSleeper === null) channel.lastSleeper = thread.previousSleeper;
    else thread.nextSleeper.previousSleeper = thread.previousSleeper;
    thread.nextSleeper = null;
    thread.previousSleeper = null;
    thread.channel = null;
    thread.options = null;
    if (thread.timeout !== null) {
      this.#callouts.cancel(thread.timeout);
      thread.timeout = null;
    }
    thread.reason = reason;
    thread.state = ThreadState.Runnable;
    this.#sleepingCount--;
    // Works take turns, and no call waits for one of them. Where a chooser decides, it has all to choose from.
    (isPausing && this.#choose === null ? this.#backlog : this.#runnable).push(thread);
  }

  /**
   * For `sleep()`: registers the current thread on `channel`, or returns null when it must not sleep: a signal is already pending,
   * or its user's quota of blocked calls is used up. Sleeps that no signal ends are short and count for nothing.
   */
  prepareSleep(channel: WaitChannel, options: SleepOptions, timeoutMs: number | undefined): Thread | null {
    const thread = this.#current;
    assert(thread !== null, 'only a running operation sleeps');
    if (options.interruptible && (thread.interrupted || !this.#admit(thread))) return null;
    thread.channel = channel;
    thread.options = options;
    thread.sleepingSinceMs = this.#callouts.nowMs();
    thread.previousSleeper = channel.lastSleeper;
    if (channel.lastSleeper === null) channel.firstSleeper = thread;
    else channel.lastSleeper.nextSleeper = thread;
    channel.lastSleeper = thread;
    thread.state = ThreadState.Sleeping;
    this.#sleepingCount++;
    if (timeoutMs !== undefined) {
      thread.timeout = this.#callouts.schedule(timeoutMs, () => {
        thread.timeout = null;
        this.resume(thread, WakeReason.TimedOut);
      });
    }
    return thread;
  }

  /** The thread whose operation runs; null between two. */
  get current(): Thread | null {
    return this.#current;
  }

  /** What the current operation has been refused a sleep with: its result where it says -EINTR. 0 when it has not been. */
  get currentRefusal(): number {
    return this.#current?.refusal ?? 0;
  }

  #admit(thread: Thread): boolean {
    if (thread.account !== null || this.#accounts === null) return true;
    const account = this.#accounts.of(thread.uid);
    thread.refusal = account.charge(Resource.BlockedCalls);
    if (thread.refusal === 0) thread.account = account;
    return thread.refusal === 0;
  }

  #end(thread: Thread): void {
    thread.state = ThreadState.Done;
    thread.account?.release(Resource.BlockedCalls);
    thread.account = null;
  }

  #step(thread: Thread, reason: WakeReason): boolean {
    this.#current = thread;
    thread.state = ThreadState.Running;
    let step: IteratorResult<undefined, number>;
    try {
      step = thread.operation!.next(reason);
    } catch (error) {
      this.#current = null;
      this.#end(thread);
      if (this.onFailure === null) throw error;
      this.onFailure(thread, error);
      return true;
    }
    this.#current = null;
    if (step.done !== true) {
      assert((thread.state as ThreadState) === ThreadState.Sleeping, 'an operation yields only to sleep');
      if (this.onSleep !== null && !isPause(thread.options!)) this.onSleep(thread);
      return false;
    }
    this.#end(thread);
    thread.onExit?.(thread.refusal !== 0 && step.value === -EINTR ? thread.refusal : step.value, thread);
    return true;
  }
}
