import { expect, test } from 'vitest';

import { assert } from '../../src/kern/assert.ts';
import { EAGAIN, EDEADLK, EINTR } from '../../src/kern/errno.ts';
import { type Call } from '../support/engine.ts';
import { LockWorld } from '../support/locks.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

const RUNS = 150;
const STEPS = 400;
const OWNERS = 5;
/** Bytes of each of the files; what is locked beyond them is one byte more. */
const BYTES = 8;

type Holding = 's' | 'x' | undefined;

interface Wait {
  readonly call: Call;
  readonly isExclusive: boolean;
  readonly bytes: readonly number[];
  readonly file: number;
}

/** What each owner holds of each byte, and for what it waits: no ranges, no holders, no order. */
class Model {
  readonly world = new LockWorld();
  readonly tables = [this.world.table('fcntl'), this.world.table('fcntl')];
  readonly held = this.tables.map(() =>
    Array.from({ length: OWNERS }, () => new Array<Holding>(BYTES + 1).fill(undefined)),
  );
  readonly waits = new Map<number, Wait>();

  /** Those that keep `owner` from its bytes. */
  inTheWay(file: number, owner: number, isExclusive: boolean, bytes: readonly number[]): number[] {
    const others = Array.from({ length: OWNERS }, (_, index) => index).filter((other) => other !== owner);
    return others.filter((other) =>
      bytes.some((byte) => {
        const holding = this.held[file]![other]![byte];
        return holding === 'x' || (holding === 's' && isExclusive);
      }),
    );
  }

  /** Whether a chain of waits leads from one of `from` to `owner`. */
  leadsTo(owner: number, from: readonly number[], seen = new Set<number>()): boolean {
    return from.some((other) => {
      if (other === owner) return true;
      const wait = this.waits.get(other);
      if (seen.has(other) || wait === undefined) return false;
      seen.add(other);
      return this.leadsTo(owner, this.inTheWay(wait.file, other, wait.isExclusive, wait.bytes), seen);
    });
  }

  set(file: number, owner: number, bytes: readonly number[], holding: Holding): void {
    for (const byte of bytes) this.held[file]![owner]![byte] = holding;
  }

  /** Takes over what was granted, and holds that nobody waits who need not. */
  settle(): void {
    // One grant may convert, and so make way for another: in whatever order they can have come.
    for (let isChanged = true; isChanged;) {
      isChanged = false;
      for (const [owner, { call, file, isExclusive, bytes }] of this.waits) {
        if (call.result === null) continue;
        assert(call.result === 0, 'who has waited gets the lock');
        if (this.inTheWay(file, owner, isExclusive, bytes).length > 0) continue;
        this.waits.delete(owner);
        this.set(file, owner, bytes, isExclusive ? 'x' : 's');
        isChanged = true;
      }
    }
    for (const [owner, { call, file, isExclusive, bytes }] of this.waits) {
      assert(call.result === null, 'a lock is granted when it is free');
      assert(
        this.inTheWay(file, owner, isExclusive, bytes).length > 0,
        'nobody waits for a lock that is free',
      );
    }
    this.world.checkInvariants();
    this.tables.forEach((table, file) => {
      for (let owner = 0; owner < OWNERS; owner++) {
        const ranges = table.holders.get(BigInt(owner))?.ranges ?? [];
        const own = this.held[file]![owner]!;
        for (let byte = 0; byte <= BYTES; byte++) {
          const range = ranges.find(({ start, end }) => start <= byte && byte <= end);
          const holding: Holding = range === undefined ? undefined : range.isExclusive ? 'x' : 's';
          assert(holding === own[byte], `owner ${owner} has byte ${byte} as it was granted`);
        }
      }
    });
  }

  step(random: Random, seen: Set<string>): void {
    const { world } = this;
    const owner = random.below(OWNERS);
    const file = random.below(this.tables.length);
    const table = this.tables[file]!;
    const wait = this.waits.get(owner);
    if (wait !== undefined) {
      if (!random.oneIn(3)) return;
      wait.call.signal();
      assert(wait.call.result === -EINTR, 'a signal ends a wait');
      this.waits.delete(owner);
      seen.add('interrupted');
      return;
    }
    const start = random.below(BYTES + 1);
    const end = random.between(start, BYTES);
    const bytes = Array.from({ length: end - start + 1 }, (_, index) => start + index);
    const range = [start, end === BYTES ? Infinity : end] as const;
    if (random.oneIn(4)) {
      if (random.oneIn(4)) {
        world.unlock(table, owner);
        this.held[file]![owner]!.fill(undefined);
      } else {
        world.unlock(table, owner, range);
        this.set(file, owner, bytes, undefined);
      }
      return;
    }
    const isExclusive = random.oneIn(2);
    const blockers = this.inTheWay(file, owner, isExclusive, bytes);
    if (random.oneIn(3)) {
      const result = world.tryLock(table, owner, isExclusive, range);
      assert(result === (blockers.length > 0 ? -EAGAIN : 0), 'a lock is refused when it is not free');
      if (result === 0) this.set(file, owner, bytes, isExclusive ? 'x' : 's');
      return;
    }
    const isDeadlock = this.leadsTo(owner, blockers);
    const call = world.lock(table, owner, isExclusive, range);
    if (blockers.length === 0) {
      assert(call.result === 0, 'a free lock is granted at once');
      this.set(file, owner, bytes, isExclusive ? 'x' : 's');
    } else if (isDeadlock) {
      assert(call.result === -EDEADLK, 'a wait that cannot end does not begin');
      seen.add('deadlock');
    } else {
      assert(call.isBlocked, 'a lock that is not free is waited for');
      this.waits.set(owner, { call, isExclusive, bytes, file });
      seen.add('blocked');
    }
  }
}

test(`${RUNS * STEPS} random calls lock what a model of single bytes does`, { timeout: 120_000 }, () => {
  const seed = seedFromEnvironment();
  console.log(`${RUNS} runs of ${STEPS} calls with IPCFS_SEED=${seed}`);
  const seen = new Set<string>();
  for (let run = 0; run < RUNS; run++) {
    const random = new Random((seed + run) >>> 0);
    const model = new Model();
    for (let step = 0; step < STEPS; step++) {
      try {
        model.step(random, seen);
        model.settle();
      } catch (cause) {
        throw new Error(`IPCFS_SEED=${(seed + run) >>> 0}, step ${step}: ${String(cause)}`, { cause });
      }
    }
  }
  expect([...seen].sort()).toEqual(['blocked', 'deadlock', 'interrupted']);
});
