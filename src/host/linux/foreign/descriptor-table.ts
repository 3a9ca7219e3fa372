import { readdirSync, readlinkSync } from 'node:fs';
import * as libc from '../libc.ts';
import { ownDescriptors } from './calls.ts';

/** What libuv and this thread need: they write to it by its number. */
const NEEDED = /^(?:anon_inode:\[(?:eventfd|eventpoll)\]|pipe:\[\d+\])$/;
const STANDARD_ERROR = 2;

/**
 * Gives this thread a table of descriptors of its own, in which nothing of the server is left: a thread that is held in a call keeps no
 * mount and no memory, and numbers are free for its use. Whether that could be done.
 */
export function takeOwnDescriptors(): boolean {
  if (ownDescriptors() !== 0) return false;
  for (const name of readdirSync('/proc/thread-self/fd')) {
    const descriptor = Number(name);
    if (descriptor <= STANDARD_ERROR) continue;
    let target: string;
    try {
      target = readlinkSync(`/proc/thread-self/fd/${name}`);
    } catch {
      // It was that of the directory.
      continue;
    }
    if (!NEEDED.test(target)) libc.close(descriptor);
  }
  return true;
}

const limits = new BigUint64Array(2);
/** No more than so many are watched by one thread, whatever the limit of descriptors is. */
const MOST_SLOTS = 1 << 20;
/** The part of all numbers that is left to descriptors that stay open. */
const LOW_PART = 1 / 4;

/** Numbers of descriptors that stand for entries of an epoll set: each is used for a moment only, and is closed in between. */
export class SlotNumbers {
  readonly #first: number;
  readonly #end: number;
  readonly #free: number[] = [];
  #next: number;

  constructor() {
    const isKnown = libc.getrlimit(libc.RLIMIT_NOFILE, limits) === 0;
    this.#end = Math.min(MOST_SLOTS, isKnown ? Number(limits[0]) : 1024);
    this.#first = Math.floor(this.#end * LOW_PART);
    this.#next = this.#first;
    // Those that are in use by now are not given.
    for (const name of readdirSync('/proc/thread-self/fd'))
      this.#next = Math.max(this.#next, Number(name) + 1);
  }

  /** -1 when there is none left. */
  take(): number {
    return this.#free.pop() ?? (this.#next < this.#end ? this.#next++ : -1);
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  /** Whether a descriptor that stays open may have this number; otherwise it is closed. */
  keeps(descriptor: number): boolean {
    if (descriptor < this.#first) return true;
    libc.close(descriptor);
    return false;
  }
}
