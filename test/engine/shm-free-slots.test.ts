import { expect, test } from 'vitest';

import { FreeSlots } from '../../src/shm/free-slots.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

// The titles name no rule: what a set of numbers does is no rule of shared memory.

test.each([1, 32, 33, 1024, 1025, 40_000, 65_536])('a set of %d numbers knows its lowest', (capacity) => {
  const seed = seedFromEnvironment();
  console.log(`set of ${capacity} with IPCFS_SEED=${seed}`);
  const random = new Random(seed);
  const slots = new FreeSlots(capacity);
  const model = new Set<number>();
  const check = () => {
    const expected = model.size === 0 ? -1 : [...model].reduce((a, b) => Math.min(a, b));
    if (slots.lowest() !== expected)
      throw new Error(`IPCFS_SEED=${seed}: ${slots.lowest()}, not ${expected}`);
  };
  check();
  for (const slot of [capacity - 1, 0]) {
    slots.add(slot);
    model.add(slot);
    check();
  }
  for (let step = 0; step < 3000; step++) {
    const slot = random.oneIn(3) && model.size > 0 ? slots.lowest() : random.below(capacity);
    if (random.oneIn(2)) {
      slots.delete(slot);
      model.delete(slot);
    } else if (model.size < 40) {
      slots.add(slot);
      model.add(slot);
    }
    check();
    expect(slots.has(slot)).toBe(model.has(slot));
  }
});
