import { expect, test } from 'vitest';

import { assert } from '../../src/kern/assert.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { EAGAIN, EBUSY, EEXIST, EINTR, EINVAL, ENOENT, ENOMEM, ENOSPC } from '../../src/kern/errno.ts';
import type { WaitChannel } from '../../src/kern/operation.ts';
import { IPC_CREAT, IPC_EXCL } from '../../src/shm/flags.ts';
import { shmat } from '../../src/shm/shmat.ts';
import { shmget } from '../../src/shm/shmget.ts';
import { type Call, user } from '../support/engine.ts';
import { longTest, Random, seedFromEnvironment } from '../support/random.ts';
import { PAGE, ShmWorld, type TestProcess } from '../support/shm.ts';

const RACES = 200;
const RACERS = 100;
const INTERLEAVINGS = 2000;
const KEY = 0x1234;

/** Runs what is runnable in the chooser's order; what sleeps in the host is woken at random. */
function runAll(
  world: ShmWorld,
  random: Random,
  gates: readonly WaitChannel[],
  between = () => undefined as unknown,
) {
  const { scheduler } = world.kernel;
  for (;;) {
    if (random.oneIn(8)) random.pick(gates).wakeupOne();
    between();
    const ran = scheduler.runOne();
    world.check();
    if (ran) continue;
    const asleep = gates.filter((gate) => gate.firstSleeper !== null);
    if (asleep.length === 0 && scheduler.runnableCount === 0) return;
    if (asleep.length > 0) random.pick(asleep).wakeupOne();
  }
}

function count(calls: readonly Call[], result: number): number {
  return calls.filter((call) => call.result === result).length;
}

function withSeed(what: string, times: number, run: (random: Random) => void): void {
  const seed = seedFromEnvironment();
  console.log(`${times} ${what} with IPCFS_SEED=${seed}`);
  const random = new Random(seed);
  for (let number = 0; number < times; number++) {
    try {
      run(random);
    } catch (cause) {
      throw new Error(`IPCFS_SEED=${seed}, ${what} ${number}: ${String(cause)}`, { cause });
    }
  }
}

test('S28, S29: of 100 creators of one key with IPC_EXCL one succeeds, and 99 get EEXIST', () => {
  withSeed('races', RACES, (random) => {
    const world = new ShmWorld({ choose: (runnable) => random.below(runnable) });
    const gate = world.kernel.channel(null);
    world.memory.gate = gate;
    const request = { key: KEY, sizeBytes: PAGE, flags: IPC_CREAT | IPC_EXCL | 0o600 };
    const calls = Array.from({ length: RACERS }, () => world.spawn(shmget(world.shm, user, request)));
    runAll(world, random, [gate]);
    expect([count(calls, 65536), count(calls, -EEXIST)]).toEqual([1, RACERS - 1]);
    expect([world.table.usedCount, world.table.committedPages]).toEqual([1, 1]);
  });
});

test('S19, S28, S29: when creations fail, the first that can be made wins', () => {
  withSeed('races', RACES, (random) => {
    const world = new ShmWorld({ choose: (runnable) => random.below(runnable) });
    const gate = world.kernel.channel(null);
    world.memory.gate = gate;
    world.setLimit('shm_use_phys', 1);
    const failures = random.between(1, 20);
    Object.assign(world.memory.lockFault, { error: -EAGAIN, times: failures });
    const request = { key: KEY, sizeBytes: PAGE, flags: IPC_CREAT | IPC_EXCL | 0o600 };
    const calls = Array.from({ length: RACERS }, () => world.spawn(shmget(world.shm, user, request)));
    runAll(world, random, [gate]);
    const results = [65536, -EAGAIN, -EEXIST].map((result) => count(calls, result));
    expect(results).toEqual([1, failures, RACERS - 1 - failures]);
    expect(world.table.committedPages).toBe(1);
  });
});

