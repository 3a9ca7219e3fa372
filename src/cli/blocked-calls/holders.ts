import { readdirSync, readlinkSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KCMP_FILE, kcmp } from '../../host/linux/libc.ts';
import { type MountEntry, mountAt, mountsIn } from '../../host/linux/mounts/mount-table.ts';
import { descriptorInfo } from '../../host/linux/descriptors/descriptors.ts';
import {
  commandName,
  processIdentity,
  processState,
  processStatus,
} from '../../host/linux/processes/processes.ts';
import { FILE_SYSTEM_TYPE } from '../../host/mounts.ts';
import { answered, type MountPoint } from '../tables/mount-calls.ts';
import { findLockWaiters, type LockWaiter, writesOf } from './lock-waiters.ts';
import { readTable } from '../tables/tables.ts';
import {
  type BlockedCallRow,
  type Deadlock,
  findDeadlocks,
  isInferred,
  isWaiting,
  type HeldDescriptor,
  type Holders,
} from './wait-graph.ts';

const INIT = 1;

/** What a mount's blocked calls look like at one moment. */
export interface WaitsLook {
  readonly calls: readonly BlockedCallRow[];
  readonly holders: Holders;
  readonly deadlocks: readonly Deadlock[];
  readonly lockWaiters: readonly LockWaiter[];
}

/**
 * Reads who waits and who could end it, and finds the deadlocks. Calls count for a deadlock only when they slept through all of the
 * look, so that nothing that happened meanwhile can make one. Fails as `readTable` does.
 */
export async function lookAtWaits(mount: MountPoint): Promise<WaitsLook> {
  const startMs = performance.now();
  const calls = withProcesses(await readTable(mount, 'waits'));
  const readMs = performance.now();
  const holders = await lookAtHolders(mount, calls);
  const nothing = { calls, holders, deadlocks: [], lockWaiters: [] };
  if (!calls.some(isWaiting)) return nothing;
  // What cannot be seen cannot be ruled out: no deadlock is claimed.
  if (!canSeeHolders()) return nothing;
  const lockWaiters = findLockWaiters(calls, holders);
  const betweenMs = performance.now() - readMs;
  const after = await readTable(mount, 'waits');
  const lookMs = performance.now() - startMs;
  const deadlocks = findDeadlocks(sleptThrough(calls, after, { lookMs, betweenMs }), holders);
  return { calls, holders, deadlocks, lockWaiters };
}

/** How often a doubt is looked into, and how long it may take to pass. */
const LOOKS = 6;
const PAUSE_MS = 100;

/**
 * As `lookAtWaits`, and looks again as long as a deadlock is in doubt: a process that has just begun cannot be looked at yet, a descriptor
 * is on its way for a moment. One look without a doubt is enough, since what cannot end does not. The surest look; `looked` gets
 * each that is the surest so far.
 */
export async function lookClosely(
  mount: MountPoint,
  looked: (look: WaitsLook) => void = () => undefined,
): Promise<WaitsLook> {
  let surest: WaitsLook | null = null;
  for (let looks = 1; ; looks++) {
    const look = await lookAtWaits(mount);
    if (surest === null || sureCount(look) >= sureCount(surest)) {
      surest = look;
      looked(look);
    }
    const isSure = sureCount(look) === look.deadlocks.length;
    if (isSure && sureCount(look) >= sureCount(surest)) return look;
    if (looks === LOOKS) return surest;
    await delay(PAUSE_MS);
  }
}

function sureCount({ deadlocks }: WaitsLook): number {
  return deadlocks.filter(({ doubts }) => doubts.length === 0).length;
}

/** The server looks a few callers up at a time; the others are looked up here. */
function withProcesses(calls: readonly BlockedCallRow[]): BlockedCallRow[] {
  return calls.map((call) => {
    if (call.process !== '-') return call;
    const process = processStatus(call.pid)?.tgid;
    const command = process === undefined ? null : commandName(process);
    return command === null ? call : { ...call, process: process!, command };
  });
}

