import { failureOf, shrink, traceOf } from '../../test/simulation/shrink.ts';
import { simulate, stepsOf } from '../../test/simulation/simulation.ts';

const MS_PER_HOUR = 3_600_000;
const REPORT_EVERY_MS = 60_000;
const MIB = 1024 * 1024;

export interface SoakOptions {
  readonly hours: number;
  /** Of one run. */
  readonly steps: number;
  readonly firstSeed: number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Seeds in turn until the time is over, or one fails, which is then shrunk and shown. Whether none did. */
export function soakSimulation({ hours, steps, firstSeed }: SoakOptions): boolean {
  const tally = new Map<string, number>();
  const startMs = performance.now();
  let reportMs = startMs + REPORT_EVERY_MS;
  let seed = firstSeed;
  for (; performance.now() - startMs < hours * MS_PER_HOUR; seed++) {
    try {
      simulate({ seed, steps: stepsOf(seed, steps), tally });
    } catch (error) {
      say(`seed ${seed} fails: ${String(error)}`);
      return replay(seed, steps);
    }
    if (performance.now() < reportMs) continue;
    reportMs += REPORT_EVERY_MS;
    say(summary(seed - firstSeed + 1, steps, startMs));
  }
  say(summary(seed - firstSeed, steps, startMs));
  for (const [event, count] of [...tally].sort(([one], [other]) => (one < other ? -1 : 1))) {
    say(`${event}: ${count}`);
  }
  return true;
}

function summary(runs: number, steps: number, startMs: number): string {
  const seconds = (performance.now() - startMs) / 1000;
  const memory = Math.round(process.memoryUsage.rss() / MIB);
  return `${runs} runs, ${runs * steps} steps in ${seconds.toFixed(0)} s without a failure, ${memory} MiB`;
}

/** Runs one seed; a failure is shrunk, and shown message by message. Whether it did not fail. */
export function replay(seed: number, stepCount: number): boolean {
  const steps = stepsOf(seed, stepCount);
  if (failureOf(seed, steps) === null) {
    say(`seed ${seed} does not fail in ${stepCount} steps`);
    return true;
  }
  const shortest = shrink(seed, steps);
  for (const line of traceOf(seed, shortest)) say(line);
  say(`seed ${seed} fails in ${shortest.length} of ${stepCount} steps`);
  return false;
}
