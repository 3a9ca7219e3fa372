import { writeFileSync } from 'node:fs';
import { BenchMount } from './bench-mount.ts';
import { rate } from './bulk.ts';
import { pingPong } from './latency.ts';
import { besideBusyProcesses, EVERY_PROCESSOR } from './load.ts';
import { compare, type Goal, ratioAtLeast, ratioAtMost, type Row } from './rows.ts';
import { oneByteCost } from './small.ts';

const KIB = 1024;

interface Measurement {
  readonly what: string;
  readonly unit: string;
  readonly goal?: Goal;
  readonly measure: (mount: BenchMount) => Promise<number> | number;
}

const LOADS = [
  { busyCount: 0, name: '' },
  { busyCount: 1, name: ', one processor busy' },
  { busyCount: EVERY_PROCESSOR, name: ', every processor busy' },
];

const small: readonly Measurement[] = LOADS.flatMap(({ busyCount, name }) => [
  {
    what: `write or read of one byte${name}`,
    unit: 'us',
    measure: (mount) => besideBusyProcesses(busyCount, () => oneByteCost(mount.pipe)),
  },
  {
    what: `one byte there and back${name}`,
    unit: 'us',
    goal: ratioAtMost(0.7),
    measure: (mount) =>
      besideBusyProcesses(busyCount, () => pingPong(mount.path('pipes/there'), mount.path('pipes/back'))),
  },
]);

const bulk: readonly Measurement[] = [
  { blockBytes: 4 * KIB, totalBytes: 64 * KIB * KIB, goal: ratioAtLeast(1.5) },
  { blockBytes: 64 * KIB, totalBytes: 512 * KIB * KIB, goal: ratioAtLeast(1) },
  { blockBytes: 1024 * KIB, totalBytes: 2048 * KIB * KIB, goal: ratioAtLeast(1) },
].map(({ blockBytes, totalBytes, goal }) => ({
  what: `dd bs=${blockBytes / KIB}K to dd`,
  unit: 'MB/s',
  goal,
  measure: (mount) => rate(mount.pipe, blockBytes, totalBytes),
}));

/** A mount whose requests come through an io_uring against one that reads /dev/fuse, in turn. */
export async function* throughRing(device: BenchMount, rounds: number): AsyncIterable<Row> {
  const ring = await BenchMount.start(['--io-uring', 'auto']);
  try {
    const isOnRing = await ring.isOnRing();
    const peerName = isOnRing ? 'through /dev/fuse' : 'through /dev/fuse: the kernel offers no ring';
    for (const mount of [ring, device]) {
      for (const name of ['there', 'back']) writeFileSync(mount.path(`pipes/${name}`), '', { flag: 'a' });
    }
    for (const { what, unit, goal, measure } of [...small, ...bulk]) {
      yield await compare(
        { what: `io_uring: ${what}`, unit, peerName, ...(goal && isOnRing && { goal }) },
        rounds,
        () => measure(ring),
        () => measure(device),
      );
    }
  } finally {
    await ring.stop();
  }
}
