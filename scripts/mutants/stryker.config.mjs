/** One engine's mutants: `scripts/mutants/run.mjs` says in the environment which. */
const engine = process.env.IPCFS_MUTANTS_ENGINE;
const isForSurvivors = process.env.IPCFS_MUTANTS_SURVIVORS === '1';
const results = `.cache/mutants/${engine}`;

export default {
  testRunner: 'same-worker',
  plugins: ['./scripts/mutants/runner-plugin.mjs', './scripts/mutants/ignorer.mjs'],
  ignorers: ['assertions'],
  mutate: (process.env.IPCFS_MUTANTS_FILES ?? `src/${engine}/**/*.ts`).split(','),
  coverageAnalysis: 'perTest',
  // What runs when a module is loaded is constants, for the most part, and the process that tries mutants loads it once.
  ignoreStatic: true,
  concurrency: 1,
  timeoutMS: 60_000,
  timeoutFactor: 2,
  incremental: !isForSurvivors,
  incrementalFile: `${results}/incremental.json`,
  reporters: ['progress-append-only', 'clear-text', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  jsonReporter: { fileName: `${results}/${isForSurvivors ? 'survivors' : 'report'}.json` },
  tempDirName: '.cache/mutants/sandbox',
  ignorePatterns: ['dist', '.cache', 'native-notes', 'test/mount', 'test/host', 'test/cli', '*.tsbuildinfo'],
};
