import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { compare, ratioAtMost, type Row } from './rows.ts';

const CALLS = 10_000;
/** Both sides take turns so often in a round: the speed of the machine changes meanwhile. */
const TURNS = 5;
const MOST_SLOWED = 1.1;

/** Microseconds of a write or a read of one byte: the mean of many. */
function oneByteCost(path: string): number {
  const descriptor = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  const startMs = performance.now();
  for (let count = 0; count < CALLS; count += 2) {
    writeSync(descriptor, byte);
    readSync(descriptor, byte);
  }
  const us = ((performance.now() - startMs) * 1000) / CALLS;
  closeSync(descriptor);
  return us;
}

/** Waits until the reader has its subscription open. */
async function started(mount: BenchMount, name: string): Promise<void> {
  while (!(await mount.table<{ path: string }>('handles')).some(({ path }) => path === `info/${name}`));
}

async function ended(child: ChildProcess): Promise<void> {
  const end = once(child, 'close');
  child.kill();
  await end;
}

async function costBeside(mount: BenchMount, name: string): Promise<number> {
  const reader = spawn('cat', [mount.path(`info/${name}`)], { stdio: 'ignore' });
  await started(mount, name);
  try {
    return oneByteCost(mount.pipe);
  } finally {
    await ended(reader);
  }
}

/** Calls of one byte while somebody reads the trace, and while nobody does, in turn. */
export async function* tracedCalls(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  // The first calls of a server's life are slow, traced or not: nothing is compiled yet.
  oneByteCost(mount.pipe);
  await costBeside(mount, 'trace');
  for (const name of ['trace', 'trace.json']) {
    yield await compare(
      {
        what: `write or read of one byte beside cat info/${name}`,
        unit: 'us',
        peerName: 'without cat',
        goal: ratioAtMost(MOST_SLOWED),
      },
      rounds * TURNS,
      () => costBeside(mount, name),
      () => oneByteCost(mount.pipe),
    );
  }
}
