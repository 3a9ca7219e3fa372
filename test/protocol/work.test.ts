import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/process.ts';
import type { WorkReport } from '../support/work-counter.ts';

const counter = fileURLToPath(new URL('../../dist/test/support/work-counter.js', import.meta.url));
/** So much from the start that nothing is collected while allocations are counted: a collection would hide them. */
const flags = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'];

/**
 * What a turn may cost at most: counted work, which does not depend on how fast the machine is. A turn is one request, or two that
 * belong together. Allocations may be a quarter more than they were when this was written: counting them is not exact.
 */
const limits = {
  getattr: { answers: 1, copiedBytes: 0, allocatedBytes: 64 },
  // Into the ring and out of it. Each byte once more by the kernel, at either side.
  'one byte through the ring': { answers: 2, copiedBytes: 2, allocatedBytes: 1450 },
  '4 KiB through the ring': { answers: 2, copiedBytes: 2 * 4096, allocatedBytes: 1450 },
  // From the receive buffer to the reader's answer: not once within the server.
  '64 KiB handed over': { answers: 2, copiedBytes: 0, allocatedBytes: 5100 },
  '1 MiB handed over': { answers: 2, copiedBytes: 0, allocatedBytes: 5100 },
  'an event triggered and collected': { answers: 2, copiedBytes: 64, allocatedBytes: 4300 },
};

describe('the work that a request costs does not grow', () => {
  const reports = new Map<string, WorkReport>();
  beforeAll(async () => {
    for (const kind of Object.keys(limits)) {
      const { status, stdout, stderr } = await run(process.execPath, [...flags, counter, kind], {
        timeoutMs: 60_000,
      });
      expect([status, stderr]).toEqual([0, '']);
      reports.set(kind, JSON.parse(stdout) as WorkReport);
    }
  }, 120_000);

  test.each(Object.entries(limits))('%s', (kind, limit) => {
    const { work } = reports.get(kind)!;
    expect(work.answers).toBe(limit.answers);
    expect(work.copiedBytes).toBeLessThanOrEqual(limit.copiedBytes);
    expect(work.allocatedBytes).toBeLessThanOrEqual(limit.allocatedBytes);
  });

  test('allocations are counted', () => {
    expect(reports.get('one byte through the ring')!.work.allocatedBytes).toBeGreaterThan(50);
  });

  test('two calls of the kernel: receive and answer', () => {
    for (const { callsOfLoop } of reports.values()) {
      expect(callsOfLoop).toBeGreaterThanOrEqual(2);
      expect(callsOfLoop).toBeLessThan(2.01);
    }
  });
});
