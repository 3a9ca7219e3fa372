import type { Sleeper } from '../../../kern/sleeper.ts';
import { FileCensus } from './file-census.ts';
import { lookAtProcess } from './process-sleep.ts';
import type { ProcessView } from './process-view.ts';
import type { Architecture } from './system-calls.ts';

/** What to look for. */
export interface SleepersAsked {
  /** The minor number of the mount's device. */
  readonly deviceMinor: number;
  /** Threads that are known to be blocked in the mount: a process of which they are all is left out. */
  readonly blocked: readonly number[];
}

/** Descriptors of a process that are looked at: 2 us each. */
const MOST_OF_PROCESS = 4096;
/** Of all processes of a user but root, in one look. */
const MOST_OF_USER = 16_384;
/** What a process counts for at least: finding its descriptors takes as long as looking at so many. */
const LEAST_OF_PROCESS = 16;
/** A look that takes longer leaves the other processes out. */
const LONGEST_LOOK_MS = 300;
/** Processes of a user but root that are looked at closely: some 0.2 ms each. */
const MOST_PROCESSES_OF_USER = 128;

export interface LookOptions {
  readonly view: ProcessView;
  readonly architecture: Architecture;
  /** Called before each process, as looking can wait for it; false from it leaves the process out. */
  readonly enter?: (pid: number) => boolean;
  readonly nowMs?: () => number;
}

/**
 * The threads that sleep outside of a mount in processes that have files of it open, with what they watch of it. Everything comes from
 * /proc: a process that changes meanwhile, may not be looked at, or has more than the limits is left out.
 */
export function findSleepers(
  { deviceMinor, blocked }: SleepersAsked,
  { view, architecture, enter = () => true, nowMs = () => performance.now() }: LookOptions,
): Sleeper[] {
  const endMs = nowMs() + LONGEST_LOOK_MS;
  const census = new FileCensus(view);
  const holders: [pid: number, uid: number][] = [];
  const usedByUser = new Map<number, number>();
  for (const pid of view.pids()) {
    if (nowMs() > endMs || !enter(pid)) {
      census.isPartial = true;
      continue;
    }
    const listed = view.descriptors(pid, MOST_OF_PROCESS);
    const uid = listed === null || listed.numbers.length === 0 ? null : view.uidOf(pid);
    if (listed === null || uid === null) continue;
    const { numbers, isWhole } = listed;
    const used = (usedByUser.get(uid) ?? 0) + Math.max(numbers.length, LEAST_OF_PROCESS);
    usedByUser.set(uid, used);
    if (!isWhole || (uid !== 0 && used > MOST_OF_USER)) {
      census.isPartial = true;
      continue;
    }
    let isHolder = false;
    for (const descriptor of numbers) {
      const file = view.file(pid, descriptor);
      if (file === null) continue;
      if (file.deviceMajor === 0 && file.deviceMinor === deviceMinor) isHolder = true;
      else census.add(pid, descriptor, file);
    }
    if (isHolder) holders.push([pid, uid]);
  }
  const isBlocked = new Set(blocked);
  const processesOfUser = new Map<number, number>();
  const sleepers: Sleeper[] = [];
  for (const [pid, uid] of holders) {
    const count = (processesOfUser.get(uid) ?? 0) + 1;
    if (nowMs() > endMs || (uid !== 0 && count > MOST_PROCESSES_OF_USER)) continue;
    const threads = view.threads(pid, 1);
    if (threads !== null && threads.isWhole && threads.numbers.every((thread) => isBlocked.has(thread)))
      continue;
    processesOfUser.set(uid, count);
    if (!enter(pid)) continue;
    sleepers.push(...lookAtProcess({ pid, uid, deviceMinor, view, architecture, census, isBlocked }));
  }
  return sleepers;
}
