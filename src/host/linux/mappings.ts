import { readdir, readFile } from 'node:fs/promises';

/** Processes read at a time. */
const BATCH = 64;

/** The inodes of the device `0:deviceMinor` that the lines of /proc/PID/maps name. */
export function inodesMapped(maps: string, deviceMinor: number): number[] {
  const device = `00:${deviceMinor.toString(16).padStart(2, '0')}`;
  const inodes = new Set<number>();
  for (const line of maps.split('\n')) {
    // Range, permissions, offset, device, inode, path.
    const fields = line.split(' ', 5);
    if (fields[3] === device) inodes.add(Number(fields[4]));
  }
  return [...inodes];
}

/** Which processes that we may look at map which files of a mount now. */
export async function findMappings(deviceMinor: number): Promise<[inode: number, pid: number][]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: [number, number][] = [];
  for (let start = 0; start < pids.length; start += BATCH) {
    await Promise.all(
      pids.slice(start, start + BATCH).map(async (pid) => {
        const maps = await readFile(`/proc/${pid}/maps`, 'latin1').catch(() => '');
        for (const inode of inodesMapped(maps, deviceMinor)) found.push([inode, pid]);
      }),
    );
  }
  return found;
}
