import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchMount } from './bench-mount.ts';
import { compare, ratioAtLeast, type Row } from './rows.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('./programs/memset.js', import.meta.url));

const MIB = 1024 * 1024;
const SIZE_MIB = 256;

/** Megabytes a second of a memset through a mapping. The file is made, and removed afterwards. */
async function rate(path: string, pass: 'first' | 'later'): Promise<number> {
  await run('truncate', ['-s', String(SIZE_MIB * MIB), path]);
  try {
    const { stdout } = await run(process.execPath, [program, path, String(SIZE_MIB * MIB)]);
    const [firstMs, bestMs] = stdout.trim().split(' ').map(Number);
    return (SIZE_MIB * MIB) / 1000 / (pass === 'first' ? firstMs! : bestMs!);
  } finally {
    await run('rm', [path]);
  }
}

/** Stores through a mapping of a segment and of a file of a tmpfs. */
export async function* mappedStores(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const backing = await mount.shmBacking();
  for (const pass of ['first', 'later'] as const) {
    const which = pass === 'first' ? 'first touch' : 'second pass';
    yield await compare(
      {
        what: `memset of ${SIZE_MIB} MiB through a mapping, ${which} (${backing})`,
        unit: 'MB/s',
        peerName: 'tmpfs',
        ...(pass === 'later' && { goal: ratioAtLeast(0.95) }),
      },
      rounds,
      () => rate(mount.segment, pass),
      () => rate(mount.tmpfsFile, pass),
    );
  }
}
