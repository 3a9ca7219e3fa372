import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default', ['json', { outputFile: '.cache/test-report.json' }]],
    // Mounts share two cores with the processes that use them.
    maxWorkers: 2,
  },
});
