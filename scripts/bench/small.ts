import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { NullPeer } from './peers/null-peer.ts';
import { compare, type Goal, ratioAtMost, type Row } from './rows.ts';

const OPERATIONS = 20_000;
/** Not measured: after a pause cores sleep deeply, and the scheduler has not placed the two processes yet. */
const WARM_UP_OPERATIONS = 4000;

/** Writes a byte and reads it again on one descriptor, `operations` of both together. */
function moveBytes(descriptor: number, operations: number): void {
  const byte = Buffer.alloc(1);
  for (let count = 0; count < operations; count += 2) {
    writeSync(descriptor, byte);
    readSync(descriptor, byte);
  }
}

/** Microseconds of a write of one byte, and of the read that follows it: their mean. */
export function oneByteCost(path: string): number {
  const descriptor = openSync(path, constants.O_RDWR);
  try {
    moveBytes(descriptor, WARM_UP_OPERATIONS);
    const startMs = performance.now();
    moveBytes(descriptor, OPERATIONS);
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
