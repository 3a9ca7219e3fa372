import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EFAULT, ENOMEM } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { bytesOf, endOf, pattern, World } from '../support/engine.ts';
import { optionsOf, setOptions, unsetOptions } from '../support/options.ts';

const MANY_LINES = 'a\n'.repeat(100);
/** Memory for the lengths of 16 records: what a pipe with a record has. */
const LENGTHS_BYTES = 64;

function piped(options: string, world = new World()): { world: World; fifo: Fifo; file: File } {
  const fifo = world.fifo();
  expect(setOptions(fifo, options)).toBe(0);
  return { world, fifo, file: world.open(fifo, 'rwn') };
}

/** What users are charged for that options keep, and for rings. */
function charges(world: World): number[] {
  return [Resource.HeldBytes, Resource.PipeBytes].map((resource) => world.charged(resource));
}

/** Lets the quota of `resource` hold so much more. */
function leaves(world: World, resource: Resource, amount: number): void {
  const limit = world.charged(resource) + amount;
  world.kernel.accounts.setLimit(resource, () => limit);
}

describe('a change that is refused leaves the pipe as it was', () => {
  /** How memory for more than 16 records is refused. */
  const refusals: [string, (world: World) => void][] = [
    [
      'the quota',
      (world) => {
        leaves(world, Resource.HeldBytes, LENGTHS_BYTES);
      },
    ],
    ['the host', (world) => (world.host.isOutOfMemory = true)],
  ];

  test.each(refusals)('bytes that would be more lines than %s has memory for', (_what, refuse) => {
    const { world, fifo, file } = piped('hold');
    world.write(file, MANY_LINES);
    const before = charges(world);
    refuse(world);
    expect(setOptions(fifo, 'lines capacity=128K')).toBe(-ENOMEM);
    world.checkInvariants();
    expect(charges(world)).toEqual(before);
    expect(fifo.options.framing).toBe('bytes');
    expect(world.read(file, 300).text).toBe(MANY_LINES);
  });

  test.each(refusals)('options of a plain pipe with more lines than %s has memory for', (_what, refuse) => {
    const world = new World();
    const fifo = world.fifo();
    const file = world.open(fifo, 'rwn');
    world.write(file, MANY_LINES);
    const before = charges(world);
    refuse(world);
    expect(setOptions(fifo, 'lines')).toBe(-ENOMEM);
    expect(charges(world)).toEqual(before);
    expect(endOf(file).discipline).toBeNull();
    expect(world.read(file, 300).text).toBe(MANY_LINES);
  });

  test.each(refusals)(
    'a record that has come back and would be more lines than %s has memory for',
    (_what, refuse) => {
      const { world, fifo, file } = piped('records requeue');
      const writer = world.open(fifo, 'wn');
      world.write(writer, MANY_LINES);
      world.read(file, 1);
      world.close(file);
      const before = charges(world);
      refuse(world);
      expect(fifo.configure(optionsOf('lines fanout'))).toBe(-ENOMEM);
      world.checkInvariants();
      expect(charges(world)).toEqual(before);
      expect(world.read(world.open(fifo, 'rn'), 300).text).toBe(MANY_LINES);
    },
  );

  test('a larger ring that is refused keeps no memory for records', () => {
    const world = new World();
    const fifo = world.fifo();
    const file = world.open(fifo, 'rwn');
    world.write(file, 'x');
    const before = charges(world);
    leaves(world, Resource.PipeBytes, 100_000);
    expect(setOptions(fifo, 'hold capacity=1M')).toBe(-ENOMEM);
    expect(charges(world)).toEqual(before);
    expect(world.read(file, 10).text).toBe('x');
  });
});

describe('what a line in progress has is given back', () => {
  test('when its bytes cannot be read and its writer closes the file', () => {
    const { world, fifo } = piped('hold lines');
    const writer = world.open(fifo, 'w');
    expect(world.writev(writer, [{ unreadableBytes: 100 }]).result).toBe(-EFAULT);
    expect(world.charged(Resource.HeldBytes)).toBeGreaterThan(0);
    world.close(writer);
    expect(world.charged(Resource.HeldBytes)).toBe(LENGTHS_BYTES);
  });

  test.each<[string, (world: World) => void]>([
    [
      'the quota',
      (world) => {
        leaves(world, Resource.HeldBytes, 0);
      },
    ],
    ['the host', (world) => (world.host.isOutOfMemory = true)],
  ])('when %s has no memory for more of it, and what it has stays', (_what, refuse) => {
    const { world, fifo, file } = piped('hold lines');
    const writer = world.open(fifo, 'w');
    world.write(writer, 'begun ');
    const before = charges(world);
    refuse(world);
    expect(world.write(writer, pattern(1000).fill(120)).result).toBe(-ENOMEM);
    expect(charges(world)).toEqual(before);
    world.host.isOutOfMemory = false;
    world.kernel.accounts.setLimit(Resource.HeldBytes, () => Infinity);
    world.write(writer, 'and ended\n');
    expect(world.read(file, 100).text).toBe('begun and ended\n');
    unsetOptions(fifo, 'all');
    expect(world.charged(Resource.HeldBytes)).toBe(0);
  });

  test('when its writer closes the file and there is no memory to store it: it counts as dropped', () => {
    const { world, fifo } = piped('hold lines');
    const writer = world.open(fifo, 'w');
    world.write(writer, 'begun');
    world.host.isOutOfMemory = true;
    expect(world.close(writer).result).toBe(0);
    expect(fifo.drops).toEqual({ bytes: 5, records: 1 });
    expect(world.charged(Resource.HeldBytes)).toBe(LENGTHS_BYTES);
  });
});

