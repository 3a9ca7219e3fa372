import { availableParallelism } from 'node:os';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { moveToProcessorOf } from '../../src/host/linux/processes/processors.ts';
import { processorOf } from '../../src/host/linux/processes/processes.ts';
import { run, Running, until } from '../support/process.ts';

const started: Running[] = [];
afterEach(() => {
  for (const running of started.splice(0)) running.kill('SIGKILL');
});

function allowedProcessors(pid: number | 'self'): string {
  return /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]!;
}

/** Processors of a list like 0-3,8. */
function parse(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
  });
}

/** A process that has run on this processor, and stays there. */
async function sleeperOn(processor: number): Promise<number> {
  const running = new Running('taskset', ['-c', String(processor), 'bash', '-c', 'echo there; read']);
  started.push(running);
  await until(() => running.stdout === 'there\n' && processorOf(running.pid) === processor);
  return running.pid;
}

describe.skipIf(availableParallelism() < 2)('the processor of another thread', () => {
  test('is where the calling thread runs afterwards, free to be moved as before', async () => {
    const before = allowedProcessors('self');
    const [first, second] = parse(before);
    const sleepers = [await sleeperOn(first!), await sleeperOn(second!)];
    // From one of the two it is a move. What else moves threads on this machine may come between.
    await until(() => {
      const moves = sleepers.map((pid) => moveToProcessorOf(pid));
      return moves.includes(true) && allowedProcessors('self') === before;
    });
    await until(() => {
      moveToProcessorOf(sleepers[0]!);
      return processorOf(process.pid) === first;
    });
    await until(() => {
      moveToProcessorOf(sleepers[1]!);
      return processorOf(process.pid) === second;
    });
    expect(allowedProcessors('self')).toBe(before);
  });

  test('is left alone where the calling thread may not run', async () => {
    const before = allowedProcessors('self');
    const [first, second] = parse(before);
    const pid = await sleeperOn(second!);
    await run('taskset', ['-cp', String(first), String(process.pid)]);
    try {
      expect(moveToProcessorOf(pid)).toBe(false);
      expect(allowedProcessors('self')).toBe(String(first));
    } finally {
      await run('taskset', ['-cp', before, String(process.pid)]);
    }
  });

  test('cannot be told of a process that is not there', () => {
    expect(moveToProcessorOf(2 ** 30)).toBe(false);
  });
});
