import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import type { BenchMount } from './bench-mount.ts';
import { compare, figureAtMost, type Row } from './rows.ts';

const run = promisify(execFile);

const PIPES = 10_000;
const SAMPLES = 3000;
/** Of all calls, those that take longest: a thread that stops for a table would show here. */
const QUANTILE = 0.99;
/** Reading a table must not stop the server for longer. */
const LONGEST_STOP_MS = 5;

/** Milliseconds within which nearly all of many writes and reads of a byte are answered. */
function slowCall(path: string): number {
  const descriptor = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  const timesMs: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const startMs = performance.now();
    writeSync(descriptor, byte);
    readSync(descriptor, byte);
    timesMs.push(performance.now() - startMs);
  }
  closeSync(descriptor);
  return timesMs.sort((a, b) => a - b)[Math.floor(SAMPLES * QUANTILE)]!;
}

async function ended(child: ChildProcess): Promise<void> {
  const end = once(child, 'close');
  child.kill();
  await end;
}

/** The slow calls beside a loop of `cat info/NAME`. */
async function slowCallBeside(mount: BenchMount, name: string): Promise<number> {
  const loop = 'while cat "$1" > /dev/null; do :; done';
  const reader = spawn('bash', ['-c', loop, 'bash', mount.path(`info/${name}`)], { stdio: 'ignore' });
  await once(reader, 'spawn');
  try {
    return slowCall(mount.pipe);
  } finally {
    await ended(reader);
  }
}

/** Calls of one byte beside readers of a long table, and without them, in turn. */
export async function* callsBesideTables(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const directory = mount.path('pipes/many');
  await run('mkdir', [directory]);
  await run('bash', ['-c', `cd "$1" && seq ${PIPES} | xargs mkfifo`, 'bash', directory]);
  // The first calls of a server's life are slow: nothing of it is compiled yet.
  slowCall(mount.pipe);
  for (const name of ['pipes', 'pipes.json']) {
    yield await compare(
      {
        what: `99% of calls beside cat info/${name}, ${PIPES.toLocaleString('en')} pipes`,
        unit: 'ms',
        peerName: 'without cat',
        goal: figureAtMost(LONGEST_STOP_MS),
      },
      rounds,
      () => slowCallBeside(mount, name),
      () => slowCall(mount.pipe),
    );
  }
  await run('rm', ['-r', directory]);
}
