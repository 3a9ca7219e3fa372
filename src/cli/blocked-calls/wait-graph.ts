import { terminalComponents } from './strongly-connected.ts';
import type { Tables } from '../tables/tables.ts';

/** A blocked call, or a sleep that was inferred from /proc: a row of info/waits. */
export type BlockedCallRow = Tables['waits'];

/** A lock that is held: a row of info/locks. */
export type LockRow = Tables['locks'];

/** A descriptor of the mount in some process, as /proc shows it. */
export interface HeldDescriptor {
  readonly process: number;
  readonly inode: number;
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  /** Descriptors of one open file (by dup, fork, or a passed descriptor) have one number. */
  readonly openFile: number;
}

/** Who has what open, as far as it could be seen. See `lookAtHolders`. */
export interface Holders {
  readonly descriptors: readonly HeldDescriptor[];
  /** The locks, when a call waits for one. */
  readonly locks: readonly LockRow[];
  /** The threads of each process; one that is not in it has not been found, and may do anything. */
  readonly threads: ReadonlyMap<number, readonly number[]>;
  /** Processes that may have files of the mount open, and whose descriptors may not be looked at. */
  readonly hidden: readonly number[];
  /** Descriptors under way in a socket, of any file: the receiver has them. */
  readonly inFlight: number;
}

/** Calls of which none can end, unless something comes in from outside. */
export interface Deadlock {
  /**
   * Calls that wait for each other: every process that could end one of them is blocked in another of them. One call when only its
   * own process could end it, or nobody at all.
   */
  readonly calls: readonly BlockedCallRow[];
  /** Calls that can end only after one of those has: their processes are stuck too. */
  readonly behind: readonly BlockedCallRow[];
  /** Why it may be none after all. */
  readonly doubts: readonly string[];
  /** Whether it takes for granted what was inferred of processes that sleep outside of the mount. */
  readonly isLikely: boolean;
}

/** Whether none of the calls can end, for sure. */
export function isCertain({ doubts, isLikely }: Deadlock): boolean {
  return doubts.length === 0 && !isLikely;
}

const READER_WATCH = 'pollin';
const WRITER_WATCH = 'pollout';
/** A process sleeps outside of the mount, and does not watch the object. */
const OUTSIDE = 'outside';
const INFERRED_WAITS: ReadonlySet<string> = new Set([READER_WATCH, WRITER_WATCH, OUTSIDE]);
/** Nothing ends the sleep beside what it watches in the mount. */
const NOTHING_ELSE = 'nothing';

const READER_WAITS: ReadonlySet<string> = new Set(['piperd', READER_WATCH]);
const WRITER_WAITS: ReadonlySet<string> = new Set([
  'pipewr',
  'pipdwt',
  'pipdwc',
  'pipdww',
  'pipbww',
  WRITER_WATCH,
]);
const LOCK_WAIT = 'lockf';
const OTHER_WAITS: ReadonlySet<string> = new Set(['shmwait', LOCK_WAIT]);
const OPENER_WAITS: ReadonlySet<string> = new Set(['fifoor', 'fifoow']);

/** How info/waits shows an object whose last name is gone: nobody can open it any more. */
export const REMOVED = '(removed)';

/** Whether a row is no call that the server holds. */
export function isInferred({ wait }: BlockedCallRow): boolean {
  return INFERRED_WAITS.has(wait);
}

/** Whether a row is a call, or a sleep that watches the object. */
export function isWaiting({ wait }: BlockedCallRow): boolean {
  return wait !== OUTSIDE;
}

/** Whether a row may be part of a deadlock, as far as its sleep is concerned. */
export function mayBeStuck(call: BlockedCallRow): boolean {
  return !isInferred(call) || (isWaiting(call) && call.inferred === NOTHING_ELSE);
}

/** Whether a descriptor lets its process end the wait of `call`. */
export function canEnd(call: BlockedCallRow, held: HeldDescriptor): boolean {
  if (held.inode !== call['peer-ino']) return false;
  // A file without a name can be opened again only by those who have it open, through /proc.
  if (isWithoutName(call) && (OPENER_WAITS.has(call.wait) || call.peers === 0)) return true;
  if (READER_WAITS.has(call.wait)) return held.isWritable;
  if (WRITER_WAITS.has(call.wait)) return held.isReadable;
  return true;
}

function isWithoutName(call: BlockedCallRow): boolean {
  return call.object === REMOVED;
}

