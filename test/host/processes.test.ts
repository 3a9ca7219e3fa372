import { afterEach, expect, test } from 'vitest';
import {
  maySignal,
  processIds,
  processIdentity,
  processorOf,
  processState,
  processStatus,
  zombieStatus,
} from '../../src/host/linux/processes/processes.ts';
import { getpgid } from '../../src/host/linux/libc.ts';
import { Running, until } from '../support/process.ts';

const NO_PROCESS = 2 ** 30;
const started: Running[] = [];

/** A process that sleeps, in a group of its own, once it has printed that it is there. */
async function sleeper(before = ''): Promise<Running> {
  const running = new Running('bash', ['-c', `${before}\necho there\nread`]);
  started.push(running);
  await until(() => running.stdout === 'there\n');
  return running;
}

afterEach(() => {
  for (const running of started.splice(0)) running.kill('SIGKILL');
});

test('a process: its users, its state, its identity', async () => {
  const { pid } = await sleeper();
  expect(processStatus(pid)).toEqual({
    tgid: pid,
    parent: process.pid,
    realUid: process.getuid!(),
    savedUid: process.getuid!(),
    groups: expect.any(Array) as number[],
  });
  expect(processState(pid)).toEqual({
    parent: process.pid,
    isKernelThread: false,
    threadCount: 1,
    isUninterruptible: false,
    isZombie: false,
  });
  expect(processState(2)?.isKernelThread).toBe(true);
  expect(processIdentity(pid)).toBe(processIdentity(pid));
  expect(processIdentity(pid)).toBeGreaterThan(processIdentity(process.pid)!);
});

test('a zombie is one, with its wait status', async () => {
  // A bash would wait for it: it ends under the sleep that takes bash's place.
  const child = 'until [ "$(cat /proc/$$/comm)" = sleep ]; do :; done; exit 3';
  const running = new Running('bash', ['-c', `(${child}) & echo $!; exec sleep 60`]);
  started.push(running);
  const zombie = Number(await until(() => /^\d+(?=\n)/.exec(running.stdout)?.[0]));
  await until(() => processState(zombie)?.isZombie);
  expect(zombieStatus(zombie)).toBe(3 << 8);
  expect(zombieStatus(running.pid)).toBeNull();
});

test('a command that looks like fields does not shift the fields', async () => {
  const { pid } = await sleeper("printf 'x) S 1 2 (3' >/proc/$$/comm");
  expect(processState(pid)?.parent).toBe(process.pid);
  expect(processorOf(pid)).toBeLessThan(1000);
});

test('[SEC-15] all processes are found in steps of a hundred at most, whatever ends meanwhile', async () => {
  const group = await sleeper('for i in {1..300}; do sleep 60 & done');
  const ending = await sleeper();
  const found: number[] = [];
  for (const pids of processIds()) {
    expect(pids.length).toBeLessThan(100);
    found.push(...pids);
    ending.kill('SIGKILL');
  }
  expect(new Set(found).size).toBe(found.length);
  expect(found).toContain(process.pid);
  expect(found.filter((pid) => getpgid(pid) === group.pid).length).toBe(301);
});

test('a process that is not there is null', () => {
  expect(processStatus(NO_PROCESS)).toBeNull();
  expect([processState(NO_PROCESS), processIdentity(NO_PROCESS), zombieStatus(NO_PROCESS)]).toEqual([
    null,
    null,
    null,
  ]);
});

test('kill(2) allows root, and the real or saved user of the target', () => {
  const target = { tgid: 10, parent: 1, realUid: 1000, savedUid: 1001, groups: [] };
  expect([0, 1000, 1001, 1002].map((uid) => maySignal(uid, target))).toEqual([true, true, true, false]);
});
