import { expect, test } from 'vitest';
import { ENODEV } from '../../src/kern/errno.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { opcodes } from '../../src/transports/raw/protocol/opcodes.ts';
import { failureOf, shrink, traceOf } from '../simulation/shrink.ts';
import { simulate, stepsOf } from '../simulation/simulation.ts';
import { stepKinds } from '../simulation/steps.ts';
import { seedFromEnvironment } from '../support/random.ts';

const RUNS = 500;
const STEPS = 2000;

/** What has to happen now and then, or the simulation would prove little. */
const waits = [
  ...['piperd', 'pipewr', 'pipbww', 'pipdww', 'pipdwc', 'pipdwt', 'fifoor', 'fifoow'],
  ...['kqread', 'shmwait', 'shmrealc', 'mappers', 'simmem', 'lockf', 'fault'],
];
const wanted = [
  ...waits.map((message) => `wait ${message}`),
  // DESTROY comes when the file system is gone.
  ...opcodes.flatMap((entry, opcode) =>
    entry === undefined || opcode === Opcode.DESTROY ? [] : [`opcode ${opcode}`],
  ),
  ...Object.keys(stepKinds.environment).map((kind) => `step ${kind}`),
  ...['tidy', 'unmounted', 'failed', 'stopped'].map((ending) => `ended ${ending}`),
  ...['notification', 'store', 'attributes not stored', 'answer refused', 'interrupt again'],
  ...[
    'READ -4',
    'READ -11',
    'WRITE -4',
    'WRITE -11',
    'WRITE -32',
    'WRITE -28',
    'OPEN -4',
    'OPEN -6',
    'OPEN -12',
  ],
  ...['hold', 'lines', 'records', 'requeue', 'overflow', 'fanout', 'jobserver', 'capacity', 'timeout'].map(
    (option) => `option ${option}`,
  ),
  'bytes dropped',
  ...['SETLK -11', 'SETLK -22', 'SETLKW -4', 'SETLKW 0'],
  ...['flock type 1', 'flock shared by two', 'lock in the way'],
  ...['CREATE -12', 'OPEN -24', 'SETATTR -12', 'MKNOD -12', 'READ -12', 'SETATTR -22'],
];

test(
  `${RUNS * STEPS} steps of processes, faults and interrupts keep every invariant`,
  { timeout: 600_000 },
  () => {
    const seed = seedFromEnvironment();
    console.log(`${RUNS} simulations of ${STEPS} steps with IPCFS_SEED=${seed}`);
    const tally = new Map<string, number>();
    for (let run = 0; run < RUNS; run++) {
      const runSeed = (seed + run) >>> 0;
      const steps = stepsOf(runSeed, STEPS);
      try {
        simulate({ seed: runSeed, steps, tally });
      } catch (cause) {
        const shortest = shrink(runSeed, steps);
        throw new Error(`IPCFS_SEED=${runSeed}: ${String(cause)}\n${traceOf(runSeed, shortest).join('\n')}`, {
          cause,
        });
      }
    }
    expect(wanted.filter((event) => !tally.has(event))).toEqual([]);
  },
);

test('the same seed is the same run', () => {
  const lines = [1, 2].map(() => traceOf(5, stepsOf(5, 300)));
  expect(lines[0]!.length).toBeGreaterThan(400);
  expect(lines[0]).toEqual(lines[1]);
});

test('a failure is shrunk to the steps that it needs', () => {
  const { openPipe } = stepKinds.programs;
  stepKinds.programs['openPipe'] = function* (context) {
    yield* openPipe!(context);
    if (context.random.oneIn(4)) context.world.expect(-ENODEV, 'a call that is broken');
  };
  try {
    const seed = 3;
    const steps = stepsOf(seed, 400);
    expect(failureOf(seed, steps)?.message).toContain('a call that is broken');
    const shortest = shrink(seed, steps);
    expect(shortest.length).toBeLessThan(8);
    expect(failureOf(seed, shortest)?.message).toContain('a call that is broken');
  } finally {
    stepKinds.programs['openPipe'] = openPipe!;
  }
});