/** Whether the wait can be ended by those who hold the object only. Otherwise anybody may come and end it: open it, send an event. */
export function isUpToHolders(call: BlockedCallRow): boolean {
  if (call['peer-ino'] === '-') return false;
  if (isWithoutName(call)) return true;
  if (OPENER_WAITS.has(call.wait) || call.peers === 0) return false;
  return READER_WAITS.has(call.wait) || WRITER_WAITS.has(call.wait) || OTHER_WAITS.has(call.wait);
}

/** Whether a process has to act for the wait to end, be it by opening the object: time alone does not, nor does an event of the system. */
export function isUpToProcesses({ wait }: BlockedCallRow): boolean {
  return OPENER_WAITS.has(wait) || READER_WAITS.has(wait) || WRITER_WAITS.has(wait) || OTHER_WAITS.has(wait);
}

/** For each call the processes that could end its wait, each once, in order of their numbers; its own may be among them. */
export function endersOf(
  calls: readonly BlockedCallRow[],
  holders: Holders,
): Map<BlockedCallRow, readonly number[]> {
  const enders = new Map<BlockedCallRow, readonly number[]>();
  for (const [call, ending] of endingDescriptors(calls, holders)) {
    enders.set(
      call,
      [...new Set(ending.map((held) => held.process))].sort((a, b) => a - b),
    );
  }
  return enders;
}

/**
 * The deadlocks among blocked calls. A process is stuck when all its threads are blocked in calls that only holders can end, or sleep
 * outside of the mount in what nothing else ends, and all those holders are stuck as well; the stuck processes are the largest set for which that is so. (One holder that is not stuck
 * is enough to end a wait, so a mere cycle is no deadlock.) A deadlock is a smallest part of them that waits for nobody else.
 *
 * What it takes for granted: nobody opens one of the files by its name from now on, no signal comes, and what could not be seen
 * (`doubts`) is not there. A process that is not known to be blocked by this mount (it runs, sleeps, waits for a child, polls with a
 * time limit or something that others could make ready) counts as able to act.
 */
export function findDeadlocks(calls: readonly BlockedCallRow[], holders: Holders): Deadlock[] {
  const ending = endingDescriptors(calls, holders);
  const stuck = stuckProcesses(calls, holders, ending);
  const waitsFor = new Map<number, Set<number>>();
  for (const process of stuck.keys()) waitsFor.set(process, new Set());
  for (const [process, own] of stuck) {
    for (const call of own) for (const ender of ending.get(call)!) waitsFor.get(process)!.add(ender.process);
  }
  const deadlocks: Deadlock[] = [];
  for (const core of terminalComponents(waitsFor)) {
    const isCore = new Set(core);
    const behind = [...reaching(waitsFor, isCore)].filter((process) => !isCore.has(process));
    const rowsOf = (processes: readonly number[]): BlockedCallRow[] =>
      [...processes].sort((a, b) => a - b).flatMap((process) => stuck.get(process)!);
    const callsOf = (processes: readonly number[]): BlockedCallRow[] => rowsOf(processes).filter(isWaiting);
    const coreCalls = callsOf(core);
    deadlocks.push({
      calls: coreCalls,
      behind: callsOf(behind),
      doubts: doubtsAbout(coreCalls, holders, ending),
      isLikely: rowsOf(core).some(isInferred),
    });
  }
  return deadlocks.sort((a, b) => processOf(a.calls[0]!) - processOf(b.calls[0]!));
}

/** The process of a call; its thread's number while the server has not looked it up, which names no process then. */
function processOf(call: BlockedCallRow): number {
  return call.process === '-' ? call.pid : call.process;
}

/** For each call the descriptors that let somebody end it. */
function endingDescriptors(
  calls: readonly BlockedCallRow[],
  { descriptors, locks }: Holders,
): Map<BlockedCallRow, readonly HeldDescriptor[]> {
  const byInode = new Map<number, HeldDescriptor[]>();
  for (const held of descriptors) {
    const others = byInode.get(held.inode);
    if (others === undefined) byInode.set(held.inode, [held]);
    else others.push(held);
  }
  return new Map(
    calls.map((call) => {
      const peer = call['peer-ino'];
      const candidates = peer === '-' ? [] : (byInode.get(peer) ?? []);
      const ending = call.wait === LOCK_WAIT ? whoLocked(call, candidates, locks) : candidates;
      return [call, ending.filter((held) => canEnd(call, held))];
    }),
  );
}

/**
 * Of the descriptors of a file those through which its locks can be given up. A lock of flock belongs to the open file, and is known by
 * the process that locked (flock(1) may have ended since) or else the one that opened it: any of that process's open files of it
 * counts, and when neither has one left, any at all. Too many only hide deadlocks.
 */
