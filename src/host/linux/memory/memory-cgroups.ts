import { join } from 'node:path';
import type { MemoryLimit } from '../../memory-room.ts';
import { RESERVE_BYTES } from './process-limits.ts';
import { readFileLines, readText } from '../bounded-read.ts';

/** A server may be moved to another group, and its groups get limits, after it has begun. */
const SEARCH_INTERVAL_MS = 1000;

/** How the two versions name their files. */
interface Version {
  readonly limit: string;
  readonly usage: string;
  /** Memory of files, in `memory.stat`, that Linux takes back before it ends anybody. */
  readonly reclaimable: RegExp;
}

const versions: Readonly<Record<'cgroup' | 'cgroup2', Version>> = {
  cgroup: {
    limit: 'memory.limit_in_bytes',
    usage: 'memory.usage_in_bytes',
    reclaimable: /^total_(?:in)?active_file (\d+)/gm,
  },
  cgroup2: { limit: 'memory.max', usage: 'memory.current', reclaimable: /^(?:in)?active_file (\d+)/gm },
};

/** A group of processes whose memory is limited together. */
interface Group extends Version {
  readonly directory: string;
}

/** A line of mountinfo: the part of the hierarchy that is mounted, where, the type, and the options. */
const CGROUP_MOUNT = /^\S+ \S+ \S+ (\S+) (\S+) [^\n]* - (cgroup2?) \S+ (\S+)$/gm;

/**
 * The groups that a process is in, with those around them, as far as they are mounted: from its /proc/PID/cgroup and mountinfo.
 */
export function memoryGroups(membership: string, mountinfo: string): Group[] {
  const groups: Group[] = [];
  for (const [, root, place, type, options] of mountinfo.matchAll(CGROUP_MOUNT)) {
    const isSecond = type === 'cgroup2';
    if (!isSecond && !options!.split(',').includes('memory')) continue;
    const line = isSecond ? /^0::(.*)$/m : /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m;
    const path = line.exec(membership)?.[1];
    if (path === undefined) continue;
    // In a container the mount may begin at the group itself.
    const isInside = root !== '/' && `${path}/`.startsWith(`${root!}/`);
    const names = (isInside ? path.slice(root!.length) : path).split('/').filter((name) => name !== '');
    const version = versions[isSecond ? 'cgroup2' : 'cgroup'];
    for (let depth = names.length; depth >= 0; depth--)
      groups.push({ directory: join(place!, ...names.slice(0, depth)), ...version });
  }
  return groups;
}

function numberIn(path: string): number {
  const text = readText(path)?.trim();
  return text === undefined || text === 'max' ? Infinity : Number(text);
}

/** What a second may spend on it: the mounts of control groups are among the first of a system. */
const MOUNTS_LIMITS = { limitBytes: 1024 * 1024, lineBytes: 64 * 1024 };

/** The lines of mountinfo that mount control groups. */
function cgroupMounts(): string {
  const lines: string[] = [];
  try {
    readFileLines('/proc/self/mountinfo', MOUNTS_LIMITS, (line) => {
      if (line.includes(' - cgroup')) lines.push(line);
      return true;
    });
  } catch {
    // No descriptors: what was found before, the next time.
  }
  return lines.join('\n');
}

/** The limits of the control groups that this process is in. Linux ends who goes beyond one. */
export class MemoryCgroups implements MemoryLimit {
  #limited: Group[] = [];
  #searchAtMs = -Infinity;

  roomBytes(): number {
    const nowMs = performance.now();
    if (nowMs >= this.#searchAtMs) {
      this.#searchAtMs = nowMs + SEARCH_INTERVAL_MS;
      // The first version says that there is no limit by a number beyond every memory.
      const membership = readText('/proc/self/cgroup') ?? '';
      const mountinfo = cgroupMounts();
      this.#limited = memoryGroups(membership, mountinfo).filter(
        ({ directory, limit }) => numberIn(join(directory, limit)) < Number.MAX_SAFE_INTEGER / 2,
      );
    }
    return Math.min(Infinity, ...this.#limited.map(roomOf));
  }
}

function roomOf({ directory, limit, usage, reclaimable }: Group): number {
  const limitBytes = numberIn(join(directory, limit)) - RESERVE_BYTES;
  const usedBytes = numberIn(join(directory, usage));
  if (limitBytes === Infinity || usedBytes === Infinity) return Infinity;
  if (usedBytes < limitBytes / 2) return limitBytes - usedBytes;
  let fileBytes = 0;
  for (const [, bytes] of (readText(join(directory, 'memory.stat')) ?? '').matchAll(reclaimable))
    fileBytes += Number(bytes);
  return limitBytes - usedBytes + fileBytes;
}
