import { expect, test } from 'vitest';

import { KqueueInterleaving } from '../support/kqueue-interleaving.ts';
import { longTest, Random, seedFromEnvironment } from '../support/random.ts';

const INTERLEAVINGS = 10_000;

/** What has to happen now and then, or the interleavings would prove little. */
const events = ['sleep', 'events', 'nothing', 'interrupted', 'close', 'close with sleepers'];

test(
  'K55, K72, K73, K74, K128: registrations, activity, collectors and closes in any order agree with a model',
  longTest,
  () => {
    const seed = seedFromEnvironment();
    console.log(`${INTERLEAVINGS} interleavings with IPCFS_SEED=${seed}`);
    const tally = new Map<string, number>();
    for (let number = 0; number < INTERLEAVINGS; number++) {
      try {
        new KqueueInterleaving(new Random(Math.imul(seed, 0x9e3779b1) + number), tally).run();
      } catch (cause) {
        throw new Error(`IPCFS_SEED=${seed}, interleaving ${number}: ${String(cause)}`, { cause });
      }
    }
    expect(events.filter((event) => !tally.has(event))).toEqual([]);
  },
);
