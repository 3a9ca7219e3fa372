import type { CallerDescription, Host } from '../../kern/host.ts';

/** Threads that are remembered. */
const LIMIT = 8192;
/** A process that runs another program makes no call for about as long. */
const QUIET_MS = 0.5;
/** Looks at threads that are known already take this part of the time at most. */
const SHARE = 1 / 200;

interface KnownThread {
  description: CallerDescription | null;
  lastCallMs: number;
  /** It may run another program by now. */
  isDoubtful: boolean;
}

/**
 * Who makes calls: the process of a thread and its command. A look at /proc takes some ten microseconds, so a thread is looked at in its
 * first call, when it is there for certain, and again after a pause, in which it may have run another program.
 */
export class Callers {
  readonly #host: Host;
  readonly #threads = new Map<number, KnownThread>();
  /** Before that no known thread is looked at again. */
  #nextLookMs = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** The caller of a call that is under way; null when it cannot be found. */
  of(pid: number, nowMs: number): CallerDescription | null {
    if (pid === 0) return null;
    const known = this.#threads.get(pid);
    if (known === undefined) {
      if (this.#threads.size === LIMIT) this.#threads.delete(this.#threads.keys().next().value!);
      const description = this.#host.describeThread(pid);
      this.#threads.set(pid, { description, lastCallMs: nowMs, isDoubtful: false });
      return description;
    }
    if (nowMs - known.lastCallMs >= QUIET_MS) known.isDoubtful = true;
    known.lastCallMs = nowMs;
    if (known.isDoubtful && nowMs >= this.#nextLookMs) this.#lookAgain(pid, known, nowMs);
    return known.description;
  }

  /** The caller of a call that may be over: what is known of the thread. */
  known(pid: number): CallerDescription | null {
    return this.#threads.get(pid)?.description ?? null;
  }

  #lookAgain(pid: number, known: KnownThread, nowMs: number): void {
    // One that has ended meanwhile stays what it was.
    known.description = this.#host.describeThread(pid) ?? known.description;
    known.isDoubtful = false;
    const endMs = this.#host.clock.monotonicMs();
    known.lastCallMs = endMs;
    this.#nextLookMs = endMs + (endMs - nowMs) * (1 / SHARE - 1);
  }
}
