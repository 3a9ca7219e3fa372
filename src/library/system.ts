import type { Credentials } from '../kern/credentials.ts';
import { EBADF, EINTR, ENOENT } from '../kern/errno.ts';
import { type File, knotesOfClosedFile } from '../kern/file.ts';
import { Kernel } from '../kern/kernel.ts';
import type { Operation } from '../kern/operation.ts';
import { Thread } from '../kern/scheduler.ts';
import { KqueueSubsystem } from '../kqueue/subsystem.ts';
import type { PipePair } from '../pipe/pair.ts';
import type { PipePolicy as EnginePolicy } from '../pipe/policy.ts';
import { queueFor } from '../pipe/options/queue.ts';
import { PipeSubsystem } from '../pipe/subsystem.ts';
import { ShmSubsystem } from '../shm/subsystem.ts';
import { IpcError } from './error.ts';
import { programHost } from './host.ts';
import { SharedBufferMemory } from './shared-buffer.ts';

/** On whose behalf calls are made: what modes and owners are checked against. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; none unless given. */
  readonly groups?: readonly number[];
  /** What segments record as their creator and last user. */
  readonly pid: number;
}

/**
 * Checks of calls on pipes, made where FreeBSD's kernel asks its mandatory-access-control policies (P120). A check returns 0 to let
 * the call go on, or a negative errno (`-os.constants.errno.EACCES`) that the call fails with. Pipes are named by `Pipe.id`.
 */
export interface PipePolicy {
  checkRead?(caller: Caller, pipeId: number): number;
  checkWrite?(caller: Caller, pipeId: number): number;
  checkPoll?(caller: Caller, pipeId: number): number;
  checkStat?(caller: Caller, pipeId: number): number;
  /** Called for each new pipe. */
  created?(pipeId: number): void;
  /** Called when both ends of a pipe are closed. */
  destroyed?(pipeId: number): void;
}

export interface IpcSystemOptions {
  /** Tunables by name (`kern.ipc.pipe_buf`), also those that are fixed afterwards. */
  readonly sysctls?: Readonly<Record<string, number>>;
  /** Asked before calls on pipes; without one nothing is. */
  readonly policy?: PipePolicy;
}

/** How a call that may wait can be ended. */
export interface WaitOptions {
  /** Ends the call as a signal would: it fails with EINTR, or returns what it has done so far. */
  readonly signal?: AbortSignal;
}

/** Node's timers take no more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const FIRST_DESCRIPTOR = 3;

/**
 * A set of engines: objects of one system can watch each other, share a memory budget and tunables, and know nothing of another
 * system's. Programs that need one only leave it out: `IpcSystem.shared` is taken then.
 */
export class IpcSystem {
  static #shared: IpcSystem | null = null;

  readonly #kernel = new Kernel(programHost);
  /** @internal */
  readonly pipes: PipeSubsystem;
  /** @internal */
  readonly kqueues: KqueueSubsystem;
  /** @internal */
  readonly shm: ShmSubsystem;
  /** Open files by the numbers that kqueues know them by. */
  readonly #files = new Map<number, { readonly file: File; readonly owner: object }>();
  #lastDescriptor = FIRST_DESCRIPTOR - 1;
  #timer: NodeJS.Timeout | null = null;
  #isSettling = false;

