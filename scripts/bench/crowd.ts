import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchMount } from './bench-mount.ts';
import { ended, startProgram } from './programs/start.ts';
import { residentBytes } from './server.ts';
import { compare, figureAtMost, ratioAtMost, type Row } from './rows.ts';

const READERS = 2000;
/** libuv has 1024 threads at most. */
const READERS_A_PROCESS = 500;
const STATS = 2000;
const CHECK_MS = 50;

/** Blocked readers, each on a pipe of its own. */
class Crowd {
  readonly #processes: ChildProcess[] = [];
  readonly #directory: string;

  constructor(mount: BenchMount) {
    this.#directory = mount.path('pipes/crowd');
    mkdirSync(this.#directory);
  }

  #path(index: number): string {
    return `${this.#directory}/${index}`;
  }

  makePipes(): void {
    for (let index = 0; index < READERS; index++) writeFileSync(this.#path(index), '', { flag: 'a' });
  }

  async block(mount: BenchMount): Promise<void> {
    for (let first = 0; first < READERS; first += READERS_A_PROCESS) {
      const paths = Array.from({ length: READERS_A_PROCESS }, (_, index) => this.#path(first + index));
      const environment = { UV_THREADPOOL_SIZE: String(READERS_A_PROCESS) };
      this.#processes.push(await startProgram('block', paths, environment));
    }
    while ((await mount.table('waits')).length < READERS) await delay(CHECK_MS);
  }

  async leave(mount: BenchMount): Promise<void> {
    for (const child of this.#processes) child.stdin!.end();
    for (const child of this.#processes) await ended(child);
    while ((await mount.table('waits')).length > 0) await delay(CHECK_MS);
    rmSync(this.#directory, { recursive: true });
  }
}

/** Microseconds of one stat(2) of a pipe, path and all. */
function statCost(path: string): number {
  const startMs = performance.now();
  for (let count = 0; count < STATS; count++) statSync(path);
  return ((performance.now() - startMs) * 1000) / STATS;
}

/** What others feel of readers that wait, and what a reader that waits costs the server. */
export async function* blockedReaders(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const server = await mount.serverPid();
  const costs: { alone: number; beside: number }[] = [];
  const pipeBytes: number[] = [];
  const readerBytes: number[] = [];
  // The first stats of a server's life are slow: nothing of it is compiled yet.
  statCost(mount.pipe);
  for (let round = 0; round < rounds; round++) {
    const alone = statCost(mount.pipe);
    const before = residentBytes(server);
    const crowd = new Crowd(mount);
    try {
      crowd.makePipes();
      const withPipes = residentBytes(server);
      await crowd.block(mount);
      pipeBytes.push((withPipes - before) / READERS);
      readerBytes.push((residentBytes(server) - withPipes) / READERS);
      costs.push({ alone, beside: statCost(mount.pipe) });
    } finally {
      await crowd.leave(mount);
    }
  }
  let round = 0;
  yield await compare(
    {
      what: `stat beside ${READERS.toLocaleString('en')} blocked readers`,
      unit: 'us',
      peerName: 'without them',
      goal: ratioAtMost(1.5),
    },
    rounds,
    () => costs[round++]!.beside,
    () => costs[round]!.alone,
  );
  round = 0;
  yield await compare(
    {
      what: `stat beside ${READERS.toLocaleString('en')} blocked readers, the time itself`,
      unit: 'us',
      peerName: '',
      goal: figureAtMost(5000),
    },
    rounds,
    () => costs[round++]!.beside,
    null,
  );
  // The first crowd finds the server small; later ones use what that one left free.
  const figures = [
    { what: 'memory of a pipe that nobody has open', bytes: pipeBytes[0]! },
    { what: 'memory of an open file and its blocked reader', bytes: readerBytes[0]! },
  ];
  for (const { what, bytes } of figures) {
    yield await compare({ what, unit: 'bytes', peerName: '' }, 1, () => bytes, null);
  }
}
