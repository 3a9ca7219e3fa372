import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EFAULT } from '../../src/kern/errno.ts';
import { type File, FNONBLOCK, Ioctl } from '../../src/kern/file.ts';
import { EVFILT_WRITE } from '../../src/kern/klist.ts';
import { POLLOUT, Poller } from '../../src/kern/poll.ts';
import { endOf, TestKnote, World } from '../support/engine.ts';
import { setOptions } from '../support/options.ts';

class FanoutWorld extends World {
  readonly pipe = this.fifo();
  readonly readers: File[];
  readonly writer: File;

  constructor(options: string, readerCount = 2) {
    super();
    expect(setOptions(this.pipe, `fanout ${options}`.trim())).toBe(0);
    this.readers = Array.from({ length: readerCount }, () => this.open(this.pipe, 'rn'));
    this.writer = this.open(this.pipe, 'wn');
  }

  /** What FIONREAD tells each reader. */
  counts(): number[] {
    return this.readers.map((reader) => this.ioctl(reader, Ioctl.FIONREAD).value);
  }

  texts(sizeBytes = 9000): string[] {
    return this.readers.map((reader) => this.read(reader, sizeBytes).text);
  }
}

describe('the place of each reader with fanout', () => {
  test('FIONREAD: the bytes behind it, or what is left of its line', () => {
    const plain = new FanoutWorld('');
    plain.write(plain.writer, 'one ');
    plain.write(plain.writer, 'two');
    plain.read(plain.readers[0]!, 5);
    expect(plain.counts()).toEqual([2, 7]);
    const lines = new FanoutWorld('lines');
    lines.write(lines.writer, 'one\ntwo\nrest');
    lines.read(lines.readers[0]!, 2);
    expect(lines.counts()).toEqual([2, 4]);
    lines.texts();
    lines.texts();
    expect(lines.counts()).toEqual([0, 0]);
  });

  test('a file that is open for writing alone has none, and its close changes nothing', () => {
    const world = new FanoutWorld('lines');
    world.write(world.writer, 'one\n');
    const other = world.open(world.pipe, 'wn');
    world.close(other);
    expect(world.ioctl(world.writer, Ioctl.FIONREAD).value).toBe(0);
    expect(world.texts()).toEqual(['one\n', 'one\n']);
  });

  test('bytes that cannot be stored are read again', () => {
    const world = new FanoutWorld('lines');
    world.write(world.writer, 'one\ntwo\n');
    expect(world.readv(world.readers[0]!, [{ unreadableBytes: 10 }]).result).toBe(-EFAULT);
    expect(world.texts()).toEqual(['one\n', 'one\n']);
  });

  test('the close of the slowest makes room, and watchers are notified of it', () => {
    const world = new FanoutWorld('capacity=4096');
    world.write(world.writer, 4096);
    world.read(world.readers[0]!, 9000);
    let notified = 0;
    expect(world.poll(world.writer, POLLOUT, new Poller(() => notified++))).toBe(0);
    const knote = new TestKnote(world.writer, EVFILT_WRITE);
    knote.register();
    world.close(world.readers[1]!);
    expect([notified, knote.activations]).toEqual([1, 1]);
    expect(endOf(world.writer).ring.count).toBe(0);
    knote.remove();
  });

  test('records in pieces: each reader goes on where it is, and what all have read makes room', () => {
    const world = new FanoutWorld('records capacity=4096', 3);
    world.writer.flags &= ~FNONBLOCK;
    world.write(world.writer, 'before');
    const writing = world.write(world.writer, 'x'.repeat(9000));
    const { ring } = endOf(world.writer);
    const got = [0, 0, 0];
    expect(world.texts()).toEqual(['before', 'before', 'before']);
    for (let round = 0; round < 40; round++) {
      for (const [index, reader] of world.readers.entries()) {
        const call = world.read(reader, 300 * (index + 1));
        if (call.result! > 0) got[index]! += call.result!;
        world.checkInvariants();
      }
    }
    expect(got).toEqual([9000, 9000, 9000]);
    expect(writing.result).toBe(9000);
    expect(ring.count).toBe(0);
    world.write(world.writer, 'after');
    expect(world.texts()).toEqual(['after', 'after', 'after']);
  });
});

describe('the rest of a line that was dropped', () => {
  /** Lines of 1001 bytes, of which a pipe of 4096 bytes holds four. */
  const line = (letter: string): string => `${letter.repeat(1000)}\n`;

  function dropped(options = 'lines overflow=oldest capacity=4096'): FanoutWorld {
    const world = new FanoutWorld(options);
    world.write(world.writer, line('a'));
    world.read(world.readers[0]!, 10);
    for (const letter of ['b', 'c', 'd', 'e', 'f']) world.write(world.writer, line(letter));
    return world;
  }

  test('is kept for its reader alone, in any number of reads, and its memory is given back', () => {
    const world = dropped();
    const used = world.charged(Resource.HeldBytes);
    expect(world.counts()).toEqual([991, 1001]);
    expect(world.read(world.readers[0]!, 90).text).toBe('a'.repeat(90));
    expect(world.charged(Resource.HeldBytes)).toBe(used - 90);
    expect(world.readv(world.readers[0]!, [{ unreadableBytes: 10 }]).result).toBe(-EFAULT);
    expect(world.read(world.readers[0]!, 9000).text).toBe(`${'a'.repeat(900)}\n`);
    expect(world.charged(Resource.HeldBytes)).toBe(used - 991);
    expect(world.texts()).toEqual([line('c'), line('c')]);
  });

  test('and is given back when its reader leaves', () => {
    const world = dropped();
    const used = world.charged(Resource.HeldBytes);
    world.close(world.readers[0]!);
    expect(world.charged(Resource.HeldBytes)).toBe(used - 991);
  });

  test('is lost where the quota does not hold it', () => {
    const world = new FanoutWorld('lines overflow=oldest capacity=4096');
    world.write(world.writer, line('a'));
    world.read(world.readers[0]!, 10);
    for (const letter of ['b', 'c', 'd']) world.write(world.writer, line(letter));
    const used = world.charged(Resource.HeldBytes);
    world.kernel.accounts.setLimit(Resource.HeldBytes, () => used + 990);
    world.write(world.writer, line('e'));
    expect(world.charged(Resource.HeldBytes)).toBe(used);
    expect(world.texts()).toEqual([line('b'), line('b')]);
  });

  test('bytes have no rest: the reader goes on with what is left in the pipe', () => {
    const world = dropped('overflow=oldest capacity=4096');
    expect(world.charged(Resource.HeldBytes)).toBe(64);
    expect(world.texts()).toEqual(['c', 'c'].map(() => ['c', 'd', 'e', 'f'].map(line).join('')));
    expect(world.read(world.readers[0]!, 10).result).toBe(-EAGAIN);
  });
});