describe('a record that goes through in pieces while the options change', () => {
  test('lines to records: what is left of it is a record for any reader', () => {
    const { world, fifo, file } = piped('hold lines capacity=4096');
    world.write(file, 'y'.repeat(600) + '\n');
    world.read(file, 9000);
    expect(world.write(file, 'x'.repeat(10_000)).result).toBe(4095);
    const reader = world.open(fifo, 'rn');
    expect(world.read(reader, 4000).result).toBe(4000);
    expect(setOptions(fifo, 'records')).toBe(0);
    world.checkInvariants();
    expect(world.read(file, 9000).text).toBe('x'.repeat(95));
    expect(world.read(reader, 9000).result).toBe(-EAGAIN);
    world.write(file, 'next');
    expect(world.read(file, 9000).text).toBe('next');
  });

  test('lines to records when all of it has been read: nothing is left of it', () => {
    const { world, fifo, file } = piped('hold lines capacity=4096');
    world.write(file, 'y'.repeat(600) + '\n');
    world.read(file, 9000);
    world.write(file, 'x'.repeat(10_000));
    expect(world.read(file, 9000).result).toBe(4095);
    setOptions(fifo, 'records');
    expect(world.read(file, 9000).result).toBe(-EAGAIN);
    world.write(file, 'next');
    expect(world.read(file, 9000).text).toBe('next');
  });
});

describe('places of readers with fanout', () => {
  test('a reader that comes while a line goes through in pieces gets the line behind it', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'fanout lines capacity=4096');
    const reader = world.open(fifo, 'rn');
    const writing = world.write(world.open(fifo, 'w'), 'x'.repeat(10_000) + '\nshort\n');
    world.read(reader, 1000);
    const late = world.open(fifo, 'rn');
    while (writing.result === null) {
      expect(world.read(late, 100).result).toBe(-EAGAIN);
      world.read(reader, 1500);
      world.checkInvariants();
    }
    expect(world.read(late, 100).text).toBe('short\n');
  });

  test('and the record behind one that a fault has ended with nothing left of it', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'fanout records capacity=4096');
    const reader = world.open(fifo, 'rn');
    const writer = world.open(fifo, 'w');
    const writing = world.writev(writer, [pattern(4095), { unreadableBytes: 4096 }]);
    const late = world.open(fifo, 'rn');
    expect(writing.isBlocked).toBe(true);
    expect(world.read(reader, 9999).result).toBe(4095);
    expect(writing.result).toBe(4095);
    world.checkInvariants();
    world.write(writer, 'next');
    expect(world.read(late, 100).text).toBe('next');
    expect(world.read(reader, 100).text).toBe('next');
  });

  test('a change of the framing leaves each reader at its byte', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'fanout');
    const readers = [world.open(fifo, 'rn'), world.open(fifo, 'rn')];
    const writer = world.open(fifo, 'w');
    for (const text of ['one\ntw', 'o\n', 'three\n']) world.writev(writer, [bytesOf(text)]);
    world.read(readers[0]!, 6);
    setOptions(fifo, 'lines');
    world.checkInvariants();
    expect(readers.map((reader) => world.read(reader, 100).text)).toEqual(['o\n', 'one\n']);
    const late = world.open(fifo, 'rn');
    unsetOptions(fifo, 'lines');
    setOptions(fifo, 'records');
    world.checkInvariants();
    world.write(writer, 'four');
    expect(readers.map((reader) => world.read(reader, 100).text)).toEqual(['three\n', 'two\nthree\n']);
    expect([...readers, late].map((reader) => world.read(reader, 100).text)).toEqual([
      'four',
      'four',
      'four',
    ]);
  });
});

test('a process may take more tokens at once than a call has arguments', () => {
  const { world, file } = piped('hold jobserver capacity=1M');
  expect(world.write(file, 1_000_000).result).toBe(1_000_000);
  expect(world.read(file, 1_000_000).result).toBe(1_000_000);
  world.checkInvariants();
});
