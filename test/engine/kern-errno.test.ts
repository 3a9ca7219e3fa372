import { expect, test } from 'vitest';
import { EINVAL, ENOENT, EPERM, errnoName, negatedErrno } from '../../src/kern/errno.ts';

test('results have the names of error numbers, or are shown as numbers', () => {
  expect([-EPERM, -EINVAL, -ENOENT].map(errnoName)).toEqual(['EPERM', 'EINVAL', 'ENOENT']);
  expect(errnoName(-9999)).toBe('errno 9999');
});

test('an errno gets the other sign, and 0 keeps its own', () => {
  expect([negatedErrno(-EPERM), negatedErrno(1), negatedErrno(0)]).toEqual([1, -EPERM, 0]);
});

test('the compiler refuses an errno that is not negated', () => {
  // @ts-expect-error: returned as a result.
  const result = (): number => EPERM;
  // @ts-expect-error: compared with a result.
  const isRefused = (error: number): boolean => error === EPERM;
  // @ts-expect-error: asked for its name.
  expect(errnoName(EPERM)).toBe('errno -1');
  expect([isRefused(result()), isRefused(-EPERM)]).toEqual([true, false]);
});
