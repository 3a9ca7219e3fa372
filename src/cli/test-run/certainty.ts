import {
  type BlockedCallRow,
  type Deadlock,
  endersOf,
  type Holders,
  isCertain,
  isInferred,
  isUpToProcesses,
  REMOVED,
} from '../blocked-calls/wait-graph.ts';

/** What /proc says of a process of the run. */
export interface RunProcess {
  readonly pid: number;
  /** Its threads. */
  readonly threads: readonly number[];
  /** Those that wait for a child or a signal. */
  readonly waiting: ReadonlySet<number>;
  /** It may have set an alarm that ends its call: nobody can see whether it has. */
  readonly catchesAlarm: boolean;
}

export interface RunLook {
  readonly deadlocks: readonly Deadlock[];
  readonly holders: Holders;
  /** Calls that have slept through all of the look. */
  readonly asleep: readonly BlockedCallRow[];
  readonly processes: readonly RunProcess[];
}

export interface Verdict {
  /** Calls of the run that can never end. */
  readonly certain: readonly Deadlock[];
  /** Deadlocks that are likely, or unless somebody has an object open who could not be seen. */
  readonly possible: readonly Deadlock[];
  /**
   * Set when no process of the run can act any more: all their calls. It takes more for granted than a deadlock does, that nobody
   * moved between looking at one process and the next.
   */
  readonly standstill: readonly BlockedCallRow[] | null;
}

/**
 * What a look means for a run. The mount is its own, so who may still come and open an object by its name is known: a process of the
 * run that is not asleep. Therefore a run of which nobody can act is stuck, also where its calls wait for somebody to open a pipe. And
 * calls that wait for themselves only (`exec 3<>pipe; read <&3`, which keeps a pipe open for those who come) are no deadlock as long
 * as somebody can come.
 */
export function judgeLook({ deadlocks, holders, asleep: rows, processes }: RunLook): Verdict {
  // What is inferred is not certain enough to end a run.
  const asleep = rows.filter((row) => !isInferred(row));
  const enders = endersOf(
    deadlocks.flatMap(({ calls }) => calls),
    holders,
  );
  const isOwn = new Set(processes.map(({ pid }) => pid));
  const mayBeWoken = new Set(processes.filter(({ catchesAlarm }) => catchesAlarm).map(({ pid }) => pid));
  const waitsForVisitors = ({ calls }: Deadlock): boolean =>
    calls.every((call) => call.object !== REMOVED && enders.get(call)!.includes(call.process as number));
  const candidates = deadlocks.filter(
    (deadlock) =>
      deadlock.calls.some(({ process }) => isOwn.has(process as number)) &&
      !deadlock.calls.some(({ process }) => mayBeWoken.has(process as number)) &&
      !waitsForVisitors(deadlock),
  );
  const sleeping = new Set(asleep.filter(isUpToProcesses).map(({ pid }) => pid));
  const canAct = ({ threads, waiting, catchesAlarm }: RunProcess): boolean =>
    catchesAlarm || threads.some((thread) => !waiting.has(thread) && !sleeping.has(thread));
  const own = asleep.filter(({ process }) => isOwn.has(process as number));
  return {
    certain: candidates.filter(isCertain),
    possible: candidates.filter((deadlock) => !isCertain(deadlock)),
    standstill: own.length > 0 && !processes.some(canAct) ? own : null,
  };
}
