import { closeSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { constants } from 'node:os';
import type { Credentials } from '../../../kern/credentials.ts';
import { EMFILE } from '../../../kern/errno.ts';
import { readFileLines, readText } from '../bounded-read.ts';
import { withDescriptors } from '../descriptors/spare-descriptor.ts';
import { close, failure, pidfdOpen, readEntries } from '../libc.ts';

/** What /proc says of a process. */
export interface ProcessStatus {
  /** The process that a thread belongs to. */
  readonly tgid: number;
  readonly parent: number;
  readonly realUid: number;
  readonly savedUid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
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
    parent: Number(/^PPid:\s+(\d+)$/m.exec(text)?.[1] ?? 0),
    realUid: Number(uids[1]),
    savedUid: Number(uids[3]),
    groups: groups
      .split(' ')
      .filter((word) => word !== '')
      .map(Number),
  };
}

/** Signals that do nothing to a process which does not catch them. */
const IGNORED_BY_DEFAULT: ReadonlySet<number> = new Set([
  constants.signals.SIGCHLD,
  constants.signals.SIGCONT,
  constants.signals.SIGURG,
  constants.signals.SIGWINCH,
]);

/** Whether a signal to its process ends what a thread waits for: the process does not ignore it, and the thread does not block it. */
export function isEndedBy(threadId: number, signal: number): boolean {
  const text = readText(`/proc/${threadId}/status`) ?? '';
  const isIn = (name: string): boolean => {
    const set = BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(text)?.[1] ?? '0'}`);
    return ((set >> BigInt(signal - 1)) & 1n) === 1n;
  };
  return !isIn('SigBlk') && !isIn('SigIgn') && (isIn('SigCgt') || !IGNORED_BY_DEFAULT.has(signal));
}

/** Whether a signal is pending that a thread does not block: it ends what the thread waits for, or the thread. */
export function hasSignal(threadId: number): boolean {
  const text = readText(`/proc/${threadId}/status`);
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(text ?? '')?.[1] ?? '0'}`);
  return ((set('SigPnd') | set('ShdPnd')) & ~set('SigBlk')) !== 0n;
}

/**
 * Whether a thread's process has its memory, which a process that ends gives up before it closes its files; null when there is no such
 * thread. Unlike /proc/PID/stat this can be read of a process in execve(2), which may be waiting for the reader: Linux has it close files
 * under a lock that stat takes.
 */
export function hasMemoryOf(threadId: number): boolean | null {
  const text = readText(`/proc/${threadId}/status`);
  return text === null ? null : /^VmSize:/m.test(text);
}

/** The name of a process's command, one character a byte; null when there is no such process. */
export function commandName(pid: number): string | null {
  return readText(`/proc/${pid}/comm`)?.replace(/\n$/, '') ?? null;
}

/** How a process or thread fares. */
export interface ProcessState {
  readonly parent: number;
  /** A thread of the kernel: it has no descriptors. */
  readonly isKernelThread: boolean;
  /** Threads that have not ended, and the first one, which stays until the others have. */
  readonly threadCount: number;
  /** It waits in the kernel for something that no signal ends. */
  readonly isUninterruptible: boolean;
  /** It has ended. The first thread of a process stays so as long as others go on, and until somebody waits for it. */
  readonly isZombie: boolean;
}

/** The thread of Linux that starts those of the kernel. */
const KTHREADD = 2;

/**
 * What /proc says of the state of a process or thread, or null when there is none. From `status`: Linux keeps readers of `stat` waiting
 * while a process is in execve(2), which waits for this server where it closes a file of the mount.
 */
export function processState(pid: number): ProcessState | null {
  const text = readText(`/proc/${pid}/status`);
  const letter = /^State:\s+(\S)/m.exec(text ?? '')?.[1];
  if (text === null || letter === undefined) return null;
  const parent = numberIn(text, 'PPid') ?? 0;
  const isZombie = letter === 'Z' || letter === 'X';
  // Said since Linux 6.10.
  const saysKernelThread = numberIn(text, 'Kthread');
  const looksLikeOne = !isZombie && (pid === KTHREADD || parent === KTHREADD) && !text.includes('\nVmSize:');
  return {
    parent,
    isKernelThread: saysKernelThread === null ? looksLikeOne : saysKernelThread === 1,
    threadCount: numberIn(text, 'Threads') ?? 0,
    isUninterruptible: letter === 'D',
    isZombie,
  };
}

