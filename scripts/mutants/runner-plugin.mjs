import { BroadcastChannel } from 'node:worker_threads';
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import { DryRunStatus, MutantRunStatus, TestStatus } from '@stryker-mutator/api/test-runner';
import { createVitest } from 'vitest/node';

/**
 * Runs an engine's tests in vitest once, and then again and again in the same worker, for each mutant those that reach it. Starting
 * vitest for every mutant takes a hundred times as long as its tests.
 */
class SameWorkerRunner {
  #channel = null;
  #vitest = null;
  #ready = null;
  #waiting = null;

  capabilities() {
    return { reloadEnvironment: false };
  }

  async init() {
    this.#channel = new BroadcastChannel(`mutants-${process.pid}`);
    this.#ready = new Promise((resolve, reject) => {
      this.#channel.onmessage = ({ data }) => {
        if (data.kind === 'ready') resolve(data);
        else if (data.kind === 'result') this.#waiting?.(data);
      };
      createVitest('test', { config: 'scripts/mutants/vitest.config.mjs' }).then(async (vitest) => {
        this.#vitest = vitest;
        await vitest.start();
        reject(new Error(`the tests ended: ${vitest.state.getUnhandledErrors().map(String).join('\n')}`));
      }, reject);
    });
    // The caller that needs it hears of a failure.
    this.#ready.catch(() => undefined);
  }

  async dryRun() {
    const { tests, coverage } = await this.#ready;
    return {
      status: DryRunStatus.Complete,
      mutantCoverage: coverage,
      tests: tests.map(({ id, name, failure, timeSpentMs }) => ({
        ...{ id, name, timeSpentMs },
        ...(failure === null
          ? { status: TestStatus.Success }
          : { status: TestStatus.Failed, failureMessage: failure }),
      })),
    };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit }) {
    await this.#ready;
    const result = await new Promise((resolve) => {
      this.#waiting = resolve;
      this.#channel.postMessage({ kind: 'mutant', id: activeMutant.id, testIds: testFilter, hitLimit });
    });
    const { testId, failure, count, isTimeout, isSpoilt } = result;
    if (isSpoilt) throw new Error(`a mutant has spoilt the process: ${failure}`);
    if (isTimeout) return { status: MutantRunStatus.Timeout, reason: 'it is reached too often' };
    if (testId === undefined) return { status: MutantRunStatus.Survived, nrOfTests: count };
    return { status: MutantRunStatus.Killed, killedBy: [testId], failureMessage: failure, nrOfTests: count };
  }

  async dispose() {
    this.#channel?.postMessage({ kind: 'end' });
    await this.#vitest?.close();
    this.#channel?.close();
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'same-worker', SameWorkerRunner)];
