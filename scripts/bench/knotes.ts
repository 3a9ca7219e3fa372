import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchMount } from './bench-mount.ts';
import { median, type Row } from './rows.ts';

const SMALL = 1000;
const LARGE = 100_000;
/** Knotes that are registered, or triggered and collected, for one figure. */
const SAMPLE = 1000;
const FIRST_SAMPLE_IDENT = 1_000_000;

/** A kqueue of the mount, used by its text form as a script would. */
class TextQueue {
  readonly #descriptor: number;
  readonly #buffer = Buffer.alloc(1024 * 1024);

  constructor(path: string) {
    this.#descriptor = openSync(path, constants.O_RDWR);
  }

  /** One change for each ident, in one write. */
  apply(change: (ident: number) => string, first: number, count: number): void {
    let text = '';
    for (let ident = first; ident < first + count; ident++) text += change(ident);
    writeSync(this.#descriptor, text);
  }

  collect(count: number): void {
    for (let seen = 0; seen < count;) {
      const length = readSync(this.#descriptor, this.#buffer);
      for (let at = this.#buffer.indexOf(10); at >= 0 && at < length; at = this.#buffer.indexOf(10, at + 1)) {
        seen++;
      }
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

const add = (ident: number): string => `add user ${ident} clear\n`;
const trigger = (ident: number): string => `modify user ${ident} trigger\n`;
const remove = (ident: number): string => `delete user ${ident}\n`;

/** Microseconds a knote for registering, and for triggering and collecting, in a queue of `size` knotes. */
function measure(path: string, size: number): { register: number; deliver: number } {
  const queue = new TextQueue(path);
  try {
    for (let first = 0; first < size; first += SAMPLE) queue.apply(add, first, SAMPLE);
    const start = performance.now();
    queue.apply(add, FIRST_SAMPLE_IDENT, SAMPLE);
    const registered = performance.now();
    queue.apply(remove, FIRST_SAMPLE_IDENT, SAMPLE);
    const again = performance.now();
    queue.apply(trigger, 0, SAMPLE);
    queue.collect(SAMPLE);
    const delivered = performance.now();
    return {
      register: ((registered - start) * 1000) / SAMPLE,
      deliver: ((delivered - again) * 1000) / SAMPLE,
    };
  } finally {
    queue.close();
  }
}

/** What a knote costs in a queue of 100,000 against one of 1,000: the engine does not walk its knotes. */
export function knoteCosts(mount: BenchMount, rounds: number): Row[] {
  const path = join(mount.directory, 'kqueue');
  measure(path, SMALL);
  const pairs = Array.from({ length: rounds }, () => ({
    small: measure(path, SMALL),
    large: measure(path, LARGE),
  }));
  return (['register', 'deliver'] as const).map((step) => ({
    what: step === 'register' ? 'register a knote' : 'trigger and collect',
    unit: 'us',
    ipcfs: median(pairs.map(({ large }) => large[step])),
    peer: median(pairs.map(({ small }) => small[step])),
    peerName: 'at 1,000 knotes, not 100,000',
    ratio: median(pairs.map(({ small, large }) => large[step] / small[step])),
  }));
}
