import type { Worker } from 'node:worker_threads';
import type { MountPlace } from './descriptors.ts';
import { startThread } from '../../start-thread.ts';

/** A question for the handle of an open file: what a process has at a descriptor. */
export interface HandleRequest {
  readonly id: number;
  readonly pid: number;
  readonly descriptor: number;
}

/** `handle` is 0 where there is none, or it may not be asked. */
export interface HandleAnswer {
  readonly id: number;
  readonly handle: number;
}

/** Asks open files of a mount for their handles from a thread of its own, which is started when it is first needed. */
export class HandleThread {
  readonly #place: MountPlace;
  readonly #answered: (answer: HandleAnswer) => void;
  #worker: Worker | null = null;

  constructor(place: MountPlace, answered: (answer: HandleAnswer) => void) {
    this.#place = place;
    this.#answered = answered;
  }

  ask(request: HandleRequest): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(request);
  }

  #start(): Worker {
    const worker = startThread(new URL('./handle-worker.js', import.meta.url), this.#place);
    worker.on('message', this.#answered);
    // It must not keep a server that has ended.
    worker.unref();
    return worker;
  }
}
