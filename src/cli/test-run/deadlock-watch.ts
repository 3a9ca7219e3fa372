import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { readText } from '../../host/linux/bounded-read.ts';
import type { ProcessTree } from '../../host/linux/processes/process-tree.ts';
import { lookAtWaits, sleptThrough } from '../blocked-calls/holders.ts';
import { type BlockedCallRow, type Holders, mayBeStuck } from '../blocked-calls/wait-graph.ts';
import { describeCalls, describeDeadlock } from '../blocked-calls/wait-report.ts';
import { CommandFailure, EXIT_DEADLOCK, report } from '../failures.ts';
import { readTable } from '../tables/tables.ts';
import { judgeLook, type RunProcess, type Verdict } from './certainty.ts';
import { announce, type FoundDeadlock, type Run, type RunFeature } from './run-feature.ts';

/** A deadlock has to be seen within a second. A look that takes long is followed by a longer pause. */
const PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 500;
const PAUSE_PER_LOOK = 4;
/** Calls that have waited less are not worth a look at /proc. */
const SETTLED_MS = 50;
/** A possible deadlock is printed after so many looks in a row have shown it. */
const LOOKS_IN_DOUBT = 6;

/** A server that has been killed is known to have ended within this time. */
const MOUNT_END_MS = 1000;

const SIGALRM = 14;

/** `--deadlock fail` and `report`: looks at the blocked calls all the time that the command runs. */
export class DeadlockWatch implements RunFeature {
  readonly #endsRun: boolean;
  /** What has been said, and how often in a row what is not certain was seen. */
  readonly #told = new Set<string>();
  #seen = new Map<string, number>();

  constructor(endsRun: boolean) {
    this.#endsRun = endsRun;
  }

  begin(run: Run): void {
    void this.#watch(run);
  }

  async #watch(run: Run): Promise<void> {
    while (!run.isOver) {
      const startMs = performance.now();
      try {
        const seen = await look(run);
        if (!run.isOver) this.#tell(run, seen);
      } catch (error) {
        // A mount that ends makes a look fail first. Its end is then said by who waits for it.
        await delay(MOUNT_END_MS);
        if (run.isOver) return;
        if (error instanceof CommandFailure)
          announce(`deadlocks are not looked for any more: ${error.message}`);
        else run.stop(report(error));
        return;
      }
      await delay(this.#pauseMs(performance.now() - startMs));
    }
  }

  #pauseMs(lookMs: number): number {
    // What may be a deadlock, and has not been told, is looked at again soon.
    if ([...this.#seen.keys()].some((key) => !this.#told.has(key))) return PAUSE_MS;
    return Math.min(Math.max(PAUSE_MS, PAUSE_PER_LOOK * lookMs), LONGEST_PAUSE_MS);
  }

  #tell(run: Run, look: Look | null): void {
    const before = this.#seen;
    this.#seen = new Map();
    if (look === null) return;
    const lasts = (calls: readonly BlockedCallRow[], looks: number): boolean => {
      const key = keyOf(calls);
      const count = (before.get(key) ?? 0) + 1;
      this.#seen.set(key, count);
      return count >= looks;
    };
    const { certain, possible, standstill } = look.verdict;
    const say = (calls: readonly BlockedCallRow[], line: string): void => {
      this.#say(run, { calls, line, holders: look.holders });
    };
    for (const deadlock of possible) {
      if (lasts(deadlock.calls, LOOKS_IN_DOUBT)) say(deadlock.calls, describeDeadlock(deadlock));
    }
    for (const deadlock of certain) say(deadlock.calls, describeDeadlock(deadlock));
    let isStuck = certain.length > 0;
    if (!isStuck && standstill !== null && lasts(standstill, 2)) {
      isStuck = true;
      say(standstill, describeStandstill(standstill));
    }
    if (isStuck && this.#endsRun) run.stop(EXIT_DEADLOCK);
  }

  /** Once for the same calls. */
  #say(run: Run, found: FoundDeadlock): void {
    const key = keyOf(found.calls);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    announce(found.line);
    for (const listener of run.deadlockListeners) listener(found);
  }
}

function keyOf(calls: readonly BlockedCallRow[]): string {
  return calls.map(({ pid, call, ino }) => `${pid} ${call} ${ino}`).join();
}

function describeStandstill(calls: readonly BlockedCallRow[]): string {
  const verb = calls.length === 1 ? 'waits' : 'wait';
  return `deadlock: ${describeCalls(calls)} ${verb}, and no process of the run is left that could end it`;
}

interface Look {
  readonly verdict: Verdict;
  readonly holders: Holders;
}

/** Null when nothing has waited for long. */
async function look({ mount, tree }: Run): Promise<Look | null> {
  const waits = await readTable(mount, 'waits');
  if (!waits.some((row) => mayBeStuck(row) && row.since * 1000 >= SETTLED_MS)) return null;
  const startMs = performance.now();
  const { calls, holders, deadlocks } = await lookAtWaits(mount);
  const seenMs = performance.now();
  const processes = lookAtProcesses(tree);
  const betweenMs = performance.now() - seenMs;
  const after = await readTable(mount, 'waits');
  const asleep = sleptThrough(calls, after, { lookMs: performance.now() - startMs, betweenMs });
  return { verdict: judgeLook({ deadlocks, holders, asleep, processes }), holders };
}

function lookAtProcesses(tree: ProcessTree): RunProcess[] {
  return tree.members().map((pid) => {
    const threads = threadsOf(pid);
    return {
      pid,
      threads,
      waiting: new Set(threads.filter((thread) => isWaiting(pid, thread))),
      catchesAlarm: catchesAlarm(pid),
    };
  });
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    // It has ended meanwhile.
    return [];
  }
}

/** In wait(2), or in sigsuspend(2), where some shells wait for their children. Where Linux does not say, it may do anything. */
function isWaiting(pid: number, thread: number): boolean {
  return /^do_wait\b|sigsuspend/.test(readText(`/proc/${pid}/task/${thread}/wchan`) ?? '');
}

function catchesAlarm(pid: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readText(`/proc/${pid}/status`) ?? '')?.[1] ?? '0';
  return ((BigInt(`0x${caught}`) >> BigInt(SIGALRM - 1)) & 1n) === 1n;
}