function numberIn(status: string, name: string): number | null {
  const digits = new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(status)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** Places among the fields of /proc/PID/stat behind the command. */
const StatField = { startTicks: 19, processor: 36, exitStatus: 49 } as const;

/**
 * One field of /proc/PID/stat, or null when there is no such process. To be read only of who cannot be in execve(2): of a zombie, and of a
 * thread whose write this server has not answered. Reading waits for the end of one, and that may wait for this server.
 */
function statField(pid: number, field: number): number | null {
  const text = readText(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The command in parentheses may hold anything; fields after it are plain.
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[field] ?? 0);
}

/** The wait status of a process that nobody has waited for, 0 where it may not be read; null when it is none. */
export function zombieStatus(pid: number): number | null {
  const state = processState(pid);
  return state?.isZombie === true && state.threadCount <= 1 ? statField(pid, StatField.exitStatus) : null;
}

/** The wait status that a thread ends with, whose memory is gone (`hasMemoryOf`): it cannot be in execve. Null when there is none. */
export function statusOfEnding(threadId: number): number | null {
  return statField(threadId, StatField.exitStatus);
}

/** The processor that a thread runs on, or has run on last; null when there is none. It must wait for an answer of this server. */
export function processorOf(threadId: number): number | null {
  return statField(threadId, StatField.processor);
}

/** PID_FS_MAGIC of linux/magic.h. */
const PIDFS = 0x50494446;
/** Whether each process has an inode; null until the first pidfd shows it. */
let isPidfs: boolean | null = null;

/**
 * A number that no other process has, had or will have: a later one has a larger number. Null when there is no such process. It is the
 * inode of a pidfd since Linux 6.9, and before the time of its start, in clock ticks.
 */
export function processIdentity(pid: number): number | null {
  return withDescriptors(() => {
    const descriptor = pidfdOpen(pid);
    if (descriptor < 0) {
      if (failure() !== -EMFILE) return null;
      throw Object.assign(new Error('no descriptor is left'), { code: 'EMFILE' });
    }
    try {
      isPidfs ??= statfsSync(`/proc/self/fd/${descriptor}`).type === PIDFS;
      if (isPidfs) return fstatSync(descriptor).ino;
    } finally {
      // A thread of Node warns when its closeSync closes what its openSync has not opened.
      close(descriptor);
    }
    return statField(pid, StatField.startTicks);
  });
}

/** Bytes of directory entries that one step reads: of some 60 processes. */
const STEP_BYTES = 2048;
/** struct linux_dirent64. */
const ENTRY = { nextAt: 8, sizeAt: 16, nameAt: 19 } as const;

/** All processes, some of them at each step, which takes half a microsecond for each. */
export function* processIds(): Generator<readonly number[], void, undefined> {
  const entries = Buffer.alloc(STEP_BYTES);
  // Linux numbers the entries by process: a place stays right whatever ends or begins between the steps.
  for (let place = 0n; ;) {
    const sizeBytes = readDirectoryAt('/proc', place, entries);
    if (sizeBytes <= 0) return;
    const ids: number[] = [];
    for (let at = 0; at < sizeBytes; at += entries.readUInt16LE(at + ENTRY.sizeAt)) {
      place = entries.readBigInt64LE(at + ENTRY.nextAt);
      const name = entries.toString('latin1', at + ENTRY.nameAt, entries.indexOf(0, at + ENTRY.nameAt));
      // Names that are no numbers are NaN, which is no process.
      if (Number(name) > 0) ids.push(Number(name));
    }
    yield ids;
  }
}

/** The directory is open for a moment only: descriptors may be all in use. */
function readDirectoryAt(path: string, place: bigint, entries: Buffer): number {
  return withDescriptors(() => {
    const descriptor = openSync(path, 'r');
    try {
      return readEntries(descriptor, place, entries);
    } finally {
      closeSync(descriptor);
    }
  });
}

/** Whether a caller of user `uid` may signal the process, as kill(2) decides. */
export function maySignal(uid: number, target: ProcessStatus): boolean {
  return uid === 0 || uid === target.realUid || uid === target.savedUid;
}

const PROC = /^\d+ \d+ \S+ \/ \/proc .* - proc \S+ (\S+)$/;
/** /proc is among the first mounts of a system. */
const PROC_LIMITS = { limitBytes: 1024 * 1024, lineBytes: 64 * 1024 };

/** The options of the mount at /proc: empty when there is none, null when that cannot be found out. */
function optionsOfProc(): string | null {
  let options = '';
  try {
    const isKnown = readFileLines('/proc/self/mountinfo', PROC_LIMITS, (line) => {
      options = PROC.exec(line)?.[1] ?? '';
      return options === '';
    });
    return isKnown ? options : null;
  } catch {
    return null;
  }
}

/** Whether a caller finds the process in /proc, which may be mounted so that others' processes are hidden (hidepid). */
export function canSee({ uid, gid, groups }: Credentials, target: ProcessStatus): boolean {
  if (uid === 0 || uid === target.realUid) return true;
  const options = optionsOfProc();
  if (options === null) return false;
  if (!/(?:^|,)hidepid=(?:2|4|invisible|ptraceable)(?:,|$)/.test(options)) return true;
  // The group that sees everything.
  const group = /(?:^|,)gid=(\d+)(?:,|$)/.exec(options)?.[1];
  return group !== undefined && (gid === Number(group) || groups?.includes(Number(group)) === true);
}
