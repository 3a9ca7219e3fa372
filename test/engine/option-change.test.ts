import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EBUSY, ENOMEM } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { endOf, pattern, World } from '../support/engine.ts';
import { optionsOf, setOptions, unsetOptions } from '../support/options.ts';

function piped(
  options: string,
  world = new World(),
): { world: World; fifo: Fifo; file: File; size: () => number } {
  const fifo = world.fifo();
  if (options !== '') expect(setOptions(fifo, options)).toBe(0);
  const file = world.open(fifo, 'rwn');
  return { world, fifo, file, size: () => endOf(file).ring.size };
}

describe('the size of the ring', () => {
  test('is the capacity, or without one the largest of a plain pipe', () => {
    const { fifo, size } = piped('hold');
    expect(size()).toBe(65_536);
    for (const [words, expected] of [
      ['capacity=8192', 8192],
      ['lines', 8192],
      ['capacity=8192', 8192],
      ['capacity=1M', 1_048_576],
    ] as const) {
      expect(setOptions(fifo, words)).toBe(0);
      expect(size()).toBe(expected);
    }
    expect(unsetOptions(fifo, 'capacity')).toBe(0);
    expect(size()).toBe(65_536);
  });

  test('a capacity that is there already needs no more memory', () => {
    const { world, fifo, file } = piped('hold capacity=64K');
    world.write(file, 'x');
    const used = world.charged(Resource.PipeBytes);
    world.kernel.accounts.setLimit(Resource.PipeBytes, () => used);
    expect(setOptions(fifo, 'lines capacity=65536')).toBe(0);
    expect(unsetOptions(fifo, 'capacity')).toBe(0);
  });

  test('stays that of the plain pipe where there is no memory for a larger one, and bounds what a change moves', () => {
    const { world, fifo, file, size } = piped('', new World({ maxPipeKvaBytes: 40_960 }));
    expect(setOptions(fifo, 'hold lines')).toBe(0);
    expect(size()).toBe(16_384);
    expect(world.write(file, `${'x'.repeat(9999)}\n${'y'.repeat(9000)}`).result).toBe(19_000);
    expect(unsetOptions(fifo, 'lines')).toBe(-EBUSY);
    world.read(file, 10_000);
    expect(unsetOptions(fifo, 'lines')).toBe(0);
    expect(world.read(file, 10_000).text).toBe('y'.repeat(9000));
    expect(setOptions(fifo, 'capacity=128K')).toBe(-ENOMEM);
    expect(size()).toBe(16_384);
  });

  test.each([
    [16_384, 16_384],
    [16_385, 32_768],
    [65_536, 65_536],
  ])('back to a plain pipe with %d bytes, it is the least that holds them', (count, expected) => {
    const { world, fifo, file, size } = piped('hold capacity=128K');
    world.write(file, count);
    expect(unsetOptions(fifo, 'all')).toBe(0);
    expect(size()).toBe(expected);
    expect(world.read(file, 100_000).bytes).toEqual(pattern(count));
  });
});

