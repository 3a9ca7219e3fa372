import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import type { BenchMount } from './bench-mount.ts';
import { ended, startProgram } from './programs/start.ts';
import { compare, median, ratioAtMost, type Row } from './rows.ts';

const ROUND_TRIPS = 3000;
const EVENTS = 2000;
/** Not counted: until then neither side has all of it compiled. A pipe has room for all of their bytes. */
const WARM_UP_EVENTS = 8000;
const NANOSECONDS_PER_US = 1000;

/** Microseconds for a byte to another process and back, through two pipes. */
export async function pingPong(there: string, back: string): Promise<number> {
  const echo = await startProgram('echo', [there, back]);
  const output = openSync(there, 'w');
  const input = openSync(back, 'r');
  const byte = Buffer.alloc(1);
  const startMs = performance.now();
  for (let count = 0; count < ROUND_TRIPS; count++) {
    writeSync(output, byte);
    readSync(input, byte);
  }
  const us = ((performance.now() - startMs) * 1000) / ROUND_TRIPS;
  closeSync(output);
  await ended(echo);
  closeSync(input);
  return us;
}

/** Microseconds from before a write on `pipe` to when another process has the event: the median of many. */
async function eventLatency(
  pipe: string,
  answers: string,
  kind: 'epoll' | 'kqueue',
  kqueue: string,
): Promise<number> {
  const watcher = await startProgram('watch', [kind, pipe, answers, kqueue]);
  const input = openSync(answers, 'r');
  const output = openSync(pipe, 'w');
  const stamp = Buffer.alloc(8);
  const latencies: number[] = [];
  for (let count = -WARM_UP_EVENTS; count < EVENTS; count++) {
    const start = process.hrtime.bigint();
    writeSync(output, stamp, 0, 1);
    readSync(input, stamp);
    if (count >= 0) latencies.push(Number(stamp.readBigInt64LE() - start) / NANOSECONDS_PER_US);
  }
  closeSync(output);
  await ended(watcher);
  closeSync(input);
  return median(latencies);
}

/** How fast one process learns what another has done. */
export async function* latencies(mount: BenchMount, rounds: number): AsyncIterable<Row> {
  const answers = await mount.anotherFifo('answers');
  const back = await mount.anotherFifo('back');
  for (const name of ['there', 'back']) writeFileSync(mount.path(`pipes/${name}`), '', { flag: 'a' });
  yield await compare(
    { what: 'one byte there and back through two pipes', unit: 'us', peerName: 'kernel FIFOs' },
    rounds,
    () => pingPong(mount.path('pipes/there'), mount.path('pipes/back')),
    () => pingPong(mount.kernelFifo, back),
  );
  yield await compare(
    {
      what: 'write on a pipe to its event in another process',
      unit: 'us',
      peerName: 'kernel FIFO, epoll',
      goal: ratioAtMost(1.5),
    },
    rounds,
    () => eventLatency(mount.pipe, answers, 'kqueue', mount.path('kqueue.bin')),
    () => eventLatency(mount.kernelFifo, answers, 'epoll', ''),
  );
}
