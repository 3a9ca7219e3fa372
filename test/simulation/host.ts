import type { Clock, Timespec } from '../../src/kern/clock.ts';
import type { Credentials } from '../../src/kern/credentials.ts';
import { EOPNOTSUPP, EPERM, ESRCH } from '../../src/kern/errno.ts';
import {
  type CallerDescription,
  type DescriptorTarget,
  type Host,
  NO_IDENTITY,
  ProcessEnding,
  type ResourceUsage,
  type SignalOwner,
  UNKNOWN_IDENTITY,
} from '../../src/kern/host.ts';
import { ProcessEventKind, type ProcessEvents, type ProcessWatcher } from '../../src/kern/process-events.ts';

/** Time that moves only when a step says so. Calendar time can jump, both ways. */
export class SimulatedClock implements Clock {
  nowMs = 1_000_000;
  realtimeOffsetMs = 1_700_000_000_000;

  monotonicMs(): number {
    return this.nowMs;
  }

  realtime(): Timespec {
    const ms = this.nowMs + this.realtimeOffsetMs;
    return { seconds: Math.floor(ms / 1000), nanoseconds: (((ms % 1000) + 1000) % 1000) * 1_000_000 };
  }
}

/** What the host knows of simulated processes. */
export interface ProcessDirectory {
  /** The process of a thread, or null when there is none. */
  processOf(threadId: number): number | null;
  descriptor(pid: number, descriptor: number): DescriptorTarget | null;
  /** How the process of a thread ends, or has ended. */
  endingOf(threadId: number): ProcessEnding;
}

/** The machine. While it is slow, it can tell nothing about processes. */
export class SimulatedHost implements Host {
  readonly clock = new SimulatedClock();
  readonly memoryBytes = 64 * 1024 * 1024;
  readonly complaints: string[] = [];
  readonly directory: ProcessDirectory;
  isSlow = false;
  /** So many of the next requests for memory are refused. */
  memoryFailures = 0;
  memoryRefusals = 0;
  sigpipes = 0;
  sigios = 0;

  constructor(directory: ProcessDirectory) {
    this.directory = directory;
  }

  hasMemory(): boolean {
    if (this.memoryFailures === 0) return true;
    this.memoryFailures--;
    this.memoryRefusals++;
    return false;
  }

  signalOwner(id: number, credentials: Credentials): SignalOwner | number {
    if (this.isSlow || this.directory.processOf(Math.abs(id)) === null) return -ESRCH;
    return credentials.uid !== 0 && id % 3 === 0 ? -EPERM : { id, credentials };
  }

  postSigio(): void {
    this.sigios++;
  }

  postSigpipe(): void {
    this.sigpipes++;
  }

  signalCaller(): number {
    return 0;
  }

  /** Never slow: who calls is there, and must not be somebody else in its next call. */
  processOf(threadId: number): number {
    return this.directory.processOf(threadId) ?? threadId;
  }

  endingOf(threadId: number): ProcessEnding {
    return this.directory.endingOf(threadId);
  }

  describeThread(threadId: number): CallerDescription | null {
    const process = this.isSlow ? null : this.directory.processOf(threadId);
    return process === null ? null : { process, parent: 0, command: 'simulated' };
  }

  resourceUsage(): ResourceUsage {
    return { residentBytes: 1, heapBytes: 1, processorSeconds: 1, startedSeconds: 1 };
  }

  describeDescriptor(pid: number, descriptor: number): DescriptorTarget | null {
    return this.isSlow ? null : this.directory.descriptor(pid, descriptor);
  }

  identityOf(pid: number, descriptor: number): number {
    if (this.isSlow) return UNKNOWN_IDENTITY;
    return this.directory.descriptor(pid, descriptor)?.identity ?? NO_IDENTITY;
  }

  supplementaryGroups(): readonly number[] {
    return [];
  }

  log(message: string): void {
    if (message.includes('internal error')) this.complaints.push(message);
  }
}

type ProcessEvent =
  | { readonly kind: 'fork'; readonly pid: number; readonly child: number }
  | { readonly kind: 'exec'; readonly pid: number }
  | { readonly kind: 'signal'; readonly pid: number; readonly signal: number }
  | { readonly kind: 'exit'; readonly pid: number; readonly status: number };

/** Events of simulated processes: told when the loop looks for them, as the host's are. */
export class SimulatedProcessEvents implements ProcessEvents {
  readonly alive = new Set<number>();
  readonly #watches = new Map<number, Map<ProcessWatcher, number>>();
  #queue: ProcessEvent[] = [];
  /** The next registration finds that the host cannot tell. */
  refusesNext = false;

  get watchCount(): number {
    let count = 0;
    for (const watchers of this.#watches.values()) count += watchers.size;
    return count;
  }

  get hasNews(): boolean {
    return this.#queue.length > 0;
  }

  watch(pid: number, kinds: number, watcher: ProcessWatcher): number {
    if (!this.alive.has(pid)) return -ESRCH;
    const watchers = this.#watches.get(pid) ?? new Map<ProcessWatcher, number>();
    // Only a kind that nobody has asked for yet can be one that the host cannot tell.
    if (this.refusesNext && (kinds & ~(watchers.get(watcher) ?? 0)) !== 0) {
      this.refusesNext = false;
      return -EOPNOTSUPP;
    }
    watchers.set(watcher, kinds);
    this.#watches.set(pid, watchers);
    return 0;
  }

  catchUp(): void {
    this.tell();
  }

  unwatch(pid: number, watcher: ProcessWatcher): void {
    const watchers = this.#watches.get(pid);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watches.delete(pid);
  }

  post(event: ProcessEvent): void {
    if (event.kind === 'exit') this.alive.delete(event.pid);
    if (event.kind === 'fork') this.alive.add(event.child);
    this.#queue.push(event);
  }

  /** Something has happened that nobody was told yet. */
  get isUntold(): boolean {
    return this.#queue.length > 0;
  }

  /** Tells the watchers; whether anybody was told anything. */
  tell(): boolean {
    const queue = this.#queue;
    this.#queue = [];
    for (const event of queue) {
      const watchers = this.#watches.get(event.pid);
      if (watchers === undefined) continue;
      if (event.kind === 'exit') this.#watches.delete(event.pid);
      for (const [watcher, kinds] of [...watchers]) {
        if (event.kind === 'exit') watcher.exited(event.status);
        else if (event.kind === 'fork' && (kinds & ProcessEventKind.Fork) !== 0) watcher.forked(event.child);
        else if (event.kind === 'exec' && (kinds & ProcessEventKind.Exec) !== 0) watcher.executed();
        else if (event.kind === 'signal' && (kinds & ProcessEventKind.Signal) !== 0) {
          watcher.signalled(event.signal);
        }
      }
    }
    return queue.length > 0;
  }
}
