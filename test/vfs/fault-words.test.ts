import { expect, test } from 'vitest';
import { EIO, ENOSPC } from '../../src/kern/errno.ts';
import { BadRequest } from '../../src/tree/control/request-file.ts';
import { parseFault } from '../../src/tree/faults/parse-fault.ts';
import { PathPattern } from '../../src/tree/faults/path-pattern.ts';
import { isDue, type Schedule } from '../../src/tree/faults/schedule.ts';

const parse = (text: string): ReturnType<typeof parseFault> => parseFault(text.split(' '));

function refusal(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof BadRequest) return error.message;
    throw error;
  }
  throw new Error(`'${text}' was taken`);
}

test.each([
  ['pipes/q', 'pipes/q', true],
  ['pipes/q', 'pipes/qq', false],
  ['pipes/*', 'pipes/q', true],
  ['pipes/*', 'pipes/d/q', false],
  ['pipes/*', 'pipes', false],
  ['pipes/**', 'pipes/d/e/q', true],
  ['pipes/**', 'pipes', true],
  ['pipes/**/q', 'pipes/q', true],
  ['pipes/**/q', 'pipes/d/e/q', true],
  ['pipes/**/q', 'pipes/d/e/r', false],
  ['pipes/d/**/d/q', 'pipes/d/q', false],
  ['**', 'shm/0x00000001', true],
  ['**/q', 'pipes/d/q', true],
  ['*/q', 'pipes/q', true],
  ['pipes/a*b*c', 'pipes/abc', true],
  ['pipes/a*b*c', 'pipes/a-b-b-c-c', true],
  ['pipes/a*b*c', 'pipes/a-c-b', false],
  ['pipes/ab*ba', 'pipes/aba', false],
  ['pipes/*aa*', 'pipes/xa', false],
  ['pipes/*.log', 'pipes/.log', true],
  [String.raw`pipes/a\040b`, String.raw`pipes/a\040b`, true],
])('the pattern %s and the path %s: %s', (pattern, path, isMatch) => {
  expect(PathPattern.problemOf(pattern)).toBe(null);
  expect(new PathPattern(pattern).matches(path.split('/'))).toBe(isMatch);
});

test('a match takes a bounded time, whatever the pattern and the name', () => {
  const names = ['pipes', 'a'.repeat(1020)];
  const hard = new PathPattern(`pipes/${'*a'.repeat(60)}*${'a'.repeat(100)}b*`);
  const beganMs = performance.now();
  for (let round = 0; round < 200; round++) expect(hard.matches(names)).toBe(false);
  expect((performance.now() - beganMs) / 200).toBeLessThan(1);
});

test('a request becomes a fault', () => {
  const fault = parse('pipes/* read short=10 every=3 pid=77 count=4');
  expect(fault).toMatchObject({
    call: 'read',
    action: { kind: 'short', sizeBytes: 10 },
    schedule: { kind: 'every', number: 3 },
    pid: 77,
    count: 4,
  });
  expect(fault.pattern.text).toBe('pipes/*');
  expect(parse('shm/* size errno=ENOSPC').action).toMatchObject({ kind: 'errno', result: -ENOSPC });
  expect(parse('** any errno=EIO')).toMatchObject({ call: 'any', action: { result: -EIO }, count: Infinity });
  expect(parse('pipes/q any delay=1.5s').action).toMatchObject({ delayMs: 1500 });
  expect(parse('pipes/q any delay=2m').action).toMatchObject({ delayMs: 120_000 });
  expect(parse('pipes/q read signal=sigusr1').action).toMatchObject({ signal: 'USR1' });
  expect(parse('pipes/q read eof p=.5 seed=9').schedule).toMatchObject({ probability: 0.5, seed: 9 });
  expect(parse('pipes/q read eof p=1').schedule).toMatchObject({ probability: 1, seed: 0 });
  expect(parse('pipes/q read eof when=7')).toMatchObject({ schedule: { kind: 'when', number: 7 }, count: 1 });
});

