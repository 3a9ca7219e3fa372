import { readFileSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { ended, startProgram } from './programs/start.ts';
import { figureAtMost, median, type Row } from './rows.ts';

/** Twice as many as Linux queues at once (F10 in native-notes/decisions.md). */
const FILES = 4096;
const LONGEST_STEP_MS = 10;
const MS_PER_SECOND = 1000;
const CHECK_MS = 50;

/** The longest step of the serving thread, in milliseconds, as info/metrics shows it. */
function longestStepMs(mount: BenchMount): number {
  const line = /^ipcfs_longest_step_seconds (\S+)$/m.exec(readFileSync(mount.path('info/metrics'), 'utf8'));
  return Number(line![1]) * MS_PER_SECOND;
}

/** Opens many files in another process, ends it, and waits until they are closed. */
async function openAndEnd(mount: BenchMount): Promise<void> {
  const child = await startProgram('open', [mount.pipe, String(FILES)]);
  child.stdin!.end();
  await ended(child);
  while ((await mount.table('handles')).length > 2)
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
}

/**
 * The longest step while processes with many open files end. Steps are told of the last minutes, and the first ones of a server compile
 * what they run: so the figure is an upper bound, and rounds only make it surer.
 */
export async function* longestSteps(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const figures: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await openAndEnd(mount);
    figures.push(longestStepMs(mount));
  }
  yield {
    what: `longest step of the server while a process with ${FILES.toLocaleString('en')} open files ends`,
    unit: 'ms',
    ipcfs: median(figures),
    peer: null,
    peerName: 'none: garbage collection and waiting for a processor included',
    ratio: null,
    goal: figureAtMost(LONGEST_STEP_MS),
  };
}