test(
  'S4, S19, S28, S29, S38, S40, S44, S71, S75: creations, attaches and resizes in any order',
  longTest,
  () => {
    const tally = new Map<string, number>();
    withSeed('interleavings', INTERLEAVINGS, (random) => {
      const world = new ShmWorld({ choose: (runnable) => random.below(runnable) });
      const gates = [world.kernel.channel('memory'), world.kernel.channel('space')];
      world.memory.gate = gates[0]!;
      world.setLimit('shmmaxpgs', random.between(4, 12));
      if (random.oneIn(3)) world.setLimit('shm_use_phys', 1);
      Object.assign(world.memory.allocateFault, { error: random.pick([0, -ENOMEM]), after: random.below(6) });
      Object.assign(world.memory.lockFault, { error: random.pick([0, -EAGAIN]), after: random.below(6) });
      const processes = Array.from({ length: 4 }, () => world.process());
      for (const { space } of processes) {
        space.gate = gates[1]!;
        Object.assign(space.mapFault, { error: random.pick([0, -ENOMEM]), after: random.below(4) });
        Object.assign(space.wireFault, { error: random.pick([0, -ENOMEM]), after: random.below(4) });
      }
      const calls: Call[] = [];
      const act = (): void => {
        if (calls.length >= 40 || !random.oneIn(3)) return;
        switch (random.below(8)) {
          case 0:
          case 1:
          case 2: {
            const sizeBytes = random.between(1, 4 * PAGE);
            const flags = random.pick([IPC_CREAT, IPC_CREAT, IPC_CREAT | IPC_EXCL, 0]) | 0o600;
            calls.push(world.spawn(shmget(world.shm, user, { key: random.below(3), sizeBytes, flags })));
            break;
          }
          case 3:
          case 4:
            calls.push(world.spawn(shmat(world.shm, random.pick(processes), anyId(world, random))));
            break;
          case 5:
            world.remove(anyId(world, random));
            break;
          case 6:
            calls.push(
              world.spawn(
                world.kernel.sysctls.change('kern.ipc.shmmni', random.between(1, 9), rootCredentials),
              ),
            );
            break;
          default:
            disturb(world, random, processes, calls);
        }
      };
      for (let step = 0; step < 60; step++) act();
      runAll(world, random, gates, act);

      const expected = [-EAGAIN, -EBUSY, -EEXIST, -EINTR, -EINVAL, -ENOENT, -ENOMEM, -ENOSPC];
      for (const { result } of calls) {
        assert(result !== null, 'every call has ended');
        assert(result >= 0 || expected.includes(result), `a call does not end with ${result}`);
        tally.set(`${Math.min(0, result)}`, (tally.get(`${Math.min(0, result)}`) ?? 0) + 1);
      }
      for (const process of processes) world.exit(process);
      for (const segment of [...world.table.segments()]) world.remove(segment.id);
      assert(world.table.usedCount === 0 && world.table.committedPages === 0, 'nothing is left');
      assert(world.memory.live.size === 0 && world.shm.maps.size === 0, 'no memory and no map is left');
      assert(world.memory.tableSlots === world.table.slotCount, 'one table is held');
    });
    for (const result of [0, -EAGAIN, -EBUSY, -EEXIST, -EINTR, -EINVAL, -ENOENT, -ENOMEM, -ENOSPC]) {
      expect([result, (tally.get(`${result}`) ?? 0) > 50]).toEqual([result, true]);
    }
  },
);

function anyId(world: ShmWorld, random: Random): number {
  const ids = [...world.table.segments()].map(({ id }) => id);
  return random.pick([...ids, 65536]);
}

/** A signal, a detach, or a fork that ends at once. */
function disturb(world: ShmWorld, random: Random, processes: readonly TestProcess[], calls: readonly Call[]) {
  const process = random.pick(processes);
  switch (random.below(3)) {
    case 0:
      if (calls.length > 0) world.kernel.scheduler.interrupt(random.pick(calls).thread);
      break;
    case 1:
      world.detach(process, random.pick([...process.addresses, 0]));
      break;
    default:
      world.exit(world.fork(process, 700));
  }
}
