import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['scripts/mutants/tests-of-engine.test.mjs'],
    setupFiles: ['test/support/check-after-each.ts'],
    runner: 'scripts/mutants/mutant-runner.mjs',
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 2000,
    reporters: [],
    watch: false,
  },
});
