import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run } from '../support/process.ts';

const probe = fileURLToPath(new URL('../../dist/test/support/allocator-probe.js', import.meta.url));
const isGlibc = 'glibcVersionRuntime' in (process.report.getReport() as { header: object }).header;

/** Bytes that 16 blocks of 1 MiB add to what is mapped for each of them alone. */
async function mappedBytes(...words: string[]): Promise<number> {
  const { status, stdout, stderr } = await run(process.execPath, ['--expose-gc', probe, ...words], {});
  expect([status, stderr]).toEqual([0, '']);
  return Number(stdout.split(' ')[0]);
}

test.skipIf(!isGlibc)(
  'large blocks go back to the system when they are freed, whatever was freed before',
  async () => {
    expect(await mappedBytes('settled')).toBeGreaterThanOrEqual(1024 * 1024);
    // Without it glibc keeps them: otherwise there would be nothing to settle.
    expect(await mappedBytes()).toBe(0);
  },
);