describe('what does not fit is refused, with nothing changed', () => {
  test('into a capacity for a plain pipe: one byte more', () => {
    const { world, fifo, file } = piped('');
    world.write(file, 4097);
    expect(setOptions(fifo, 'capacity=4096')).toBe(-EBUSY);
    expect(endOf(file).discipline).toBeNull();
    world.read(file, 1);
    expect(setOptions(fifo, 'capacity=4096')).toBe(0);
  });

  test('into a plain pipe, with a line that was begun', () => {
    const { world, fifo, file } = piped('hold lines capacity=128K');
    world.write(file, `${'x'.repeat(60_000)}\n${'y'.repeat(5535)}`);
    expect(unsetOptions(fifo, 'all')).toBe(0);
    const other = piped('hold lines capacity=128K', world);
    world.write(other.file, `${'x'.repeat(60_000)}\n${'y'.repeat(5536)}`);
    expect(unsetOptions(other.fifo, 'all')).toBe(-EBUSY);
    world.write(other.file, '\n');
    expect(world.read(other.file, 99_000).result).toBe(60_001);
    expect(world.read(other.file, 99_000).result).toBe(5537);
  });

  test('into another framing, with a line that was begun; the same framing needs no room for it', () => {
    const { world, fifo, file } = piped('hold lines capacity=8192');
    world.write(file, `${'x'.repeat(4999)}\n${'y'.repeat(3193)}`);
    expect(setOptions(fifo, 'overflow=newest')).toBe(0);
    expect(unsetOptions(fifo, 'lines')).toBe(-EBUSY);
    expect(setOptions(fifo, 'capacity=12K')).toBe(0);
    expect(unsetOptions(fifo, 'lines')).toBe(0);
    expect(world.read(file, 9000).result).toBe(8193);
  });

  test('a line that was begun must stay shorter than the pipe', () => {
    const { world, fifo, file } = piped('hold lines capacity=8192');
    world.write(file, 'x'.repeat(4095));
    expect(setOptions(fifo, 'capacity=4096')).toBe(0);
    expect(setOptions(fifo, 'capacity=8192')).toBe(0);
    world.write(file, 'x');
    expect(setOptions(fifo, 'capacity=4096')).toBe(-EBUSY);
    world.write(file, '\n');
    expect(world.read(file, 9000).result).toBe(4097);
  });

  test('tokens that are out keep their room', () => {
    const { world, fifo, file } = piped('hold jobserver capacity=8192');
    world.write(file, 5000);
    world.read(file, 4000);
    expect(setOptions(fifo, 'capacity=4096')).toBe(-EBUSY);
    world.read(file, 1000);
    expect(unsetOptions(fifo, 'jobserver')).toBe(0);
    expect(setOptions(fifo, 'capacity=4096')).toBe(0);
  });

  test('a line that was begun, for which the empty ring finds no memory', () => {
    for (const change of [
      (fifo: Fifo) => unsetOptions(fifo, 'all'),
      (fifo: Fifo) => unsetOptions(fifo, 'lines'),
    ]) {
      const { world, fifo, file } = piped('hold lines');
      world.write(file, 'begun');
      world.host.isOutOfMemory = true;
      expect(change(fifo)).toBe(-ENOMEM);
      world.checkInvariants();
      world.host.isOutOfMemory = false;
      world.write(file, '\n');
      expect(world.read(file, 100).text).toBe('begun\n');
    }
  });
});

test('what is queued is divided anew only by another framing', () => {
  const { world, fifo, file } = piped('hold records');
  for (const text of ['one\n', 'two\nthree']) world.write(file, text);
  expect(setOptions(fifo, 'overflow=oldest timeout=1s capacity=8192')).toBe(0);
  expect(world.read(file, 100).text).toBe('one\n');
  expect(setOptions(fifo, 'lines')).toBe(0);
  expect([1, 2].map(() => world.read(file, 100).text)).toEqual(['two\n', 'three']);
});

test('records that have come back lie before the others in any other pipe', () => {
  for (const words of ['hold', '', 'hold jobserver']) {
    const { world, fifo, file } = piped('hold lines');
    world.write(file, 'first\nsecond\nthird\n');
    const [one, two] = [world.open(fifo, 'rn'), world.open(fifo, 'rn')];
    world.read(one, 1);
    world.read(two, 1);
    for (const each of [two, one]) world.close(each);
    expect([...endOf(file).peek()].length).toBe(19);
    expect(fifo.configure(optionsOf(words === '' ? 'hold=off' : words))).toBe(0);
    world.checkInvariants();
    expect(world.read(file, 100).text).toBe('first\nsecond\nthird\n');
    unsetOptions(fifo, 'all');
    expect(world.charged(Resource.HeldBytes)).toBe(0);
  }
});