function whoLocked(
  call: BlockedCallRow,
  candidates: readonly HeldDescriptor[],
  locks: readonly LockRow[],
): readonly HeldDescriptor[] {
  const inTheWay = locks.filter((lock) => lock.ino === call['peer-ino'] && lock.call === call.call);
  const openFiles = new Set<number>();
  const processes = new Set<number>();
  for (const { process, opener } of inTheWay) {
    processes.add(process);
    const byProcess = [process, opener].map((pid) => candidates.filter((held) => held.process === pid));
    const holding = byProcess.find((own) => own.length > 0) ?? candidates;
    for (const { openFile } of holding) openFiles.add(openFile);
  }
  return candidates.filter((held) =>
    call.call === 'flock' ? openFiles.has(held.openFile) : processes.has(held.process),
  );
}

/** The greatest fixed point: starts from every process that could be stuck, and drops those that something live could wake. */
function stuckProcesses(
  calls: readonly BlockedCallRow[],
  { threads }: Holders,
  ending: ReadonlyMap<BlockedCallRow, readonly HeldDescriptor[]>,
): Map<number, BlockedCallRow[]> {
  const callsByProcess = new Map<number, BlockedCallRow[]>();
  for (const call of calls) {
    if (call.process === '-') continue;
    const own = callsByProcess.get(call.process);
    if (own === undefined) callsByProcess.set(call.process, [call]);
    else own.push(call);
  }
  const stuck = new Map<number, BlockedCallRow[]>();
  for (const [process, own] of callsByProcess) {
    const waiting = own.filter(isWaiting);
    const isStuck =
      waiting.length > 0 &&
      isAsleep(own, threads.get(process)) &&
      waiting.every(isUpToHolders) &&
      !(own.some(isInferred) && waiting.some((call) => waitsForVisitors(call, ending.get(call)!)));
    if (isStuck) stuck.set(process, own);
  }
  /** Processes that wait for a given one. */
  const waiters = new Map<number, Set<number>>();
  const live: number[] = [];
  for (const [process, own] of stuck) {
    for (const { process: ender } of own.flatMap((call) => ending.get(call)!)) {
      const others = waiters.get(ender);
      if (others === undefined) waiters.set(ender, new Set([process]));
      else others.add(process);
      if (!stuck.has(ender)) live.push(ender);
    }
  }
  while (live.length > 0) {
    for (const process of waiters.get(live.pop()!) ?? []) if (stuck.delete(process)) live.push(process);
  }
  return stuck;
}

/** Whether all threads of a process sleep, by its rows. The server says `nothing` only when it knows that of those without a row. */
function isAsleep(own: readonly BlockedCallRow[], threads: readonly number[] | undefined): boolean {
  if (threads === undefined) return false;
  const inferred = own.filter(isInferred);
  if (inferred.length > 0) return inferred.every((row) => row.inferred === NOTHING_ELSE);
  const blocked = new Set(own.map((call) => call.pid));
  return threads.every((thread) => blocked.has(thread));
}

/** A pipe that a process keeps open for the other side itself, and nobody else does, is open for those who come: event loops serve them. */
function waitsForVisitors(call: BlockedCallRow, ending: readonly HeldDescriptor[]): boolean {
  return !isWithoutName(call) && ending.every((held) => held.process === call.process);
}

/** Why calls that look like a deadlock may be none. */
function doubtsAbout(
  calls: readonly BlockedCallRow[],
  holders: Holders,
  ending: ReadonlyMap<BlockedCallRow, readonly HeldDescriptor[]>,
): string[] {
  const doubts = new Set<string>();
  const { length } = holders.hidden;
  if (length > 0) {
    doubts.add(`${length} ${length === 1 ? 'process' : 'processes'} could not be looked at`);
  }
  if (holders.inFlight > 0) doubts.add('descriptors are on their way through a socket');
  for (const call of calls) {
    const openFiles = new Set(ending.get(call)!.map((held) => held.openFile));
    if (call.peers !== '-' && openFiles.size < call.peers) {
      doubts.add(
        `who has ${call.object} open could not be found for ${call.peers - openFiles.size} open files`,
      );
    }
  }
  return [...doubts];
}

/** Whatever leads to `targets`, and they themselves. */
function reaching(
  edges: ReadonlyMap<number, ReadonlySet<number>>,
  targets: ReadonlySet<number>,
): ReadonlySet<number> {
  const backwards = new Map<number, number[]>();
  for (const [from, tos] of edges) {
    for (const to of tos) {
      const froms = backwards.get(to);
      if (froms === undefined) backwards.set(to, [from]);
      else froms.push(from);
    }
  }
  const reached = new Set(targets);
  for (const vertex of reached) for (const from of backwards.get(vertex) ?? []) reached.add(from);
  return reached;
}
