import { readdirSync, readlinkSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KCMP_FILE, kcmp } from '../host/linux/libc.ts';
import { type MountEntry, mountAt, parseMountTable } from '../host/linux/mount-table.ts';
import { descriptorInfo } from '../host/linux/descriptors.ts';
import { commandName, processStat, processStatus, readText } from '../host/linux/processes.ts';
import { FILE_SYSTEM_TYPE } from '../host/mounts.ts';
import { answered, type MountPoint } from './mount-calls.ts';
import { readTable } from './tables.ts';
import {
  type BlockedCallRow,
  type Deadlock,
  findDeadlocks,
  type HeldDescriptor,
  type Holders,
} from './wait-graph.ts';

const INIT = 1;

/** What a mount's blocked calls look like at one moment. */
export interface WaitsLook {
  readonly calls: readonly BlockedCallRow[];
  readonly holders: Holders;
  readonly deadlocks: readonly Deadlock[];
}

/**
 * Reads who waits and who could end it, and finds the deadlocks. Calls count for a deadlock only when they slept through all of the
 * look, so that nothing that happened meanwhile can make one. Fails as `readTable` does.
 */
export async function lookAtWaits(mount: MountPoint): Promise<WaitsLook> {
  const startMs = performance.now();
  const calls = withProcesses(await readTable(mount, 'waits'));
  const holders = await lookAtHolders(mount, calls);
  if (calls.length === 0) return { calls, holders, deadlocks: [] };
  // What cannot be seen cannot be ruled out: no deadlock is claimed.
  if (!canSeeHolders()) return { calls, holders, deadlocks: [] };
  const after = await readTable(mount, 'waits');
  const lookMs = performance.now() - startMs;
  return { calls, holders, deadlocks: findDeadlocks(sleptThrough(calls, after, lookMs), holders) };
}

/** How often a doubt is looked into, and how long it may take to pass. */
const LOOKS = 6;
const PAUSE_MS = 100;

/**
 * As `lookAtWaits`, and looks again as long as a deadlock is in doubt: a process that has just begun cannot be looked at yet, a descriptor
 * is on its way for a moment. One look without a doubt is enough, since what cannot end does not. The surest look.
 */
export async function lookClosely(mount: MountPoint): Promise<WaitsLook> {
  let surest: WaitsLook | null = null;
  for (let looks = 1; ; looks++) {
    const look = await lookAtWaits(mount);
    if (surest === null || certainCount(look) >= certainCount(surest)) surest = look;
    const isSure = certainCount(look) === look.deadlocks.length;
    if (isSure && certainCount(look) >= certainCount(surest)) return look;
    if (looks === LOOKS) return surest;
    await delay(PAUSE_MS);
  }
}

function certainCount({ deadlocks }: WaitsLook): number {
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

/** Calls that are in one sleep before and after a look of so many milliseconds. */
export function sleptThrough(
  before: readonly BlockedCallRow[],
  after: readonly BlockedCallRow[],
  lookMs: number,
): BlockedCallRow[] {
  const later = new Map(after.map((call) => [call.pid, call]));
  return before.filter((call) => {
    const same = later.get(call.pid);
    return (
      same?.call === call.call &&
      same.ino === call.ino &&
      same.wait === call.wait &&
      same.peers === call.peers &&
      // `since` is rounded to milliseconds.
      same.since * 1000 > lookMs + 1
    );
  });
}

/** Whether this system says what its processes have open. */
function canSeeHolders(platform = process.platform): boolean {
  return platform === 'linux';
}

/**
 * Who has the objects open that `calls` wait for, from /proc. The mount itself is not touched: a descriptor's fdinfo names mount and
 * inode, where stat on its link would ask the server.
 */
export async function lookAtHolders(mount: MountPoint, calls: readonly BlockedCallRow[]): Promise<Holders> {
  if (!canSeeHolders()) return { descriptors: [], threads: new Map(), hidden: [], inFlight: 0 };
  const entry = mountAt(mount.path);
  const serverPid = (await readTable(mount, 'version'))[0]!.pid;
  const inodes = new Set(calls.map((call) => call['peer-ino']));
  const descriptors: HeldDescriptor[] = [];
  const hidden: number[] = [];
  let inFlight = 0;
  if (entry !== null && calls.length > 0) {
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
  return { descriptors, threads: threadsOf(calls), hidden, inFlight };
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
    const table = readText(`/proc/${pid}/mountinfo`);
    if (table === null) return null;
    const ids = new Set(
      parseMountTable(table)
        .filter(({ type, deviceMinor }) => type === FILE_SYSTEM_TYPE && deviceMinor === this.#deviceMinor)
        .map(({ id }) => id),
    );
    // A process that ends shows an empty table.
    if (table !== '') this.#byNamespace.set(namespace, ids);
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
  const stat = processStat(pid);
  if (stat === null || stat.isKernelThread) return false;
  if (stat.startTicks < (processStat(serverPid)?.startTicks ?? 0)) return false;
  if (superOptions.includes('allow_other')) return true;
  const owner = Number(
    superOptions.find((option) => option.startsWith('user_id='))?.slice('user_id='.length),
  );
  for (let at = pid; at > INIT; at = processStat(at)?.parent ?? 0) {
    if (processStatus(at)?.realUid === owner) return true;
  }
  return false;
}
