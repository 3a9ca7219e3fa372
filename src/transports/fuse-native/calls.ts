import type { Credentials } from '../../kern/credentials.ts';
import { EINTR, EIO, ENOBUFS } from '../../kern/errno.ts';
import type { Kernel } from '../../kern/kernel.ts';
import type { Operation } from '../../kern/operation.ts';
import type { Thread } from '../../kern/scheduler.ts';
import type { FileSystem } from '../../tree/file-system.ts';
import { Engine } from '../../vfs/metrics.ts';
import type { Node } from '../../vfs/node.ts';
import type { TracedCall } from '../../vfs/traced-call.ts';
import type { BlockedCall } from '../../vfs/transport.ts';
import { Call, sleepingCalls } from '../common/call.ts';
import { SignalWatch } from './signal-watch.ts';

/** The longest time that a timer of Node takes. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** What the trace shows of a call beside its node: see TracedCall. */
export type CallDetails = Partial<Pick<TracedCall, 'file' | 'argument' | 'source' | 'bytes'>>;

class NativeCall extends Call {
  readonly name: string;
  details: CallDetails | null = null;
  readonly done: (result: number) => void;
  /** It was ended because too many others wait. */
  isTurnedAway = false;

  readonly beganMs: number;

  constructor(
    name: string,
    node: Node,
    caller: Credentials,
    beganMs: number,
    done: (result: number) => void,
  ) {
    super();
    this.beganMs = beganMs;
    this.name = name;
    this.node = node;
    this.pid = caller.pid;
    this.uid = caller.uid;
    this.done = done;
  }
}

export interface CallTableOptions {
  /** How many calls can wait without holding up others; one beyond is refused with ENOBUFS. */
  readonly limit: number;
  /** Whether a signal is pending for a thread, where that is to end its calls; null where it cannot. */
  readonly hasSignal: ((threadId: number) => boolean) | null;
}

/** The operations under way on Node's event loop: runs them, and wakes up for the kernel's callouts. */
export class CallTable {
  readonly #fileSystem: FileSystem;
  readonly #kernel: Kernel;
  readonly #sleeping = new Set<NativeCall>();
  readonly #limit: number;
  #signals: SignalWatch<NativeCall> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerDeadlineMs = Infinity;
  #isEnding = false;
  /** What is answered now is an operation, which has been reported to info/metrics. */
  isReported = false;

  constructor(fileSystem: FileSystem, { limit, hasSignal }: CallTableOptions) {
    const { kernel } = fileSystem;
    this.#fileSystem = fileSystem;
    this.#kernel = kernel;
    this.#limit = limit;
    if (hasSignal !== null) {
      this.#signals = new SignalWatch(hasSignal, (call) => {
        kernel.scheduler.interrupt(call);
        this.settle();
      });
    }
    kernel.scheduler.onFailure = this.#onFailure;
  }

  get sleepingCount(): number {
    return this.#sleeping.size;
  }

  blockedCalls(): Iterable<BlockedCall> {
    return sleepingCalls(this.#sleeping, ({ name }) => name);
  }

  /** For the trace: the call that a thread makes. */
  tracedCall(thread: Thread): TracedCall | null {
    if (!(thread instanceof NativeCall)) return null;
    const { name, pid, beganMs, node, details } = thread;
    const file = details?.file ?? null;
    return {
      call: name,
      pid,
      beganMs,
      thread,
      node,
      name: null,
      newPath: null,
      file,
      handle: file?.handle ?? -1,
      argument: details?.argument ?? -1,
      source: details?.source ?? null,
      bytes:
        node!.engine === Engine.Pipe || node!.engine === Engine.SharedMemory
          ? (details?.bytes ?? null)
          : null,
    };
  }

  /** Runs an operation; `done` gets its result once, now or when it has slept. */
  run(
    name: string,
    node: Node,
    caller: Credentials,
    operation: Operation<number>,
    done: (result: number) => void,
    details: CallDetails | null = null,
  ): void {
    const { scheduler } = this.#kernel;
    const call = new NativeCall(name, node, caller, this.#kernel.host.clock.monotonicMs(), done);
    call.details = details;
    call.operation = operation;
    call.onExit = this.#onExit;
    if (!scheduler.start(call)) {
      this.#sleeping.add(call);
      this.#signals?.add(call);
      // Most sleeps with a time-out are short ones of the server's own.
      const isLong = call.timeout === null || call.options!.isLong === true;
      call.isTurnedAway = this.#sleeping.size > this.#limit && isLong;
      if (this.#isEnding || call.isTurnedAway) scheduler.interrupt(call);
    }
    this.settle();
  }

  /** Runs what has become runnable, and makes sure to wake up for the next callout. */
  settle(): void {
    this.#kernel.scheduler.run();
    this.#arm();
  }

  /** Ends every sleep, and from now on every one that begins: the mount ends. */
  end(): void {
    this.#isEnding = true;
    for (const call of [...this.#sleeping]) this.#kernel.scheduler.interrupt(call);
    this.settle();
  }

  readonly #onExit = (result: number, ended: Thread): void => {
    const call = ended as NativeCall;
    this.#forget(call);
    this.#answer(call, call.isTurnedAway && result === -EINTR ? -ENOBUFS : result);
  };

  #forget(call: NativeCall): void {
    if (this.#sleeping.delete(call)) this.#signals?.remove(call);
  }

  #answer(call: NativeCall, result: number): void {
    const { trace } = this.#fileSystem;
    if (trace.isActive) trace.ended(this.tracedCall(call)!, result);
    this.#report(call, result);
    this.isReported = true;
    try {
      call.done(result);
    } finally {
      this.isReported = false;
    }
  }

  #report({ name, node, sleptMs, beganMs }: NativeCall, result: number): void {
    const { operations } = this.#fileSystem;
    const elapsedMs = this.#kernel.host.clock.monotonicMs() - beganMs;
    operations.end(operations.kind(name), result, elapsedMs - Math.max(sleptMs, 0), sleptMs);
    if (result <= 0) return;
    if (name === 'read') operations.hasRead(node!.engine, result);
    else if (name === 'write') operations.hasWritten(node!.engine, result);
  }

  readonly #onFailure = (ended: Thread, error: unknown): void => {
    if (!(ended instanceof NativeCall)) {
      complainOf(this.#kernel, 'work in the background', error);
      return;
    }
    this.#forget(ended);
    complainOf(this.#kernel, ended.name, error);
    this.#answer(ended, -EIO);
  };

  #arm(): void {
    const deadlineMs = this.#kernel.callouts.nextDeadlineMs();
    if (deadlineMs === this.#timerDeadlineMs) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDeadlineMs = deadlineMs;
    this.#timer = null;
    if (deadlineMs === Infinity) return;
    const delayMs = Math.ceil(deadlineMs - this.#kernel.callouts.nowMs());
    this.#timer = setTimeout(
      () => {
        this.#timerDeadlineMs = Infinity;
        this.#kernel.callouts.runExpired();
        this.settle();
      },
      Math.min(LONGEST_DELAY_MS, Math.max(0, delayMs)),
    );
  }
}

/** A bug costs one call: the log says what happened. */
export function complainOf(kernel: Kernel, call: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  kernel.host.log(`internal error in ${call}, please report it: ${text}`);
}
