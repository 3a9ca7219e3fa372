import { BroadcastChannel } from 'node:worker_threads';
import { TestRunner } from 'vitest';

/** What instrumented code shares with the code that chooses the mutant. */
const stryker = (globalThis.__stryker__ ??= {});

function* testsIn(suite) {
  for (const task of suite.tasks) {
    if (task.type === 'suite') yield* testsIn(task);
    else if (task.mode === 'run' || task.mode === 'queued') yield task;
  }
}

function nameOf(task) {
  const names = [];
  for (let at = task; at !== undefined && at !== task.file; at = at.suite) names.unshift(at.name);
  return names.join(' > ');
}

/** Hooks of the test's suites: those before it outermost first, those after it innermost first. */
function hooksOf(test, kind) {
  const hooks = [];
  for (
    let suite = test.suite ?? test.file;
    suite !== undefined;
    suite = suite === test.file ? undefined : (suite.suite ?? test.file)
  ) {
    const own = TestRunner.getSuiteHooks(suite)[kind];
    if (kind === 'beforeEach') hooks.unshift(...own);
    else hooks.push(...own);
  }
  return hooks;
}

/** Runs a test once more. What it failed with, null when it passes. */
async function rerun(test) {
  let failure = null;
  try {
    for (const hook of hooksOf(test, 'beforeEach')) await hook(test.context, test.suite);
    await TestRunner.getTestFn(test)();
  } catch (error) {
    failure = error;
  }
  for (const hook of hooksOf(test, 'afterEach')) {
    try {
      await hook(test.context, test.suite);
    } catch (error) {
      failure ??= error;
    }
  }
  return failure;
}

/** A test of a mutant may take so many steps for each that it takes without one, and these besides; then it is endless. */
const STEPS_FACTOR = 10;
const MORE_STEPS = 100_000;

/** Thrown by a step too many. */
class Endless extends Error {}

/** Instrumented code counts its steps here while mutants are tried: no loop of it is endless, whichever mutant it is in. */
const steps = { taken: 0, limit: 0 };
const counter = new Proxy(
  {},
  {
    get: () => 0,
    set() {
      if (++steps.taken > steps.limit) throw new Endless('too many steps');
      return true;
    },
  },
);

/** Vitest's runner, but that it stays when all tests have run: it runs them again for mutant after mutant, as the plugin asks. */
export default class MutantRunner extends TestRunner {
  /** Steps that each test takes without a mutant. */
  #stepsOf = new Map();

  onBeforeTryTask(test) {
    super.onBeforeTryTask(test);
    stryker.currentTestId = test.id;
  }

  async onAfterRunFiles(files) {
    stryker.currentTestId = 'mutants';
    delete stryker.mutantCoverage?.perTest.mutants;
    const tests = new Map();
    for (const file of files) for (const test of testsIn(file)) tests.set(test.id, test);
    const channel = new BroadcastChannel(`mutants-${process.pid}`);
    const results = [...tests.values()].map((test) => ({
      id: test.id,
      name: nameOf(test),
      failure: test.result?.state === 'pass' ? null : (test.result?.errors?.[0]?.message ?? 'it did not run'),
      timeSpentMs: test.result?.duration ?? 0,
    }));
    const { static: atStart = {}, perTest = {} } = stryker.mutantCoverage ?? {};
    for (const [id, hits] of Object.entries(perTest)) {
      this.#stepsOf.set(
        id,
        Object.values(hits).reduce((sum, count) => sum + count, 0),
      );
    }
    await new Promise((resolve) => {
      channel.onmessage = ({ data }) => {
        if (data.kind === 'end') resolve();
        if (data.kind !== 'mutant') return;
        void this.#tryMutant(tests, data).then((result) => {
          channel.postMessage({ kind: 'result', ...result });
        });
      };
      channel.postMessage({ kind: 'ready', tests: results, coverage: { static: atStart, perTest } });
      perTest.mutants = counter;
    });
    channel.close();
    super.onAfterRunFiles();
  }

  /** The tests that reach the mutant, until one of them fails: short ones first, which also see an endless loop soonest. */
  async #tryMutant(tests, { id, testIds, hitLimit }) {
    stryker.hitLimit = hitLimit;
    stryker.hitCount = hitLimit === undefined ? undefined : 0;
    let count = 0;
    const stepsOf = (testId) => this.#stepsOf.get(testId) ?? 0;
    for (const testId of [...(testIds ?? tests.keys())].sort((one, other) => stepsOf(one) - stepsOf(other))) {
      count++;
      const test = tests.get(testId);
      steps.taken = 0;
      steps.limit = stepsOf(testId) * STEPS_FACTOR + MORE_STEPS;
      stryker.activeMutant = id;
      const failure = await rerun(test);
      stryker.activeMutant = undefined;
      const isEndless = steps.taken > steps.limit;
      steps.taken = 0;
      steps.limit = Infinity;
      if (isEndless || stryker.hitCount > hitLimit) return { isTimeout: true, count };
      if (failure === null) continue;
      // What a mutant has left behind must not be taken for what the next one does.
      if ((await rerun(test)) !== null) return { isSpoilt: true, testId, failure: String(failure), count };
      return { testId, failure: String(failure?.message ?? failure), count };
    }
    return { count };
  }
}