test.each([
  ['pipes/q read', 'write fault add OBJECT CALL ACTION: fault add pipes/* read short=1'],
  ['pipes/q close eof', 'unknown call "close": use open, read, write, poll, ioctl, attach, size or any'],
  ['pipes/q read explode', 'unknown action "explode": use errno=NAME, '],
  ['/pipes/q read eof', 'a pattern has names between its slashes, and begins without one: pipes/*'],
  ['pipes//q read eof', 'a pattern has names between its slashes'],
  ['pipes/a** read eof', '** stands for whole names'],
  ['**/a/** read eof', 'a pattern has one ** at most'],
  [`pipes/${'a'.repeat(250)} read eof`, 'a pattern has 255 bytes at most'],
  ['info/pipes read errno=EIO', 'nothing in "info" can be broken: a pattern begins with pipes/'],
  ['pipes/q attach errno=EIO', 'attach and size are calls on shm/'],
  ['shm/* open errno=EIO', 'attach and size are calls on shm/'],
  ['pipes/q write eof', 'eof goes with read: only a read of a pipe or a pair has an end-of-file'],
  ['kqueues/* read short=1', 'short goes with read, write: only reads and writes of pipes and pairs'],
  ['kqueues/* write stall', 'stall goes with'],
  [
    'pipes/q poll errno=EIO',
    'errno goes with open, read, write, ioctl, attach, size: a poll tells only readiness',
  ],
  ['pipes/q ioctl delay=1s', 'delay goes with open, read, write, attach: the others never wait'],
  ['pipes/q read errno=EPIPE', 'read does not fail with EPIPE: use EAGAIN, EINTR, EIO'],
  ['pipes/q read errno=FROB', 'errno takes the name of an error, as errno=EIO'],
  ['pipes/q read errno', 'errno takes the name of an error, as errno=EIO'],
  ['pipes/q read eof=1', 'eof takes no value: write eof'],
  ['pipes/q read short=0', 'short takes a number from 1 to 65536, and not "0"'],
  ['pipes/q read short=1M', 'short takes a number from 1 to 65536, and not "1M"'],
  ['pipes/q read delay=5', 'delay takes a time up to 60m'],
  ['pipes/q read delay=61m', 'delay takes a time up to 60m'],
  ['pipes/q read signal=FOO', 'signal takes a name, as signal=USR1, and not "FOO"'],
  ['pipes/q read eof often', 'unknown word "often": use when=N'],
  ['pipes/q read eof when=0', 'when takes a number from 1 to 4294967295, and not "0"'],
  ['pipes/q read eof when=1 every=2', 'when and every exclude each other: use one'],
  ['pipes/q read eof every=1 every=2', 'every is given twice: leave one out'],
  ['pipes/q read eof when=1 count=2', 'when hits one call: leave count out'],
  ['pipes/q read eof seed=1', 'seed goes with p: add p=0.1'],
  ['pipes/q read eof p=0', 'p takes a probability above 0, up to 1, as p=0.1, and not "0"'],
  ['pipes/q read eof p=1e-1', 'p takes a probability'],
  ['pipes/q read eof pid=-1', 'pid takes a number from 1'],
  ['pipes/q read \u009b', String.raw`unknown action "\233"`],
])('%s is refused with what to do', (text, message) => {
  expect(refusal(text).startsWith(message)).toBe(true);
});

const due = (schedule: Schedule, calls: number): number[] =>
  Array.from({ length: calls }, (_, index) => index + 1).filter((number) => isDue(schedule, number));
const random = (probability: number, seed: number): Schedule => ({
  kind: 'random',
  probability,
  probabilityText: String(probability),
  seed,
});

test('when hits one call, every each Nth, and a probability the same calls for the same seed', () => {
  expect(due({ kind: 'always' }, 3)).toEqual([1, 2, 3]);
  expect(due({ kind: 'when', number: 2 }, 9)).toEqual([2]);
  expect(due({ kind: 'every', number: 3 }, 10)).toEqual([3, 6, 9]);
  expect(due(random(1, 5), 100)).toHaveLength(100);
  // Scripts rely on the calls that a seed hits: another version hits the same.
  expect(due(random(0.1, 7), 60)).toEqual([3, 21, 24, 25, 30, 52, 55]);
  expect(due(random(0.1, 7), 1000)).not.toEqual(due(random(0.1, 8), 1000));
  for (const seed of [0, 1, 2 ** 32 - 1]) {
    for (const probability of [0.01, 0.1, 0.5]) {
      const hits = due(random(probability, seed), 20_000).length / 20_000;
      expect(Math.abs(hits - probability)).toBeLessThan(0.015);
    }
  }
});