/** How long a look has taken in all, and the time between its two readings of the table at least. */
export interface LookTimes {
  readonly lookMs: number;
  readonly betweenMs: number;
}

/** Rows that are in one sleep before and after a look. */
export function sleptThrough(
  before: readonly BlockedCallRow[],
  after: readonly BlockedCallRow[],
  { lookMs, betweenMs }: LookTimes,
): BlockedCallRow[] {
  const keyOf = ({ pid, ino, wait }: BlockedCallRow): string => `${pid} ${ino} ${wait}`;
  const later = new Map(after.map((call) => [keyOf(call), call]));
  return before.filter((call) => {
    const same = later.get(keyOf(call));
    if (same?.call !== call.call || same.peers !== call.peers) return false;
    // `since` is rounded to milliseconds. Of an inferred row it counts from when it was first seen, in this look perhaps.
    if (isInferred(call))
      return same.inferred === call.inferred && (same.since - call.since) * 1000 >= betweenMs - 2;
    return same.since * 1000 > lookMs + 1;
  });
}

/** Whether this system says what its processes have open. */
function canSeeHolders(platform = process.platform): boolean {
  return platform === 'linux';
}

/**
 * Who has the objects open that `calls` wait for, and those that they write to, from /proc. The mount itself is not touched: a descriptor's fdinfo names mount and
 * inode, where stat on its link would ask the server.
 */
export async function lookAtHolders(mount: MountPoint, calls: readonly BlockedCallRow[]): Promise<Holders> {
  if (!canSeeHolders()) return { descriptors: [], locks: [], threads: new Map(), hidden: [], inFlight: 0 };
  const entry = mountAt(mount.path);
  const serverPid = (await readTable(mount, 'version'))[0]!.pid;
  const inodes = new Set([
    ...calls.map((call) => call['peer-ino']),
    ...writesOf(calls).map((call) => call.ino),
  ]);
  const descriptors: HeldDescriptor[] = [];
  const hidden: number[] = [];
  let inFlight = 0;
  if (entry !== null && calls.some(isWaiting)) {
    const openFiles = new OpenFiles();
    const mountIds = new MountIds(entry);
    const treeInode = await inodeTranslation(mount, calls, inodes);
    for (const pid of readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))) {
      const numbers = descriptorNumbers(pid);
      const ids = numbers === null ? null : mountIds.of(pid);
      if (numbers === null || ids === null) {
        if (mayInherit(pid, entry, serverPid)) hidden.push(pid);
        continue;
      }
      for (const descriptor of numbers) {
        const info = descriptorInfo(pid, descriptor);
        if (info === null) continue;
        const { mountId, isReadable, isWritable } = info;
        inFlight += info.inFlight;
        const inode = ids.has(mountId) ? treeInode(info.inode) : null;
        if (inode === null || !inodes.has(inode)) continue;
        const openFile = openFiles.numberOf(inode, pid, descriptor);
        descriptors.push({ process: pid, inode, isReadable, isWritable, openFile });
      }
    }
  }
  const locks = calls.some(({ wait }) => wait === 'lockf') ? await readTable(mount, 'locks') : [];
  return { descriptors, locks, threads: threadsOf(calls), hidden, inFlight };
}

/**
 * From inode numbers of descriptors to those of the tree; null for what is none of `wanted`. They are the same unless the mount's library
 * has numbers of its own: then the mount is asked for those of the names that are known.
 */
async function inodeTranslation(
  mount: MountPoint,
  calls: readonly BlockedCallRow[],
  wanted: ReadonlySet<number | '-'>,
): Promise<(inode: number) => number | null> {
  const transport = await readTable(mount, 'transport');
  if (!transport.some(({ name, value }) => name === 'inode-numbers' && value === 'no'))
    return (inode) => inode;
  const pipes = await readTable(mount, 'pipes');
  const paths = new Map<string, number>();
  for (const { path, ino } of pipes) paths.set(path, ino);
  for (const { object, ino } of calls) paths.set(object, ino);
  const known = new Map<number, number>();
  for (const [path, inode] of paths) {
    if (!wanted.has(inode)) continue;
    const own = await answered(mount, () => lstat(join(mount.path, path)).catch(() => null));
    if (own !== null) known.set(own.ino, inode);
  }
  return (inode) => known.get(inode) ?? null;
}

