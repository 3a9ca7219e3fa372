import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { BenchMount } from './bench-mount.ts';
import { compare, ratioAtLeast, type Row } from './rows.ts';

const KIB = 1024;
/** Block size of dd, and how much is moved: enough for a second or so. */
const SIZES = [
  { blockBytes: 4 * KIB, totalBytes: 64 * KIB * KIB, goal: null },
  { blockBytes: 64 * KIB, totalBytes: 512 * KIB * KIB, goal: ratioAtLeast(0.6) },
  { blockBytes: 1024 * KIB, totalBytes: 2048 * KIB * KIB, goal: ratioAtLeast(1.8) },
];

/** Megabytes a second of `dd` writing into a pipe and `dd` reading from it. */
export async function rate(path: string, blockBytes: number, totalBytes: number): Promise<number> {
  const startMs = performance.now();
  const writer = spawn('dd', [
    'if=/dev/zero',
    `of=${path}`,
    `bs=${blockBytes}`,
    `count=${totalBytes / blockBytes}`,
    'status=none',
  ]);
  const reader = spawn('dd', [`if=${path}`, 'of=/dev/null', `bs=${blockBytes}`, 'status=none']);
  await Promise.all([once(writer, 'close'), once(reader, 'close')]);
  return totalBytes / 1000 / (performance.now() - startMs);
}

/** dd to dd through a pipe of the mount and through a FIFO of the kernel, in turn. */
export async function* bulkThroughput(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  for (const { blockBytes, totalBytes, goal } of SIZES) {
    yield await compare(
      {
        what: `dd bs=${blockBytes / KIB}K to dd`,
        unit: 'MB/s',
        peerName: 'kernel FIFO',
        ...(goal && { goal }),
      },
      rounds,
      () => rate(mount.pipe, blockBytes, totalBytes),
      () => rate(mount.kernelFifo, blockBytes, totalBytes),
    );
  }
}
