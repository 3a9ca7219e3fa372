import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { startThread } from '../../start-thread.ts';
import { exitNow } from '../libc.ts';

/** Positions of the words that tell where a look is: at which process, and how many it has come to. */
export const Place = { Pid: 0, Count: 1 } as const;

/** What a thread is asked: `left` are processes to leave out. */
export interface LookQuestion<Asked> {
  readonly asked: Asked;
  readonly left: readonly number[];
}

/** A look is at one process for some milliseconds. One that is there for as long as this hangs. */
const HANG_MS = 1000;
/** Threads that may hang at a time. With so many nothing is found out until one goes on. */
const MAX_ABANDONED = 3;

/** Looks that have not ended, given up or not. Node waits for its threads when the program ends; it must not wait for those. */
let unendedCount = 0;

function exitWithoutThreads(code: number): void {
  exitNow(code);
}

function lookBegins(): void {
  if (unendedCount++ === 0) process.once('exit', exitWithoutThreads);
}

function lookEnds(): void {
  if (--unendedCount === 0) process.removeListener('exit', exitWithoutThreads);
}

/** A thread, and the look that it makes. */
interface Looker<Seen> {
  readonly worker: Worker;
  /** See Place. */
  readonly place: Int32Array<SharedArrayBuffer>;
  ended: (seen: Seen | null) => void;
}

/**
 * Looks at the processes of the host, one look at a time, for half of the time at most. A process can keep the readers of its maps, its
 * memory or its system call waiting for ever (by an execve that closes a file of a file system of its own), so a thread does it, which is
 * given up then: another one looks at the other processes.
 */
export class LookThread<Asked, Seen> {
  readonly #module: URL;
  #looker: Looker<Seen> | null = null;
  readonly #hanging = new Set<number>();
  #notBeforeMs = 0;

  /** `module` answers by `answerLooks`. It is started with the first look. */
  constructor(module: URL) {
    this.#module = module;
  }

  /** Null when nothing could be seen. To be called when the look before has ended. */
  async look(asked: Asked): Promise<Seen | null> {
    if (this.#hanging.size >= MAX_ABANDONED) return null;
    const pauseMs = this.#notBeforeMs - performance.now();
    if (pauseMs >= 1) await delay(pauseMs);
    const beginMs = performance.now();
    const seen = await this.#ask({ asked, left: [...this.#hanging] });
    const endMs = performance.now();
    this.#notBeforeMs = endMs + (endMs - beginMs);
    return seen;
  }

  #ask(question: LookQuestion<Asked>): Promise<Seen | null> {
    const looker = (this.#looker ??= startLooker<Seen>(this.#module));
    return new Promise((resolve) => {
      let lastCount = -1;
      const timer = setInterval(() => {
        const count = Atomics.load(looker.place, Place.Count);
        // Before the first process the thread begins.
        if (count === lastCount && count > 0) {
          clearInterval(timer);
          this.#abandon(looker);
          resolve(null);
        }
        lastCount = count;
      }, HANG_MS);
      // A server that has ended does not wait for what it would have shown.
      timer.unref();
      lookBegins();
      looker.ended = (seen) => {
        lookEnds();
        clearInterval(timer);
        // It had no memory, perhaps.
        if (seen === null) this.#looker = null;
        resolve(seen);
      };
      looker.worker.postMessage(question);
    });
  }

  /** Leaves a thread to the process that it waits for. */
  #abandon(looker: Looker<Seen>): void {
    const pid = Atomics.load(looker.place, Place.Pid);
    this.#looker = null;
    this.#hanging.add(pid);
    looker.ended = () => {
      this.#hanging.delete(pid);
      lookEnds();
      void looker.worker.terminate();
    };
  }
}

function startLooker<Seen>(module: URL): Looker<Seen> {
  const place = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  const worker = startThread(module, place);
  const looker: Looker<Seen> = { worker, place, ended: () => undefined };
  worker.on('message', (seen: Seen) => {
    looker.ended(seen);
  });
  worker.on('error', () => {
    looker.ended(null);
  });
  // It must not keep a server that has ended.
  worker.unref();
  return looker;
}
