import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { BenchMount } from './bench-mount.ts';
import { median, type Row } from './rows.ts';

const KIB = 1024;
/** Block size of dd, and how much is moved: enough for a second or so. */
const SIZES: readonly { blockBytes: number; totalBytes: number }[] = [
  { blockBytes: 4 * KIB, totalBytes: 64 * KIB * KIB },
  { blockBytes: 64 * KIB, totalBytes: 512 * KIB * KIB },
  { blockBytes: 1024 * KIB, totalBytes: 2048 * KIB * KIB },
];

/** Megabytes a second of `dd` writing into a pipe and `dd` reading from it. */
async function rate(path: string, blockBytes: number, totalBytes: number): Promise<number> {
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
  for (const { blockBytes, totalBytes } of SIZES) {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      theirs.push(await rate(mount.kernelFifo, blockBytes, totalBytes));
      ours.push(await rate(mount.pipe, blockBytes, totalBytes));
    }
    yield {
      what: `dd bs=${blockBytes / KIB}K to dd`,
      unit: 'MB/s',
      ipcfs: median(ours),
      peer: median(theirs),
      peerName: 'kernel FIFO',
      ratio: median(ours.map((value, round) => value / theirs[round]!)),
    };
  }
}
