import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { NullPeer } from './peers/null-peer.ts';
import { compare, type Goal, ratioAtMost, type Row } from './rows.ts';

const OPERATIONS = 4000;

/** Microseconds of a write of one byte, and of the read that follows it, on one descriptor: their mean. */
function oneByteCost(path: string): number {
  const descriptor = openSync(path, constants.O_RDWR);
  const byte = Buffer.alloc(1);
  try {
    const startMs = performance.now();
    for (let count = 0; count < OPERATIONS; count += 2) {
      writeSync(descriptor, byte);
      readSync(descriptor, byte);
    }
    return ((performance.now() - startMs) * 1000) / OPERATIONS;
  } finally {
    closeSync(descriptor);
  }
}

/** One-byte operations on a pipe against file systems that do nothing, and against the kernel's own FIFO. */
export async function* oneByteOperations(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const ours = (): number => oneByteCost(mount.pipe);
  const row = (peerName: string, theirs: (() => number) | null, goal?: Goal): Promise<Row> =>
    compare(
      { what: 'write or read of one byte', unit: 'us', peerName, ...(goal && { goal }) },
      rounds,
      ours,
      theirs,
    );
  const peers = [
    { name: 'C libfuse3, several threads', start: () => NullPeer.overLibfuse3(), goal: ratioAtMost(1) },
    { name: 'fuse-native', start: () => NullPeer.overFuseNative(), goal: ratioAtMost(0.3) },
  ];
  for (const { name, start, goal } of peers) {
    const peer = await start();
    if (typeof peer === 'string') {
      yield await row(`${name}: ${peer}`, null, goal);
      continue;
    }
    try {
      yield await row(`${name}, doing nothing`, () => oneByteCost(peer.file), goal);
    } finally {
      await peer.stop();
    }
  }
  yield await row('kernel FIFO', () => oneByteCost(mount.kernelFifo));
}
