import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EBUSY } from '../../src/kern/errno.ts';
import { type File, Ioctl } from '../../src/kern/file.ts';
import { ProcessEnding } from '../../src/kern/host.ts';
import { EVFILT_READ } from '../../src/kern/klist.ts';
import { POLLIN, POLLOUT } from '../../src/kern/poll.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { pattern, TestKnote, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';

const WORKER = { uid: 1000, gid: 1000, pid: 601 };
const OTHER = { uid: 1000, gid: 1000, pid: 602 };

class QueueWorld extends World {
  readonly fifo1: Fifo;

  constructor(options: string) {
    super();
    this.fifo1 = this.fifo();
    expect(setOptions(this.fifo1, options)).toBe(0);
  }

  file(mode: string): File {
    return this.open(this.fifo1, mode);
  }

  /** The process ends with this descriptor open, and others of the file are left. */
  dies(file: File, { pid }: { pid: number }, ending: ProcessEnding): void {
    this.host.endings.set(pid, ending);
    file.ops.descriptorClosed!(file, { ...WORKER, pid });
    this.kernel.scheduler.run();
  }
}

describe('lines', () => {
  test('a read returns bytes of one line at most', () => {
    const world = new QueueWorld('hold lines');
    const writer = world.file('w');
    world.write(writer, 'one\ntwo\nthree\n');
    const reader = world.file('rn');
    expect(world.read(reader, 100).text).toBe('one\n');
    expect(world.ioctl(reader, Ioctl.FIONREAD).value).toBe(4);
    expect(world.read(reader, 100).text).toBe('two\n');
    expect(world.read(reader, 3).text).toBe('thr');
    expect(world.ioctl(reader, Ioctl.FIONREAD).value).toBe(3);
    expect(world.read(reader, 100).text).toBe('ee\n');
    expect(world.read(reader, 100).result).toBe(-EAGAIN);
    world.checkInvariants();
  });

  test('readers see a line when it is whole, in as many writes as it comes', () => {
    const world = new QueueWorld('hold lines');
    const one = world.file('w');
    const two = world.file('w');
    const reader = world.file('rn');
    world.write(one, 'a long ');
    world.write(two, 'short\nand ');
    expect(world.poll(reader, POLLIN)).toBe(POLLIN);
    expect(world.read(reader, 100).text).toBe('short\n');
    expect(world.poll(reader, POLLIN)).toBe(0);
    expect(world.read(reader, 100).result).toBe(-EAGAIN);
    world.write(one, 'line\n');
    expect(world.read(reader, 100).text).toBe('a long line\n');
    world.close(two);
    expect(world.read(reader, 100).text).toBe('and \n');
    world.checkInvariants();
  });

  test("the rest of a line that was begun is its process's on that file, and no other's", () => {
    const world = new QueueWorld('hold lines');
    world.write(world.file('w'), 'first\nsecond\nthird\n');
    const shared = world.file('rn');
    const own = world.file('rn');
    expect(world.readAs(shared, 2, WORKER).text).toBe('fi');
    expect(world.readAs(shared, 2, OTHER).text).toBe('se');
    expect(world.readAs(own, 100, WORKER).text).toBe('third\n');
    expect(world.readAs(shared, 100, WORKER).text).toBe('rst\n');
    expect(world.readAs(shared, 100, OTHER).text).toBe('cond\n');
  });

  test('what a killed worker held goes back to the front, whole', () => {
    const world = new QueueWorld('hold lines');
    world.write(world.file('w'), 'first\nsecond\nthird\n');
    const shared = world.file('rn');
    expect(world.readAs(shared, 100, WORKER).text).toBe('first\n');
    expect(world.readAs(shared, 3, OTHER).text).toBe('sec');
    world.dies(shared, OTHER, ProcessEnding.Signal);
    world.dies(shared, WORKER, ProcessEnding.Signal);
    world.checkInvariants();
    expect(world.ioctl(shared, Ioctl.FIONREAD).value).toBe(6);
    const third = { ...WORKER, pid: 603 };
    expect(world.readAs(shared, 100, third).text).toBe('first\n');
    expect(world.readAs(shared, 100, third).text).toBe('second\n');
    expect(world.readAs(shared, 100, third).text).toBe('third\n');
    expect(world.charged(Resource.HeldBytes)).toBeGreaterThan(0);
    world.dies(shared, third, ProcessEnding.Exit);
    expect(world.readAs(shared, 100, OTHER).result).toBe(-EAGAIN);
  });

  test('a line is finished by the next read, by a close and by an exit', () => {
    const world = new QueueWorld('hold lines');
    const writer = world.file('w');
    world.write(writer, 'a\nb\nc\n');
    const reader = world.file('rn');
    world.readAs(reader, 9, WORKER);
    expect(world.readAs(reader, 9, WORKER).text).toBe('b\n');
    // The close of a duplicate ends nothing.
    world.dies(reader, WORKER, ProcessEnding.None);
    world.dies(reader, WORKER, ProcessEnding.Exit);
    world.close(reader);
    const last = world.file('rn');
    expect(world.readAs(last, 9, OTHER).text).toBe('c\n');
    world.close(last);
    expect(world.readAs(world.file('rn'), 9, OTHER).result).toBe(-EAGAIN);
    expect(world.fifo1.drops).toEqual({ bytes: 0, records: 0 });
  });

  test('a close in the middle of a line gives the line back; an exit leaves it to the file', () => {
    const world = new QueueWorld('hold lines');
    world.write(world.file('w'), 'abcdef\n');
    const reader = world.file('rn');
    expect(world.readAs(reader, 3, WORKER).text).toBe('abc');
    world.dies(reader, WORKER, ProcessEnding.Exit);
    expect(world.readAs(reader, 2, OTHER).text).toBe('de');
    world.close(reader);
    expect(world.readAs(world.file('rn'), 9, OTHER).text).toBe('abcdef\n');
  });

  test('where closes are not reported, the last close asks how the process has ended', () => {
    const world = new QueueWorld('hold lines');
    world.write(world.file('w'), 'a\nb\n');
    const reader = world.file('rn');
    expect(world.readAs(reader, 9, WORKER).text).toBe('a\n');
    world.host.endings.set(WORKER.pid, ProcessEnding.Gone);
    world.close(reader);
    expect(world.readAs(world.file('rn'), 9, OTHER).text).toBe('a\n');
  });

  test('a sleeping reader gets what comes back', () => {
    const world = new QueueWorld('hold lines');
    world.write(world.file('w'), 'job\n');
    const shared = world.file('r');
    world.readAs(shared, 9, WORKER);
    const knote = new TestKnote(shared, EVFILT_READ);
    knote.register();
    const waiting = world.readAs(shared, 9, OTHER);
    expect(waiting.isBlocked).toBe(true);
    world.dies(shared, WORKER, ProcessEnding.Signal);
    expect(waiting.text).toBe('job\n');
    expect(knote.activations).toBe(1);
    knote.remove();
  });

  test('a line longer than the buffer goes in pieces to one reader, and nothing comes between', () => {
    const world = new QueueWorld('hold lines capacity=4096');
    const writer = world.file('w');
    const other = world.file('wn');
    const data = pattern(20_000).map((byte) => (byte === 10 ? 11 : byte));
    data[19_999] = 10;
    const writing = world.write(writer, data);
    expect(writing.isBlocked).toBe(true);
    expect(world.write(other, 'other\n').result).toBe(-EAGAIN);
    const reader = world.file('rn');
    const idle = world.file('rn');
    const got: number[] = [];
    while (got.length < 20_000) {
      got.push(...world.read(reader, 1500).bytes);
      if (got.length < 20_000) expect(world.read(idle, 10).result).toBe(-EAGAIN);
      world.checkInvariants();
    }
    expect(got).toEqual([...data]);
    expect(writing.result).toBe(20_000);
    expect(world.write(other, 'other\n').result).toBe(6);
    expect(world.read(reader, 100).text).toBe('other\n');
  });

  test('the rest of such a line is dropped when its reader leaves, and counted', () => {
    const world = new QueueWorld('hold lines capacity=4096');
    const writer = world.file('w');
    const writing = world.write(writer, 'x'.repeat(10_000) + '\nnext\n');
    const reader = world.file('r');
    expect(world.read(reader, 1000).result).toBe(1000);
    world.close(reader);
    expect(writing.result).toBe(10_006);
    expect(world.fifo1.drops).toEqual({ bytes: 9001, records: 1 });
    world.checkInvariants();
    expect(world.read(world.file('rn'), 100).text).toBe('next\n');
  });

  test('a writer that leaves in the middle of such a line ends it', () => {
    const world = new QueueWorld('hold lines capacity=4096');
    const writer = world.file('w');
    const writing = world.write(writer, 'x'.repeat(5000));
    writing.signal();
    expect(writing.result).toBe(4095);
    world.close(writer);
    const reader = world.file('rn');
    expect(world.read(reader, 10_000).bytes.at(-1)).toBe(10);
    world.checkInvariants();
    expect(world.read(reader, 10).result).toBe(-EAGAIN);
  });

  test('a close that completes a line waits for room', () => {
    const world = new QueueWorld('hold lines capacity=4096');
    const writer = world.file('w');
    world.write(writer, 'y'.repeat(4095) + '\n');
    world.write(writer, 'rest');
    const closing = world.close(writer);
    expect(closing.waitMessage).toBe('pipewr');
    world.checkInvariants();
    const reader = world.file('rn');
    world.read(reader, 4096);
    expect(closing.result).toBe(0);
    expect(world.read(reader, 4096).text).toBe('rest\n');
  });

  test('a close that completes a line does not wait for the file itself to make room', () => {
    const world = new World();
    const fifo = world.fifo();
    expect(setOptions(fifo, 'lines capacity=4096')).toBe(0);
    const file = world.open(fifo, 'rw');
    world.write(file, `${'x'.repeat(4095)}\n`);
    expect(world.write(file, 'begun').result).toBe(5);
    expect(world.close(file).result).toBe(0);
    expect(fifo.end).toBeNull();
    expect(world.pipes.budget.usedBytes).toBe(0);
  });
});

