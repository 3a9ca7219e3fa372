import { readdirSync, readFileSync } from 'node:fs';
import type { Credentials } from '../../kern/credentials.ts';
import { withDescriptors } from './spare-descriptor.ts';
import { getpgid } from './libc.ts';

/** What /proc says of a process. */
export interface ProcessStatus {
  /** The process that a thread belongs to. */
  readonly tgid: number;
  readonly realUid: number;
  readonly savedUid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** A file of /proc; null when it cannot be read. */
export function readText(path: string): string | null {
  try {
    return withDescriptors(() => readFileSync(path, 'latin1'));
  } catch {
    return null;
  }
}

/** A process or thread, or null when there is none of that number. */
export function processStatus(pid: number): ProcessStatus | null {
  const text = readText(`/proc/${pid}/status`);
  if (text === null) return null;
  const tgid = /^Tgid:\s+(\d+)$/m.exec(text);
  const uids = /^Uid:\s+(\d+)\s+(\d+)\s+(\d+)/m.exec(text);
  if (tgid === null || uids === null) return null;
  const groups = /^Groups:[ \t]*(.*)$/m.exec(text)?.[1] ?? '';
  return {
    tgid: Number(tgid[1]),
    realUid: Number(uids[1]),
    savedUid: Number(uids[3]),
    groups: groups
      .split(' ')
      .filter((word) => word !== '')
      .map(Number),
  };
}

/** Whether a signal is pending that a thread does not block: it ends what the thread waits for, or the thread. */
export function hasSignal(threadId: number): boolean {
  const text = readText(`/proc/${threadId}/status`);
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(text ?? '')?.[1] ?? '0'}`);
  return ((set('SigPnd') | set('ShdPnd')) & ~set('SigBlk')) !== 0n;
}

/** The name of a process's command, one character a byte; null when there is no such process. */
export function commandName(pid: number): string | null {
  return readText(`/proc/${pid}/comm`)?.replace(/\n$/, '') ?? null;
}

export interface ProcessStat {
  readonly parent: number;
  readonly processGroup: number;
  /** A thread of the kernel: it has no descriptors. */
  readonly isKernelThread: boolean;
  /** In clock ticks since boot: with the pid it names one process for ever. */
  readonly startTicks: number;
  /** Threads that have not ended, and the first one, which stays until the others have. */
  readonly threadCount: number;
  /** Whether the first thread has ended; the process has if there is no other. */
  readonly isLeaderEnding: boolean;
  /** Whether it waits to be waited for, as far as its first thread is concerned. */
  readonly isZombie: boolean;
  /** The one that it runs on, or has run on last. */
  readonly processor: number;
  /** The wait status of a zombie, 0 where it may not be read. */
  readonly exitStatus: number;
}

/** Set in a task's flags as soon as it begins to end. */
const PF_EXITING = 0x4;
const PF_KTHREAD = 0x200000;

/** What /proc says of the state of a process, or null when there is no such process. */
export function processStat(pid: number): ProcessStat | null {
  const text = readText(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The command in parentheses may hold anything; fields after it are plain.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const isZombie = fields[0] === 'Z' || fields[0] === 'X';
  return {
    parent: Number(fields[1]),
    isKernelThread: (Number(fields[6]) & PF_KTHREAD) !== 0,
    processGroup: Number(fields[2]),
    startTicks: Number(fields[19]),
    threadCount: Number(fields[17]),
    isLeaderEnding: isZombie || (Number(fields[6]) & PF_EXITING) !== 0,
    isZombie,
    processor: Number(fields[36]),
    exitStatus: Number(fields[49] ?? 0),
  };
}

/** The processes of each of these groups, found in one look at all there are. */
export function processGroupMembers(processGroups: Iterable<number>): Map<number, number[]> {
  const members = new Map<number, number[]>();
  for (const group of processGroups) members.set(group, []);
  for (const name of withDescriptors(() => readdirSync('/proc'))) {
    // Names that are no numbers are NaN, which is no process.
    const pid = Number(name);
    if (pid > 0) members.get(getpgid(pid))?.push(pid);
  }
  return members;
}

/** Whether a caller of user `uid` may signal the process, as kill(2) decides. */
export function maySignal(uid: number, target: ProcessStatus): boolean {
  return uid === 0 || uid === target.realUid || uid === target.savedUid;
}

/** Whether a caller finds the process in /proc, which may be mounted so that others' processes are hidden (hidepid). */
export function canSee({ uid, gid, groups }: Credentials, target: ProcessStatus): boolean {
  if (uid === 0 || uid === target.realUid) return true;
  const options = /^\d+ \d+ \S+ \/ \/proc .* - proc \S+ (\S+)$/m.exec(
    readText('/proc/self/mountinfo') ?? '',
  )?.[1];
  if (options === undefined || !/(?:^|,)hidepid=(?:2|4|invisible|ptraceable)(?:,|$)/.test(options))
    return true;
  // The group that sees everything.
  const group = /(?:^|,)gid=(\d+)(?:,|$)/.exec(options)?.[1];
  return group !== undefined && (gid === Number(group) || groups?.includes(Number(group)) === true);
}
