import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { compare, figureAtMost, median, ratioAtMost, type Row } from './rows.ts';
import { residentBytes } from './server.ts';

const SMALL = 1000;
const SIZES = [100_000, 1_000_000];
/** Knotes that are registered, or triggered and collected, at a time. */
const SAMPLE = 1000;
/** So often for one figure, the median, with knotes that lie apart: a collection of garbage takes as long as many of them. */
const WINDOWS = 9;
const FIRST_SAMPLE_IDENT = 10_000_000;
/** Of the sizes, the one at which the memory of a knote is looked at. */
const WEIGHED = 1_000_000;

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

interface Costs {
  /** Microseconds a knote. */
  readonly register: number;
  readonly deliver: number;
  /** Resident memory of the server a knote, in bytes. */
  readonly memory: number;
}

/** What registering, and triggering and collecting, cost in a queue of `size` knotes. */
function measure(path: string, size: number, server: number): Costs {
  const before = residentBytes(server);
  const queue = new TextQueue(path);
  try {
    for (let first = 0; first < size; first += SAMPLE) queue.apply(add, first, SAMPLE);
    const memory = (residentBytes(server) - before) / size;
    const register: number[] = [];
    const deliver: number[] = [];
    for (let window = 0; window < WINDOWS; window++) {
      const start = performance.now();
      queue.apply(add, FIRST_SAMPLE_IDENT, SAMPLE);
      register.push(((performance.now() - start) * 1000) / SAMPLE);
      queue.apply(remove, FIRST_SAMPLE_IDENT, SAMPLE);
      const first = Math.floor(((size - SAMPLE) * window) / (WINDOWS - 1));
      const again = performance.now();
      queue.apply(trigger, first, SAMPLE);
      queue.collect(SAMPLE);
      deliver.push(((performance.now() - again) * 1000) / SAMPLE);
    }
    return { register: median(register), deliver: median(deliver), memory };
  } finally {
    queue.close();
  }
}

/** What a knote costs in a queue of many against one of few: the engine does not walk its knotes. */
export async function* knoteCosts(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const path = mount.path('kqueue');
  const server = await mount.serverPid();
  measure(path, SMALL, server);
  for (const size of SIZES) {
    const pairs = Array.from({ length: rounds }, () => ({
      small: measure(path, SMALL, server),
      large: measure(path, size, server),
    }));
    for (const step of ['register', 'deliver'] as const) {
      let round = 0;
      yield await compare(
        {
          what:
            (step === 'register' ? 'register a knote' : 'trigger and collect a knote') +
            ` among ${size.toLocaleString('en')}`,
          unit: 'us',
          peerName: `among ${SMALL.toLocaleString('en')}`,
          goal: ratioAtMost(1.5),
        },
        rounds,
        () => pairs[round++]!.large[step],
        () => pairs[round]!.small[step],
      );
    }
    if (size !== WEIGHED) continue;
    // The first round's queue finds the server small; later ones use what that one left free.
    yield await compare(
      { what: 'memory of a knote', unit: 'bytes', peerName: '', goal: figureAtMost(400) },
      1,
      () => pairs[0]!.large.memory,
      null,
    );
  }
}