describe('records', () => {
  test('a read returns bytes of one write at most, and a record is stored whole', () => {
    const world = new QueueWorld('hold records capacity=4096');
    const writer = world.file('wn');
    world.write(writer, 'one');
    world.write(writer, 'two\nlines\n');
    expect(world.write(writer, 4090).result).toBe(-EAGAIN);
    const reader = world.file('rn');
    expect(world.read(reader, 100).text).toBe('one');
    expect(world.read(reader, 4).text).toBe('two\n');
    expect(world.read(reader, 100).text).toBe('lines\n');
    world.checkInvariants();
  });

  test('without requeue a record is gone once it is read, and its rest with its reader', () => {
    const world = new QueueWorld('hold records');
    world.write(world.file('w'), 'whole');
    world.write(world.file('w'), 'torn');
    const reader = world.file('rn');
    world.readAs(reader, 100, WORKER);
    expect(world.charged(Resource.HeldBytes)).toBe(64);
    world.readAs(reader, 1, WORKER);
    world.dies(reader, WORKER, ProcessEnding.Signal);
    expect(world.readAs(reader, 100, OTHER).result).toBe(-EAGAIN);
    expect(world.fifo1.drops).toEqual({ bytes: 3, records: 1 });
  });

  test('with requeue it comes back', () => {
    const world = new QueueWorld('hold records requeue');
    world.write(world.file('w'), 'again');
    const reader = world.file('rn');
    world.readAs(reader, 100, WORKER);
    world.dies(reader, WORKER, ProcessEnding.Signal);
    expect(world.readAs(reader, 100, OTHER).text).toBe('again');
  });
});

