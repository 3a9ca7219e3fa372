import { describe, expect, test } from 'vitest';
import { EAGAIN, EBUSY, EPIPE } from '../../src/kern/errno.ts';
import { type File, FNONBLOCK, Ioctl } from '../../src/kern/file.ts';
import { POLLIN } from '../../src/kern/poll.ts';
import { endOf, pattern, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';
import { Random, seedFromEnvironment } from '../support/random.ts';

function fanout(options: string): {
  world: World;
  readers: File[];
  writer: File;
  open: (mode: string) => File;
} {
  const world = new World();
  const fifo = world.fifo();
  expect(setOptions(fifo, `fanout ${options}`.trim())).toBe(0);
  const readers = [world.open(fifo, 'rn'), world.open(fifo, 'rn')];
  return { world, readers, writer: world.open(fifo, 'wn'), open: (mode) => world.open(fifo, mode) };
}

describe('fanout', () => {
  test('each reader gets what is written since it was opened, and the bytes lie there once', () => {
    const { world, readers, writer, open } = fanout('');
    world.write(writer, 'first ');
    const late = open('rn');
    world.write(writer, 'second');
    expect(world.read(readers[0]!, 100).text).toBe('first second');
    expect(world.read(late, 100).text).toBe('second');
    expect(world.read(late, 100).result).toBe(-EAGAIN);
    expect(world.poll(readers[1]!, POLLIN)).toBe(POLLIN);
    expect(world.ioctl(readers[1]!, Ioctl.FIONREAD).value).toBe(12);
    expect(endOf(writer).ring.count).toBe(12);
    expect(world.read(readers[1]!, 5).text).toBe('first');
    expect(world.read(readers[1]!, 100).text).toBe(' second');
    expect(endOf(writer).ring.count).toBe(0);
    world.checkInvariants();
  });

  test('a slow reader holds up the writer, until it reads or leaves', () => {
    const { world, readers, writer } = fanout('capacity=4096');
    world.write(writer, 4096);
    world.read(readers[0]!, 9999);
    expect(world.write(writer, 1).result).toBe(-EAGAIN);
    writer.flags &= ~FNONBLOCK;
    const waiting = world.write(writer, 'x');
    expect(waiting.isBlocked).toBe(true);
    world.close(readers[1]!);
    expect(waiting.result).toBe(1);
    expect(world.read(readers[0]!, 9).text).toBe('x');
    world.close(readers[0]!);
    expect(world.write(writer, 'x').result).toBe(-EPIPE);
  });

  test('readers keep their places when the framing changes', () => {
    const { world, readers, writer } = fanout('');
    world.write(writer, 'one\ntwo\nthree\n');
    expect(world.read(readers[0]!, 5).text).toBe('one\nt');
    expect(setOptions(endOf(writer).pair.fifo!, 'lines')).toBe(0);
    world.checkInvariants();
    expect(world.read(readers[0]!, 100).text).toBe('wo\n');
    expect(world.read(readers[0]!, 100).text).toBe('three\n');
    expect(world.read(readers[1]!, 100).text).toBe('one\n');
    expect(setOptions(endOf(writer).pair.fifo!, 'lines=off')).toBe(0);
    world.checkInvariants();
    world.write(writer, 'four');
    expect(world.read(readers[1]!, 100).text).toBe('two\nthree\nfour');
    expect(world.read(readers[0]!, 100).text).toBe('four');
    expect(endOf(writer).ring.count).toBe(0);
  });

  test('overflow=oldest: a slow reader loses whole records, and has one that it has begun to its end', () => {
    const { world, readers, writer } = fanout('lines overflow=oldest capacity=4096');
    const lines = Array.from({ length: 300 }, (_, index) => `line ${index} ${'.'.repeat(50)}\n`);
    world.write(writer, lines[0]!);
    expect(world.read(readers[1]!, 4).text).toBe('line');
    for (const line of lines.slice(1)) {
      expect(world.write(writer, line).result).toBe(line.length);
      while (world.read(readers[0]!, 999).result! > 0);
      world.checkInvariants();
    }
    expect('line' + world.read(readers[1]!, 999).text).toBe(lines[0]);
    const next = world.read(readers[1]!, 999).text;
    expect(lines.indexOf(next)).toBeGreaterThan(200);
    expect(world.read(readers[1]!, 999).text).toBe(lines[lines.indexOf(next) + 1]);
  });

  test('overflow=newest: what does not fit is lost for all', () => {
    const { world, readers, writer } = fanout('records overflow=newest capacity=4096');
    world.write(writer, 4000);
    world.read(readers[0]!, 9999);
    expect(world.write(writer, 1000).result).toBe(1000);
    expect(world.read(readers[0]!, 9999).result).toBe(-EAGAIN);
    expect(world.read(readers[1]!, 9999).result).toBe(4000);
  });

  test('it comes and goes only while nobody reads', () => {
    const world = new World();
    const fifo = world.fifo();
    const reader = world.open(fifo, 'rn');
    expect(setOptions(fifo, 'fanout')).toBe(-EBUSY);
    world.close(reader);
    expect(setOptions(fifo, 'fanout')).toBe(0);
    const again = world.open(fifo, 'rn');
    expect(unsetOptions(fifo, 'fanout')).toBe(-EBUSY);
    world.close(again);
    expect(unsetOptions(fifo, 'fanout')).toBe(0);
  });

  test('a line longer than the pipe reaches all readers', () => {
    const { world, readers, writer } = fanout('lines capacity=4096');
    writer.flags &= ~FNONBLOCK;
    const writing = world.write(writer, 'x'.repeat(10_000) + '\nshort\n');
    let got: [string, string] = ['', ''];
    for (let round = 0; round < 50; round++) {
      got = got.map((text, index) => text + world.read(readers[index]!, 700 + 300 * index).text) as [
        string,
        string,
      ];
      world.checkInvariants();
    }
    expect(writing.result).toBe(10_007);
    expect(got[0] === got[1] && got[0] === 'x'.repeat(10_000) + '\nshort\n').toBe(true);
  });

  test('any number of readers at any speed agree with a model', () => {
    const seed = seedFromEnvironment();
    console.log(`IPCFS_SEED=${seed}`);
    const random = new Random(seed);
    for (let round = 0; round < 100; round++) {
      const { world, readers, writer, open } = fanout(
        random.pick(['', 'capacity=4096', 'records capacity=8192']),
      );
      const data = pattern(200_000, round);
      let written = 0;
      const places = new Map(readers.map((file) => [file, 0]));
      for (let step = 0; step < 200; step++) {
        const files = [...places.keys()];
        const choice = random.below(10);
        if (choice < 4) {
          const result = world.write(
            writer,
            data.subarray(written, written + 1 + random.below(3000)),
          ).result!;
          if (result > 0) written += result;
          else expect([-EAGAIN, -EPIPE]).toContain(result);
        } else if (choice < 8 && files.length > 0) {
          const file = random.pick(files);
          const at = places.get(file)!;
          const call = world.read(file, 1 + random.below(5000));
          if (call.result! > 0) {
            expect(Buffer.compare(call.bytes, data.subarray(at, at + call.result!))).toBe(0);
            places.set(file, at + call.result!);
          } else expect(at).toBe(written);
        } else if (choice === 8 && files.length < 8) {
          places.set(open('rn'), written);
        } else if (choice === 9 && files.length > 1) {
          const file = random.pick(files);
          places.delete(file);
          world.close(file);
        }
        world.checkInvariants();
        const least = Math.min(...places.values());
        expect(endOf(writer).ring.count).toBeGreaterThanOrEqual(written - least);
      }
    }
  });
});
