import { expect, test } from 'vitest';
import { hasId, ownerForRoot } from '../../src/host/linux/processes/user-namespace.ts';

test.each([
  ['         0          0 4294967295\n', 0, true],
  ['      1001       1001          1\n', 0, false],
  ['      1001       1001          1\n', 1001, true],
  ['      1001       1001          1\n', 1002, false],
  ['1 100000 65536\n0 1000 1\n', 0, true],
  ['', 0, false],
])('a map %j has %d: %s', (map, id, expected) => {
  expect(hasId(map, id)).toBe(expected);
});

test('outside of namespaces, files of root are shown as what they are', () => {
  expect(ownerForRoot()).toEqual({ uid: 0, gid: 0 });
});
