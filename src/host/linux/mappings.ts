import { readdir, readFile } from 'node:fs/promises';

/** Processes read at a time. */
const BATCH = 64;

/** A process that is gone, one without memory, and one that we may not look at map nothing as far as we know. */
const NOTHING_TO_SEE = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/** The inodes of the device `0:deviceMinor` that the lines of /proc/PID/maps name, and how many lines name each. */
export function inodesMapped(maps: string, deviceMinor: number): Map<number, number> {
  const device = `00:${deviceMinor.toString(16).padStart(2, '0')}`;
  const inodes = new Map<number, number>();
  for (const line of maps.split('\n')) {
    // Range, permissions, offset, device, inode, path.
    const fields = line.split(' ', 5);
    if (fields[3] !== device) continue;
    const inode = Number(fields[4]);
    inodes.set(inode, (inodes.get(inode) ?? 0) + 1);
  }
  return inodes;
}

/** How many ranges of the memory of a process are mapped to a file. */
export type Mapping = readonly [inode: number, pid: number, rangeCount: number];

/** Which processes that we may look at map which files of a mount now. Rejects when some could not be read for another reason. */
export async function findMappings(deviceMinor: number): Promise<Mapping[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: Mapping[] = [];
  for (let start = 0; start < pids.length; start += BATCH) {
    await Promise.all(
      pids.slice(start, start + BATCH).map(async (pid) => {
        for (const [inode, rangeCount] of inodesMapped(await mapsOf(pid), deviceMinor)) {
          found.push([inode, pid, rangeCount]);
        }
      }),
    );
  }
  return found;
}

async function mapsOf(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/maps`, 'latin1');
  } catch (error) {
    if (NOTHING_TO_SEE.has((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
