import type { PollSource, PollSources } from '../../poll-sources.ts';
import * as libc from '../libc.ts';

/** struct pollfd in 32-bit words: the descriptor; events and revents, 16 bits each. */
const WORDS = 2;
const REVENTS_SHIFT = 16;

const epollCreate = libc.define('int epoll_create1(int)') as (flags: number) => number;
/** `event`: struct epoll_event, packed on x86-64 only: its first word has the events, which are the same in both. */
const epollControl = libc.define('int epoll_ctl(int, int, int, void*)') as (
  descriptor: number,
  operation: number,
  watched: number,
  event: Uint32Array,
) => number;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_EVENT_WORDS = 4;

/** Descriptors that one thread sleeps on: some that only end the sleep, and sources that are called. */
export class PollSet implements PollSources {
  readonly #fixed: readonly number[];
  readonly #sources: PollSource[] = [];
  #words = new Int32Array(0);
  /** An epoll of the same descriptors; -1 until somebody wants it. */
  #watchDescriptor = -1;

  /** `fixed`: descriptors whose readability ends `wait`, and which are not read here. */
  constructor(fixed: readonly number[]) {
    this.#fixed = fixed;
    this.#layOut();
  }

  /** Sources, without the fixed descriptors. */
  get size(): number {
    return this.#sources.length;
  }

  /** Whether somebody waits for one of the sources. */
  get isAwaited(): boolean {
    return this.#sources.some((source) => source.isAwaited === true);
  }

  add(source: PollSource): void {
    this.#sources.push(source);
    this.#layOut();
    this.#control(EPOLL_CTL_ADD, source.descriptor);
  }

  remove(source: PollSource): void {
    const index = this.#sources.indexOf(source);
    if (index < 0) return;
    this.#sources.splice(index, 1);
    this.#layOut();
    this.#control(EPOLL_CTL_DEL, source.descriptor);
  }

  /** A descriptor that is readable while one of the set is; negative when there is none to be had. */
  get watchDescriptor(): number {
    if (this.#watchDescriptor < 0) {
      this.#watchDescriptor = epollCreate(EPOLL_CLOEXEC);
      for (const descriptor of this.#descriptors()) this.#control(EPOLL_CTL_ADD, descriptor);
    }
    return this.#watchDescriptor;
  }

  close(): void {
    if (this.#watchDescriptor >= 0) libc.close(this.#watchDescriptor);
    this.#watchDescriptor = -1;
  }

  #control(operation: number, descriptor: number): void {
    if (this.#watchDescriptor < 0) return;
    const event = new Uint32Array(EPOLL_EVENT_WORDS);
    event[0] = libc.POLLIN;
    epollControl(this.#watchDescriptor, operation, descriptor, event);
  }

  #descriptors(): number[] {
    return [...this.#fixed, ...this.#sources.map(({ descriptor }) => descriptor)];
  }

  /** Sleeps until something is readable or `timeoutMs` (-1: for ever) have passed. Whether a source was called. */
  wait(timeoutMs: number): boolean {
    const count = this.#fixed.length + this.#sources.length;
    if (libc.poll(this.#words, count, timeoutMs) <= 0) return false;
    return this.#sources.length > 0 && this.#callReadable();
  }

  #callReadable(): boolean {
    const first = this.#fixed.length * WORDS + 1;
    const words = this.#words;
    const ready = this.#sources.filter((_, index) => words[first + index * WORDS]! >>> REVENTS_SHIFT !== 0);
    for (const source of ready) {
      // One may end another.
      if (this.#sources.includes(source)) source.readable();
    }
    return ready.length > 0;
  }

  /** poll(2) leaves the wanted events as they are, so the words are written only when the set changes. */
  #layOut(): void {
    const descriptors = this.#descriptors();
    this.#words = new Int32Array(descriptors.length * WORDS);
    descriptors.forEach((descriptor, index) => {
      this.#words[index * WORDS] = descriptor;
      this.#words[index * WORDS + 1] = libc.POLLIN;
    });
  }
}
