import { expect, test } from 'vitest';

import { EAGAIN, EINTR, ENOMEM, ENXIO, EPIPE } from '../../src/kern/errno.ts';
import { Interleaving } from '../support/interleaving.ts';
import { longTest, Random, seedFromEnvironment } from '../support/random.ts';

const INTERLEAVINGS = 10_000;

/** What has to happen now and then, or the interleavings would prove little. */
const events = [
  ...['piperd', 'pipewr', 'pipbww', 'pipdww', 'pipdwc', 'pipdwt', 'pipecl', 'fifoor', 'fifoow'],
  ...[`read 0`, `read ${-EAGAIN}`, `read ${-EINTR}`],
  ...[`write ${-EAGAIN}`, `write ${-EINTR}`, `write ${-EPIPE}`, 'short write'],
  ...[`open ${-EINTR}`, `open ${-ENXIO}`, `open ${-ENOMEM}`],
];

test(
  'P47, P54, P69, P113, P118: calls on a FIFO and a pair in any order lose no byte and no wake-up',
  longTest,
  () => {
    const seed = seedFromEnvironment();
    console.log(`${INTERLEAVINGS} interleavings with IPCFS_SEED=${seed}`);
    const tally = new Map<string, number>();
    for (let number = 0; number < INTERLEAVINGS; number++) {
      try {
        new Interleaving(new Random(Math.imul(seed, 0x9e3779b1) + number), tally).run();
      } catch (cause) {
        throw new Error(`IPCFS_SEED=${seed}, interleaving ${number}: ${String(cause)}`, { cause });
      }
    }
    expect(events.filter((event) => !tally.has(event))).toEqual([]);
  },
);
