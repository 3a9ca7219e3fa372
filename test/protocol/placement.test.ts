import { describe, expect, test } from 'vitest';
import { Placement } from '../../src/transports/raw/device/placement.ts';

const BULK_BYTES = 64 * 1024;
const ENOUGH_MS = 20;

describe('the serving thread goes where a caller writes much', () => {
  function placement(isElsewhere = true) {
    const looks: number[] = [];
    const placed = new Placement((threadId) => {
      looks.push(threadId);
      return isElsewhere;
    });
    return { placed, looks };
  }

  test('to the only writer, and looks only now and then', () => {
    const { placed, looks } = placement();
    for (let nowMs = 0; nowMs < 100; nowMs += 0.1) placed.wrote(7, BULK_BYTES, nowMs);
    expect(new Set(looks)).toEqual(new Set([7]));
    expect(looks.length).toBeGreaterThanOrEqual(5);
    expect(looks.length).toBeLessThanOrEqual(25);
    expect(placed.moves).toBe(looks.length);
  });

  test('a look that finds it there is no move', () => {
    const { placed, looks } = placement(false);
    for (let nowMs = 0; nowMs < 100; nowMs++) placed.wrote(7, BULK_BYTES, nowMs);
    expect(looks.length).toBeGreaterThan(0);
    expect(placed.moves).toBe(0);
  });

  test('to none of several writers, until one is left', () => {
    const { placed, looks } = placement();
    let nowMs = 0;
    for (; nowMs < 100; nowMs++) placed.wrote(7 + (nowMs % 2), BULK_BYTES, nowMs);
    expect(looks).toEqual([]);
    for (; nowMs < 200; nowMs++) placed.wrote(8, BULK_BYTES, nowMs);
    expect(new Set(looks)).toEqual(new Set([8]));
  });

  test('not for small writes, nor to whom this machine does not number', () => {
    const { placed, looks } = placement();
    for (let nowMs = 0; nowMs < 5 * ENOUGH_MS; nowMs++) {
      placed.wrote(7, 4096, nowMs);
      placed.wrote(0, BULK_BYTES, nowMs);
    }
    expect(looks).toEqual([]);
  });
});
