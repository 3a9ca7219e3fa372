import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ENOMEM } from '../../../kern/errno.ts';
import type { ForeignAnswer, ForeignHost, ForeignRequest } from '../../../kern/foreign.ts';
import type { PollSource, PollSources } from '../../poll-sources.ts';
import { startThread } from '../../start-thread.ts';
import type { MountPlace } from '../descriptors/descriptors.ts';
import * as libc from '../libc.ts';

/** What a watching thread is started with, and a port. */
export interface ForeignWorkerInput {
  /** Eventfds: a request has come, an answer has come. */
  readonly requestDescriptor: number;
  readonly answerDescriptor: number;
  readonly firstNumber: number;
  readonly deviceMinor: number;
}

/** The last message in each direction. */
export interface Farewell {
  readonly kind: 'end';
}

/** How long the end of the server waits for that of its threads, in milliseconds. */
const END_TIMEOUT_MS = 500;

/** Users whose files can be watched at the same time: each takes a thread of some megabytes. */
const MOST_THREADS = 16;
/** Files of one thread have numbers below this and above those of the one before. */
const NUMBERS = 2 ** 32;

/** A thread that looks at files of one user at a time. */
class WatchingThread {
  readonly #port: MessagePort;
  readonly #requestDescriptor = libc.eventfd(0, libc.EFD_NONBLOCK | libc.EFD_CLOEXEC);
  /** Whose files it looks at. */
  uid = -1;
  /** Requests without an answer, and files that it watches. */
  pending = 0;
  readonly files = new Set<number>();
  hasEnded = false;

  constructor(index: number, answerDescriptor: number, deviceMinor: number) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const input: ForeignWorkerInput = {
      requestDescriptor: this.#requestDescriptor,
      answerDescriptor,
      firstNumber: (index + 1) * NUMBERS,
      deviceMinor,
    };
    const worker = startThread(new URL('./foreign-worker.js', import.meta.url), { ...input, port: port2 }, [
      port2,
    ]);
    // It must not keep a server that has ended.
    worker.unref();
    port1.unref();
  }

  get isFree(): boolean {
    return this.pending === 0 && this.files.size === 0;
  }

  send(request: ForeignRequest): void {
    if (request.kind === 'forget') this.files.delete(request.file);
    else this.pending++;
    this.#port.postMessage(request);
    libc.write(this.#requestDescriptor, one, one.byteLength);
  }

  /** Asks it to end: it says when it does. */
  end(): void {
    this.#port.postMessage({ kind: 'end' } satisfies Farewell);
    libc.write(this.#requestDescriptor, one, one.byteLength);
  }

  receive(): ForeignAnswer | null {
    const received = receiveMessageOnPort(this.#port) as { message: ForeignAnswer | Farewell } | undefined;
    if (received === undefined) return null;
    const { message } = received;
    if (message.kind === 'end') {
      this.hasEnded = true;
      return null;
    }
    if (message.kind === 'found') this.files.add(message.description.file);
    if (message.kind !== 'state') this.pending--;
    else if (message.state === null) this.files.delete(message.file);
    return message;
  }
}

const one = new BigUint64Array([1n]);

/**
 * Looks at files of users through threads, one for each user that has any watched at the moment. Looking takes locks that users can hold: of
 * a pipe by a write from memory that a file system of their own never gives, of a process by an exec. What such a user holds up is his own
 * thread.
 */
export class LinuxForeignHost implements ForeignHost, PollSource {
  readonly #sources: PollSources;
  readonly #mount: MountPlace;
  readonly #threads: WatchingThread[] = [];
  readonly #counter = new BigUint64Array(1);
  descriptor = -1;
  onAnswer: (answer: ForeignAnswer) => void = () => undefined;

  constructor(sources: PollSources, mount: MountPlace) {
    this.#sources = sources;
    this.#mount = mount;
  }

  get isAwaited(): boolean {
    return this.#threads.some(({ pending }) => pending > 0);
  }

  ask(uid: number, request: ForeignRequest): number {
    const thread =
      request.kind === 'forget' ? this.#threads[Math.floor(request.file / NUMBERS) - 1] : this.#threadOf(uid);
    // One that could not begin has ended at once.
    if (thread === undefined || thread.hasEnded) return -ENOMEM;
    thread.send(request);
    return 0;
  }

  readable(): void {
    libc.read(this.descriptor, this.#counter, this.#counter.byteLength);
    for (const thread of this.#threads) {
      for (let answer = thread.receive(); answer !== null; answer = thread.receive()) {
        this.onAnswer(answer);
      }
    }
  }

  /** Ends the threads; false when one of them is held in a call, and will not end before that does. */
  close(): boolean {
    for (const thread of this.#threads) thread.end();
    const endMs = performance.now() + END_TIMEOUT_MS;
    const words = new Int32Array([this.descriptor, libc.POLLIN]);
    while (this.#threads.some(({ hasEnded }) => !hasEnded)) {
      const leftMs = Math.ceil(endMs - performance.now());
      if (leftMs <= 0) return false;
      libc.poll(words, 1, leftMs);
      this.onAnswer = () => undefined;
      this.readable();
    }
    return true;
  }

  #threadOf(uid: number): WatchingThread | undefined {
    let thread =
      this.#threads.find((candidate) => candidate.uid === uid) ?? this.#threads.find(({ isFree }) => isFree);
    if (thread === undefined && this.#threads.length < MOST_THREADS) thread = this.#start();
    if (thread !== undefined) thread.uid = uid;
    return thread;
  }

  #start(): WatchingThread {
    if (this.descriptor < 0) {
      this.descriptor = libc.eventfd(0, libc.EFD_NONBLOCK | libc.EFD_CLOEXEC);
      this.#sources.add(this);
    }
    const thread = new WatchingThread(this.#threads.length, this.descriptor, this.#mount.deviceMinor);
    this.#threads.push(thread);
    return thread;
  }
}