describe('overflow', () => {
  test('oldest: a full pipe drops its oldest records whole, and writers never wait', () => {
    const world = new QueueWorld('hold lines overflow=oldest capacity=4096');
    const writer = world.file('w');
    for (let index = 1; index <= 1000; index++)
      expect(world.write(writer, `line ${index}\n`).isBlocked).toBe(false);
    expect(world.poll(writer, POLLOUT)).toBe(POLLOUT);
    const reader = world.file('rn');
    const lines: string[] = [];
    for (let call = world.read(reader, 100); call.result! > 0; call = world.read(reader, 100))
      lines.push(call.text);
    expect(lines.at(-1)).toBe('line 1000\n');
    expect(lines[0]).toBe(`line ${1001 - lines.length}\n`);
    expect(lines.join('').length).toBeGreaterThan(4096 - 10);
    expect(world.fifo1.drops.records).toBe(1000 - lines.length);
    world.checkInvariants();
  });

  test('oldest without records: whole writes, and of one longer than the pipe its end', () => {
    const world = new QueueWorld('hold overflow=oldest capacity=4096');
    const writer = world.file('w');
    world.write(writer, 'a'.repeat(3000));
    world.write(writer, 'b'.repeat(3000));
    const reader = world.file('rn');
    expect(world.read(reader, 9999).text).toBe('b'.repeat(3000));
    const data = pattern(10_000);
    expect(world.write(writer, data).result).toBe(10_000);
    expect(world.read(reader, 9999).bytes).toEqual(data.subarray(10_000 - 4096));
    expect(world.fifo1.drops).toEqual({ bytes: 3000 + 10_000 - 4096, records: 1 });
  });

  test('newest: a record that does not fit is dropped', () => {
    const world = new QueueWorld('hold records overflow=newest capacity=4096');
    const writer = world.file('w');
    world.write(writer, 4000);
    expect(world.write(writer, 100).result).toBe(100);
    expect(world.write(writer, 90).result).toBe(90);
    expect(world.write(writer, 9000).result).toBe(9000);
    expect(world.fifo1.drops).toEqual({ bytes: 9100, records: 2 });
    const reader = world.file('rn');
    expect(world.read(reader, 9999).result).toBe(4000);
    expect(world.read(reader, 9999).result).toBe(90);
  });

  test('a line longer than the pipe is dropped whole, in whatever pieces it comes', () => {
    const world = new QueueWorld('hold lines overflow=oldest capacity=4096');
    const writer = world.file('w');
    world.write(writer, 'kept\n' + 'z'.repeat(3000));
    world.write(writer, 'z'.repeat(3000));
    world.write(writer, 'z'.repeat(3000) + '\nalso kept\n');
    const reader = world.file('rn');
    expect(world.read(reader, 9999).text).toBe('kept\n');
    expect(world.read(reader, 9999).text).toBe('also kept\n');
    expect(world.fifo1.drops).toEqual({ bytes: 9001, records: 1 });
    world.checkInvariants();
  });

  test('a writer that waits goes on when the pipe is told to drop', () => {
    const world = new QueueWorld('hold');
    const writing = world.write(world.file('w'), 100_000);
    expect(writing.isBlocked).toBe(true);
    setOptions(world.fifo1, 'overflow=oldest');
    world.kernel.scheduler.run();
    expect(writing.result).toBe(100_000);
  });
});

