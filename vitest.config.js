import { defineConfig } from 'vitest/config';

/** Tests that load both processors on purpose, or that measure time: nothing else runs beside them. */
const alone = [
  'test/mount/hostile/**/*.test.ts',
  'test/host/process-events.test.ts',
  'test/mount/pipe-load.test.ts',
];

const shared = {
  setupFiles: ['test/support/check-after-each.ts'],
  testTimeout: 30_000,
  hookTimeout: 30_000,
};

export default defineConfig({
  test: {
    reporters: ['default', ['json', { outputFile: process.env.TEST_REPORT ?? '.cache/test-report.json' }]],
    projects: [
      {
        test: {
          ...shared,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          // Mounts share two cores with the processes that use them.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...shared, name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
