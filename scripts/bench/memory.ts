import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchMount } from './bench-mount.ts';
import { median, type Row } from './rows.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./memset.js', import.meta.url));

const MIB = 1024 * 1024;
const SIZE_MIB = 256;

/** Megabytes a second of a memset through a mapping whose pages are there. The file is made, and removed afterwards. */
async function rate(path: string): Promise<number> {
  await run('truncate', ['-s', String(SIZE_MIB * MIB), path]);
  try {
    const { stdout } = await run(process.execPath, [program, path, String(SIZE_MIB * MIB)]);
    return (SIZE_MIB * MIB) / 1000 / Number(stdout);
  } finally {
    await run('rm', [path]);
  }
}

/** Stores through a mapping of a segment and of a file of a tmpfs, in turn. */
export async function mappedStores(mount: BenchMount, rounds: number): Promise<Row> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    theirs.push(await rate(mount.tmpfsFile));
    ours.push(await rate(mount.segment));
  }
  return {
    what: `memset of ${SIZE_MIB} MiB through a mapping, second pass (${await mount.shmBacking()})`,
    unit: 'MB/s',
    ipcfs: median(ours),
    peer: median(theirs),
    peerName: 'tmpfs',
    ratio: median(ours.map((value, round) => value / theirs[round]!)),
  };
}
