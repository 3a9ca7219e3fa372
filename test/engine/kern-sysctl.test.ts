import { describe, expect, test } from 'vitest';

import { rootCredentials } from '../../src/kern/credentials.ts';
import { EINVAL, ENOENT, EPERM } from '../../src/kern/errno.ts';
import { parseInteger, SysctlRegistry } from '../../src/kern/sysctl.ts';
import { user, World } from '../support/engine.ts';

function registryWithValues() {
  const registry = new SysctlRegistry();
  const values = { limit: 5, loader: 6, free: 7 };
  const setter = (key: keyof typeof values) => (value: number) => {
    if (value === 13) return -EINVAL;
    values[key] = value;
    return 0;
  };
  registry.register({
    name: 'test.limit',
    description: 'between 1 and 10',
    get: () => values.limit,
    set: setter('limit'),
    minimum: 1,
    maximum: 10,
  });
  registry.register({
    name: 'test.loader',
    description: 'at mount only',
    get: () => values.loader,
    set: setter('loader'),
    loader: true,
    minimum: 0,
  });
  registry.register({ name: 'test.free', description: 'any', get: () => values.free, set: setter('free') });
  registry.register({ name: 'test.counter', description: 'read-only', get: () => 42 });
  return { registry, values };
}

describe('sysctl registry', () => {
  test('variables are found by name and listed in order of registration', () => {
    const { registry } = registryWithValues();
    expect(registry.get('test.counter')?.get()).toBe(42);
    expect(registry.get('test.other')).toBe(undefined);
    expect([...registry.all()].map((variable) => variable.name)).toEqual([
      'test.limit',
      'test.loader',
      'test.free',
      'test.counter',
    ]);
  });

  test('root writes what is between minimum and maximum', () => {
    const { registry, values } = registryWithValues();
    for (const value of [1, 10]) {
      expect(registry.write('test.limit', value, rootCredentials)).toBe(0);
      expect(values.limit).toBe(value);
    }
    for (const value of [0, 11, 2.5, NaN, Infinity, 2 ** 53]) {
      expect(registry.write('test.limit', value, rootCredentials)).toBe(-EINVAL);
    }
    expect(values.limit).toBe(10);
    expect(registry.write('test.free', -(2 ** 40), rootCredentials)).toBe(0);
    expect(values.free).toBe(-(2 ** 40));
    expect(registry.write('test.free', 2 ** 53, rootCredentials)).toBe(-EINVAL);
    expect(registry.write('test.free', 13, rootCredentials)).toBe(-EINVAL);
  });

  test('unknown names are ENOENT; counters, loader tunables and other users EPERM', () => {
    const { registry, values } = registryWithValues();
    expect(registry.write('test.other', 1, rootCredentials)).toBe(-ENOENT);
    expect(registry.write('test.other', 1, user)).toBe(-ENOENT);
    expect(registry.write('test.counter', 1, rootCredentials)).toBe(-EPERM);
    expect(registry.write('test.loader', 1, rootCredentials)).toBe(-EPERM);
    expect(registry.write('test.limit', 99, user)).toBe(-EPERM);
    expect(registry.write('test.limit', 2, user)).toBe(-EPERM);
    expect(values).toEqual({ limit: 5, loader: 6, free: 7 });
  });

  test('before anything runs loader tunables can be set too, within the same limits', () => {
    const { registry, values } = registryWithValues();
    expect(registry.preset('test.loader', 60)).toBe(0);
    expect(registry.preset('test.limit', 3)).toBe(0);
    expect(values).toEqual({ limit: 3, loader: 60, free: 7 });
    expect(registry.preset('test.loader', -1)).toBe(-EINVAL);
    expect(registry.preset('test.limit', 11)).toBe(-EINVAL);
    expect(registry.preset('test.counter', 1)).toBe(-EPERM);
    expect(registry.preset('test.other', 1)).toBe(-ENOENT);
  });

  test('every variable of the pipes shows an integer and says what it is', () => {
    const variables = [...new World().kernel.sysctls.all()];
    expect(variables.length).toBeGreaterThan(5);
    for (const variable of variables) {
      expect(Number.isSafeInteger(variable.get())).toBe(true);
      expect(variable.description).not.toBe('');
    }
  });
});

describe('integers as text', () => {
  test.each([
    ['64', 64],
    ['0', 0],
    ['-5', -5],
    ['+5', 5],
    ['0x40', 64],
    ['0XfF', 255],
    ['-0x10', -16],
    ['64K', 65536],
    ['2m', 2 * 1024 * 1024],
    ['1G', 1024 ** 3],
    ['0x2k', 2048],
    ['  7\n', 7],
    ['010', 10],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%j is %i', (text, value) => {
    expect(parseInteger(text)).toBe(value);
  });

  test.each([
    '',
    ' ',
    '-',
    'k',
    '1.5',
    '1e3',
    '0x',
    '5 5',
    '5KB',
    '1T',
    '--5',
    'x40',
    '9007199254740992',
    '9007199254740G',
  ])('%j is none', (text) => {
    expect(parseInteger(text)).toBe(null);
  });
});