describe('changes of a pipe in use', () => {
  test('to lines: what is queued is divided; back: it is bytes, and nothing is lost', () => {
    const world = new QueueWorld('hold');
    const file = world.file('rwn');
    world.write(file, 'a\nb\nc');
    expect(setOptions(world.fifo1, 'lines')).toBe(0);
    expect(world.readAs(file, 100, WORKER).text).toBe('a\n');
    world.write(file, 'begun');
    world.dies(file, WORKER, ProcessEnding.Signal);
    world.checkInvariants();
    expect(unsetOptions(world.fifo1, 'lines')).toBe(0);
    world.checkInvariants();
    expect(world.read(file, 100).text).toBe('a\nb\ncbegun');
    world.write(file, 'x');
    expect(unsetOptions(world.fifo1, 'all')).toBe(0);
    world.checkInvariants();
    expect(world.read(file, 100).text).toBe('x');
    expect(world.charged(Resource.HeldBytes)).toBe(0);
  });

  test('a capacity below what is queued is refused, with everything as it was', () => {
    const world = new QueueWorld('hold lines capacity=8192');
    const file = world.file('rwn');
    world.write(file, 'k'.repeat(5000) + '\n');
    expect(setOptions(world.fifo1, 'capacity=4096')).toBe(-EBUSY);
    expect(setOptions(world.fifo1, 'capacity=1M')).toBe(0);
    expect(world.read(file, 9999).result).toBe(5001);
  });
});
