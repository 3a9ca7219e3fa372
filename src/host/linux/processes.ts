import { readdirSync, readFileSync } from 'node:fs';

/** What /proc says of a process. */
export interface ProcessStatus {
  /** The process that a thread belongs to. */
  readonly tgid: number;
  readonly realUid: number;
  readonly savedUid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
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

interface ProcessStat {
  readonly processGroup: number;
  /** In clock ticks since boot: with the pid it names one process for ever. */
  readonly startTicks: number;
}

/** Process group and start time, or null when there is no such process. */
export function processStat(pid: number): ProcessStat | null {
  const text = readText(`/proc/${pid}/stat`);
  if (text === null) return null;
  // The command in parentheses may hold anything; fields after it are plain.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { processGroup: Number(fields[2]), startTicks: Number(fields[19]) };
}

/** The processes of a group. */
export function processGroupMembers(processGroup: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => processStat(pid)?.processGroup === processGroup);
}

/** What /proc/PID/fdinfo says of a descriptor; null when there is none, or we may not look. */
export function descriptorInfo(
  pid: number,
  descriptor: number,
): { mountId: number; inode: number; isReadable: boolean; isWritable: boolean } | null {
  const text = readText(`/proc/${pid}/fdinfo/${descriptor}`);
  if (text === null) return null;
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1];
  const flags = field('flags');
  const access = parseInt(flags ?? '', 8) & O_ACCMODE;
  return {
    mountId: Number(field('mnt_id')),
    inode: Number(field('ino')),
    isReadable: access !== O_WRONLY,
    isWritable: access !== 0,
  };
}

const O_ACCMODE = 3;
const O_WRONLY = 1;

/** Whether a caller of user `uid` may signal the process, as kill(2) decides. */
export function maySignal(uid: number, target: ProcessStatus): boolean {
  return uid === 0 || uid === target.realUid || uid === target.savedUid;
}