  /** Throws an IpcError (sysctl) for a tunable that there is not (ENOENT), a counter (EPERM), a value out of range (EINVAL). */
  constructor({ sysctls = {}, policy }: IpcSystemOptions = {}) {
    this.pipes = new PipeSubsystem(this.#kernel, queueFor);
    if (policy !== undefined) this.pipes.policy = enginePolicy(policy);
    this.shm = new ShmSubsystem(this.#kernel, new SharedBufferMemory());
    this.kqueues = new KqueueSubsystem(this.#kernel, {
      resolver: {
        resolve: (_kqueue, ident) =>
          (typeof ident === 'number' ? this.#files.get(ident)?.file : null) ?? -EBADF,
        *decide() {
          // A number is one file here.
        },
        isOpen: (_pid, descriptor, file) => this.#files.get(descriptor)?.file === file,
      },
      processEvents: null,
      processOf: (threadId) => threadId,
    });
    for (const [name, value] of Object.entries(sysctls)) {
      const error = this.#kernel.sysctls.preset(name, value);
      if (error !== 0) throw new IpcError(error, 'sysctl', `${name}=${value}`);
    }
  }

  /** The system of objects that are made without one. */
  static get shared(): IpcSystem {
    IpcSystem.#shared ??= new IpcSystem();
    return IpcSystem.#shared;
  }

  /** The value of a tunable or counter (`kern.ipc.pipekva`); throws ENOENT when there is none. */
  sysctl(name: string): number {
    const variable = this.#kernel.sysctls.get(name);
    if (variable === undefined) throw new IpcError(-ENOENT, 'sysctl', name);
    return variable.get();
  }

  /** Sets a tunable of the running system. Fails with ENOENT, EPERM (a counter, or fixed at the start), EINVAL (out of range). */
  async setSysctl(name: string, value: number): Promise<void> {
    await this.run('sysctl', () => this.#kernel.sysctls.change(name, value, superuser));
  }

  /**
   * Runs an operation to its end: what it returns, when that is not negative. Fails with an IpcError otherwise.
   * @internal
   */
  async run(
    syscall: string,
    operation: () => Operation<number>,
    { signal }: WaitOptions = {},
  ): Promise<number> {
    if (signal?.aborted === true) throw new IpcError(-EINTR, syscall);
    const thread = new Thread();
    thread.operation = operation();
    const interrupt = (): void => {
      this.#kernel.scheduler.interrupt(thread);
      this.settle();
    };
    const result = await new Promise<number>((resolve) => {
      thread.onExit = resolve;
      this.#kernel.scheduler.start(thread);
      if (thread.channel !== null) signal?.addEventListener('abort', interrupt, { once: true });
      this.settle();
    });
    signal?.removeEventListener('abort', interrupt);
    if (result < 0) throw new IpcError(result, syscall);
    return result;
  }

  /**
   * Runs what has become runnable, and sets the timer for the next callout. A timer keeps the program alive only while a call waits.
   * @internal
   */
  settle(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    const { callouts, scheduler } = this.#kernel;
    try {
      callouts.runExpired();
      scheduler.run();
    } finally {
      this.#isSettling = false;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const deadlineMs = callouts.nextDeadlineMs();
    if (deadlineMs === Infinity) return;
    // Rounded up: a callout that is found too early would be waited for once more, for a fraction of a millisecond.
    const delayMs = Math.min(Math.ceil(deadlineMs - callouts.nowMs()), LONGEST_TIMER_MS);
    this.#timer = setTimeout(
      () => {
        this.settle();
      },
      Math.max(delayMs, 0),
    );
    if (scheduler.sleepingCount === 0) this.#timer.unref();
  }

  /** Gives an open file a number, by which kqueues find it and name its owner. @internal */
  open(file: File, owner: object): number {
    const descriptor = ++this.#lastDescriptor;
    this.#files.set(descriptor, { file, owner });
    return descriptor;
  }

  /** The object behind a number. @internal */
  ownerOf(descriptor: number): object | null {
    return this.#files.get(descriptor)?.owner ?? null;
  }

  /** Frees the number, ends the registrations under the file, and closes it. @internal */
  async close(descriptor: number): Promise<void> {
    const open = this.#files.get(descriptor);
    if (open === undefined) return;
    this.#files.delete(descriptor);
    knotesOfClosedFile(open.file);
    await this.run('close', () => open.file.ops.close(open.file));
  }

  /** Number of blocked calls. */
  get waitingCount(): number {
    return this.#kernel.scheduler.sleepingCount;
  }
}

/** What a policy and a Pipe know a pair by. @internal */
export function pipeIdOf(pair: PipePair): number {
  return pair.ends[0].inode;
}

function enginePolicy(policy: PipePolicy): EnginePolicy {
  return {
    checkRead: (caller, pair) => policy.checkRead?.(caller, pipeIdOf(pair)) ?? 0,
    checkWrite: (caller, pair) => policy.checkWrite?.(caller, pipeIdOf(pair)) ?? 0,
    checkPoll: (caller, pair) => policy.checkPoll?.(caller, pipeIdOf(pair)) ?? 0,
    checkStat: (caller, pair) => policy.checkStat?.(caller, pipeIdOf(pair)) ?? 0,
    created: (pair) => policy.created?.(pipeIdOf(pair)),
    destroyed: (pair) => policy.destroyed?.(pipeIdOf(pair)),
  };
}

const superuser: Credentials = { uid: 0, gid: 0, pid: 0 };

/** This process, with its own ids and groups. */
export function thisProcess(): Caller {
  return {
    uid: process.geteuid!(),
    gid: process.getegid!(),
    groups: process.getgroups!(),
    pid: process.pid,
  };
}
