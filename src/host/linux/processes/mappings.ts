import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { readLines, type ReadBytes } from '../bounded-read.ts';
import { processStatus } from './processes.ts';

/** What is read of a process's maps: more than 10,000 ranges with names of usual length, or some 3 ms. */
const PROCESS_LIMIT_BYTES = 1024 * 1024;
/** What is read of all processes of a user but root in one look. */
const USER_LIMIT_BYTES = 8 * PROCESS_LIMIT_BYTES;
/** What a process counts for at least: opening its maps takes as long as reading so many bytes. */
const PROCESS_LEAST_BYTES = 4096;
/** Range, permissions, offset, device and inode; the path, which may be of any length, is left out. */
const FIELDS_BYTES = 128;
/** Processes that have begun since the list was read are looked at as well, so often: where programs start all the time some always have. */
const ROUNDS = 4;

/** How many ranges of the memory of a process are mapped to a file. */
export type Mapping = readonly [inode: number, pid: number, rangeCount: number];

/** What a look at the processes has found. */
export interface MappingsSeen {
  readonly mappings: readonly Mapping[];
  /** The processes that were not seen to the end, and who has started each: they may map others. */
  readonly unseen: readonly (readonly [pid: number, uid: number])[];
}

/** The maps of a process. */
export interface OpenMaps {
  readonly read: ReadBytes;
  /** Who has started it. */
  readonly uid: number;
  close(): void;
}

/** The processes of the host; tests have their own. */
export interface ProcessMaps {
  pids(): number[];
  /** Throws as `openSync` does. */
  open(pid: number): OpenMaps;
  /** Who has started a process that cannot be opened; -1 when that is not known. */
  uidOf(pid: number): number;
}

/** A process that is gone, one without memory, and one that we may never look at map nothing as far as can be known. */
const NOTHING_TO_SEE = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/**
 * Which processes map which files of a mount now. Looks at one process after the other; `enter` is called before each, as looking can
 * wait for it, and false from it leaves the process out. What is not known to the end is left out and said to be missing.
 */
export function findMappings(
  deviceMinor: number,
  { maps = procMaps, enter = () => true }: { maps?: ProcessMaps; enter?: (pid: number) => boolean } = {},
): MappingsSeen {
  const mappings: Mapping[] = [];
  const seen = new Set<number>();
  const bytesOfUser = new Map<number, number>();
  const unseen: [pid: number, uid: number][] = [];

  const look = (pid: number): void => {
    if (!enter(pid)) {
      unseen.push([pid, maps.uidOf(pid)]);
      return;
    }
    try {
      const open = maps.open(pid);
      try {
        const used = bytesOfUser.get(open.uid) ?? 0;
        const leftBytes = open.uid === 0 ? PROCESS_LIMIT_BYTES : USER_LIMIT_BYTES - used;
        const { ranges, readBytes, isWhole } = rangesIn(open.read, deviceMinor, leftBytes);
        bytesOfUser.set(open.uid, used + Math.max(readBytes, PROCESS_LEAST_BYTES));
        if (!isWhole) unseen.push([pid, open.uid]);
        for (const [inode, count] of ranges) mappings.push([inode, pid, count]);
      } finally {
        open.close();
      }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (!NOTHING_TO_SEE.has(code)) unseen.push([pid, maps.uidOf(pid)]);
    }
  };

  for (let round = 0; round < ROUNDS; round++) {
    const unseen = maps.pids().filter((pid) => !seen.has(pid));
    if (unseen.length === 0) break;
    // A child that has begun since has what its parent had, which may be gone.
    for (const pid of unseen) {
      seen.add(pid);
      look(pid);
    }
  }
  return { mappings, unseen };
}

interface Ranges {
  /** Ranges by inode. */
  readonly ranges: ReadonlyMap<number, number>;
  readonly readBytes: number;
  /** False when the limit came first, or what was read is none of Linux's lines. */
  readonly isWhole: boolean;
}

const RANGE = /^[0-9a-f]+-[0-9a-f]+ [-a-z]{4} [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d+)(?: |$)/;

/**
 * The ranges that the text of /proc/PID/maps shows of the device `0:deviceMinor`. Hardly any line names it: the others are not looked
 * at one by one.
 */
export function rangesIn(read: ReadBytes, deviceMinor: number, leftBytes: number): Ranges {
  const ranges = new Map<number, number>();
  const limitBytes = Math.min(PROCESS_LIMIT_BYTES, leftBytes);
  let readBytes = 0;
  let isUnderstood = true;
  if (limitBytes <= 0) return { ranges, readBytes, isWhole: false };
  const counted: ReadBytes = (target) => {
    const count = read(target);
    readBytes += count;
    return count;
  };
  const device = `00:${deviceMinor.toString(16).padStart(2, '0')}`;
  const limits = { limitBytes, lineBytes: FIELDS_BYTES, having: Buffer.from(` ${device} `) };
  const isWhole = readLines(counted, limits, (line) => {
    const fields = RANGE.exec(line);
    isUnderstood &&= fields !== null;
    if (fields?.[1] === device) {
      const inode = Number(fields[2]);
      ranges.set(inode, (ranges.get(inode) ?? 0) + 1);
    }
    return isUnderstood;
  });
  return { ranges, readBytes, isWhole: isWhole && isUnderstood };
}

const procMaps: ProcessMaps = {
  uidOf: (pid) => processStatus(pid)?.realUid ?? -1,
  pids: () => readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : [])),
  open(pid) {
    const descriptor = openSync(`/proc/${pid}/maps`, 'r');
    return {
      read: (target) => readSync(descriptor, target, 0, target.length, null),
      get uid() {
        const { uid } = fstatSync(descriptor);
        // The files of a process that may not be traced are root's.
        return uid === 0 ? (processStatus(pid)?.realUid ?? 0) : uid;
      },
      close: () => {
        closeSync(descriptor);
      },
    };
  },
};
