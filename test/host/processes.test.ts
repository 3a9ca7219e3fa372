import { afterEach, expect, test } from 'vitest';
import {
  maySignal,
  processGroupMembers,
  processStat,
  processStatus,
} from '../../src/host/linux/processes.ts';
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

test('a process: its group leader, its users, its start', async () => {
  const { pid } = await sleeper();
  expect(processStatus(pid)).toEqual({
    tgid: pid,
    realUid: process.getuid!(),
    savedUid: process.getuid!(),
    groups: expect.any(Array) as number[],
  });
  const stat = processStat(pid);
  expect(stat?.processGroup).toBe(pid);
  expect(stat!.startTicks).toBeGreaterThanOrEqual(processStat(process.pid)!.startTicks);
});

test('a command that looks like fields does not shift the fields', async () => {
  const { pid } = await sleeper("printf 'x) S 1 2 (3' >/proc/$$/comm");
  expect(processStat(pid)?.processGroup).toBe(pid);
});

test('a group is its members, and nobody when they have ended', async () => {
  const leader = await sleeper('sleep 60 & sleep 60 &');
  const membersOf = (group: number): number[] => processGroupMembers([NO_PROCESS, group]).get(group)!;
  const members = membersOf(leader.pid);
  expect(members).toContain(leader.pid);
  expect(members.length).toBe(3);
  leader.kill('SIGKILL');
  await leader.finished();
  await until(() => membersOf(leader.pid).length === 0);
});

test('a process that is not there is null', () => {
  expect(processStatus(NO_PROCESS)).toBeNull();
  expect(processStat(NO_PROCESS)).toBeNull();
  expect(processGroupMembers([NO_PROCESS])).toEqual(new Map([[NO_PROCESS, []]]));
});

test('kill(2) allows root, and the real or saved user of the target', () => {
  const target = { tgid: 10, realUid: 1000, savedUid: 1001, groups: [] };
  expect([0, 1000, 1001, 1002].map((uid) => maySignal(uid, target))).toEqual([true, true, true, false]);
});
