import { terminalComponents } from './components.ts';
import type { Tables } from './tables.ts';

/** A blocked call: a row of info/waits. */
export type BlockedCallRow = Tables['waits'];

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
  /** The threads of each process; one that is not in it has not been found, and may do anything. */
  readonly threads: ReadonlyMap<number, readonly number[]>;
  /** Processes that may have files of the mount open, and whose descriptors may not be looked at. */
  readonly hidden: readonly number[];
  /** Descriptors that lie in a socket, of whatever file: whoever receives them has them. */
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
  /** Why it may be none after all; empty when it is certain. */
  readonly doubts: readonly string[];
}

const READER_WAITS: ReadonlySet<string> = new Set(['piperd']);
const WRITER_WAITS: ReadonlySet<string> = new Set(['pipewr', 'pipdwt', 'pipdwc', 'pipdww', 'pipbww']);
const OPENER_WAITS: ReadonlySet<string> = new Set(['fifoor', 'fifoow']);

/** How info/waits shows an object whose last name is gone: nobody can open it any more. */
export const REMOVED = '(removed)';

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
  return READER_WAITS.has(call.wait) || WRITER_WAITS.has(call.wait) || call.wait === 'shmwait';
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
 * The deadlocks among blocked calls. A process is stuck when all its threads are blocked in calls that only holders can end, and
 * all those holders are stuck as well; the stuck processes are the largest set for which that is so. (One holder that is not stuck
 * is enough to end a wait, so a mere cycle is no deadlock.) A deadlock is a smallest part of them that waits for nobody else.
 *
 * What it takes for granted: nobody opens one of the files by its name from now on, no signal comes, and what could not be seen
 * (`doubts`) is not there. A process that is not known to be blocked by this mount (it runs, sleeps, polls, waits for a child)
 * counts as able to act.
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
    const callsOf = (processes: readonly number[]): BlockedCallRow[] =>
      [...processes].sort((a, b) => a - b).flatMap((process) => stuck.get(process)!);
    const coreCalls = callsOf(core);
    deadlocks.push({
      calls: coreCalls,
      behind: callsOf(behind),
      doubts: doubtsAbout(coreCalls, holders, ending),
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
  { descriptors }: Holders,
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
      return [call, candidates.filter((held) => canEnd(call, held))];
    }),
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
    const blocked = new Set(own.map((call) => call.pid));
    const isBlockedWholly = threads.get(process)?.every((thread) => blocked.has(thread)) ?? false;
    if (isBlockedWholly && own.every(isUpToHolders)) stuck.set(process, own);
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