/** The descriptors of a process; null when we may not look. A process that has gone has none. */
function descriptorNumbers(pid: number): number[] | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).map(Number);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? [] : null;
  }
}

/** Threads by process, of those that are what the server takes them for: it may see other numbers than this process does. */
function threadsOf(calls: readonly BlockedCallRow[]): Map<number, readonly number[]> {
  const threads = new Map<number, readonly number[]>();
  for (const { process, command } of calls) {
    if (process === '-' || threads.has(process) || commandName(process) !== command) continue;
    try {
      threads.set(process, readdirSync(`/proc/${process}/task`).map(Number));
    } catch {
      // It has ended meanwhile.
    }
  }
  return threads;
}

/** The ids of the mounts of this device that a process sees; null when its table cannot be read, or is too long. */
function mountIdsOf(pid: number, deviceMinor: number): ReadonlySet<number> | null {
  try {
    const entries = mountsIn(
      `/proc/${pid}/mountinfo`,
      (entry) => entry.type === FILE_SYSTEM_TYPE && entry.deviceMinor === deviceMinor,
    );
    return entries === null ? null : new Set(entries.map(({ id }) => id));
  } catch {
    return null;
  }
}

/** By which ids processes know the mount: bind mounts and other mount namespaces have ids of their own. */
class MountIds {
  readonly #deviceMinor: number;
  readonly #byNamespace = new Map<string, ReadonlySet<number>>();

  constructor({ deviceMinor }: MountEntry) {
    this.#deviceMinor = deviceMinor;
  }

  /** Null when we may not look. */
  of(pid: number): ReadonlySet<number> | null {
    let namespace: string;
    try {
      namespace = readlinkSync(`/proc/${pid}/ns/mnt`);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? new Set() : null;
    }
    const known = this.#byNamespace.get(namespace);
    if (known !== undefined) return known;
    const ids = mountIdsOf(pid, this.#deviceMinor);
    // A process that ends shows an empty table.
    if (ids !== null && ids.size > 0) this.#byNamespace.set(namespace, ids);
    return ids;
  }
}

/** Tells open files apart: a number for each, however many descriptors lead to it. */
class OpenFiles {
  readonly #byInode = new Map<
    number,
    { readonly pid: number; readonly descriptor: number; readonly number: number }[]
  >();
  #last = 0;

  numberOf(inode: number, pid: number, descriptor: number): number {
    const seen = this.#byInode.get(inode) ?? [];
    this.#byInode.set(inode, seen);
    for (const other of seen) {
      // What cannot be compared counts as the same, so that an open file is rather missed (and doubted) than made up.
      if (kcmp(pid, other.pid, KCMP_FILE, descriptor, other.descriptor) <= 0) return other.number;
    }
    seen.push({ pid, descriptor, number: ++this.#last });
    return this.#last;
  }
}

/**
 * Whether a process that we may not look at can share an open file with one that we have seen, which takes that it inherited it. So
 * it has begun after the server of the mount; and where the kernel lets only the mount's owner in, it is the owner's or comes from
 * one of the owner's. (What it has opened itself is an open file that nobody was seen to have.)
 */
function mayInherit(pid: number, { superOptions }: MountEntry, serverPid: number): boolean {
  if (processState(pid)?.isKernelThread !== false) return false;
  if ((processIdentity(pid) ?? 0) < (processIdentity(serverPid) ?? 0)) return false;
  if (superOptions.includes('allow_other')) return true;
  const owner = Number(
    superOptions.find((option) => option.startsWith('user_id='))?.slice('user_id='.length),
  );
  for (let at = pid; at > INIT; at = processState(at)?.parent ?? 0) {
    if (processStatus(at)?.realUid === owner) return true;
  }
  return false;
}
