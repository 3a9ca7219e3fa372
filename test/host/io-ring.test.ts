import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { IoRing } from '../../src/host/linux/io/io-ring.ts';
import { IoVector } from '../../src/host/linux/io/io-vector.ts';
import { EBADF } from '../../src/kern/errno.ts';
import { pattern } from '../support/engine.ts';

const probe = IoRing.open(1);
if (typeof probe !== 'number') probe.close();

describe.skipIf(typeof probe === 'number')('calls that threads of the kernel make', () => {
  const ENTRIES = 4;
  let ring: IoRing;
  let directory: string;
  beforeEach(() => {
    ring = IoRing.open(ENTRIES) as IoRing;
    directory = mkdtempSync(join(tmpdir(), 'ipcfs-test-'));
  });
  afterEach(() => {
    ring.close();
    rmSync(directory, { recursive: true });
  });

  /** Waits for so many calls to end: what they returned, by their tags. */
  function results(count: number): Map<number, number> {
    const found = new Map<number, number>();
    while (found.size < count) {
      ring.wait();
      ring.collect((tag, result) => {
        expect(found.has(tag)).toBe(false);
        found.set(tag, result);
      });
    }
    return found;
  }

  test('write what a vector names, and return how much it was', () => {
    const path = join(directory, 'file');
    const file = openSync(path, 'a');
    const bytes = pattern(300_000);
    const vector = new IoVector(6);
    vector.set(4, bytes, 10, 5);
    vector.set(5, bytes, 100_000, 200_000);
    expect(ring.startWrite(file, vector.addressOf(4), 2, 77)).toBe(true);
    expect(results(1)).toEqual(new Map([[77, 200_005]]));
    closeSync(file);
    const expected = Buffer.concat([bytes.subarray(10, 15), bytes.subarray(100_000)]);
    expect(readFileSync(path).equals(expected)).toBe(true);
  });

  test('return errors as negative numbers', () => {
    const vector = new IoVector(1);
    vector.set(0, pattern(10), 0, 10);
    ring.startWrite(9999, vector.addressOf(0), 1, 3);
    expect(results(1)).toEqual(new Map([[3, -EBADF]]));
  });

  test('can be several at a time, many times round the ring', () => {
    const size = 50_000;
    const files = Array.from({ length: ENTRIES }, (_, index) => join(directory, String(index)));
    const descriptors = files.map((path) => openSync(path, 'a'));
    const vector = new IoVector(ENTRIES);
    for (let round = 0; round < 5 * ENTRIES; round++) {
      descriptors.forEach((descriptor, index) => {
        vector.set(index, pattern(size, round + index), 0, size);
        expect(ring.startWrite(descriptor, vector.addressOf(index), 1, index)).toBe(true);
      });
      expect(results(ENTRIES)).toEqual(new Map(descriptors.map((_, index) => [index, size])));
    }
    descriptors.forEach(closeSync);
    for (const [index, path] of files.entries()) {
      const expected = Array.from({ length: 5 * ENTRIES }, (_, round) => pattern(size, round + index));
      expect(readFileSync(path).equals(Buffer.concat(expected))).toBe(true);
    }
  });

  test('a ring that nobody may have is a negative errno', () => {
    expect(IoRing.open(1 << 30)).toBeLessThan(0);
  });
});
