import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { type BenchMount, program } from './bench-mount.ts';
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

interface Reader {
  readonly what: string;
  readonly command: (mount: BenchMount) => readonly [string, ...string[]];
  /** The table that it has open. */
  readonly table: string;
}

const cat = (table: string): Reader => ({
  what: `cat info/${table}`,
  command: (mount) => ['cat', mount.path(`info/${table}`)],
  table,
});

const command = (...options: string[]): Reader => ({
  what: ['ipcfs trace', ...options].join(' '),
  command: ({ directory }) => [process.execPath, program, 'trace', ...options, directory],
  table: 'trace.json',
});

const READERS = [cat('trace'), cat('trace.json'), command(), command('--json')];

async function costBeside(mount: BenchMount, { command, table }: Reader): Promise<number> {
  const [program, ...args] = command(mount);
  const reader = spawn(program, args, { stdio: 'ignore' });
  await started(mount, table);
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
  await costBeside(mount, READERS[0]!);
  for (const reader of READERS) {
    yield await compare(
      {
        what: `write or read of one byte beside ${reader.what}`,
        unit: 'us',
        peerName: 'without it',
        goal: ratioAtMost(MOST_SLOWED),
      },
      rounds * TURNS,
      () => costBeside(mount, reader),
      () => oneByteCost(mount.pipe),
    );
  }
}
