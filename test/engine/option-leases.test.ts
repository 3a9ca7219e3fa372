import { describe, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EFAULT, ENOMEM } from '../../src/kern/errno.ts';
import { ProcessEnding } from '../../src/kern/host.ts';
import { type File, FNONBLOCK, Ioctl } from '../../src/kern/file.ts';
import { MemoryReadUio } from '../../src/kern/uio.ts';
import type { Fifo } from '../../src/pipe/fifo.ts';
import { user, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';

const as = (pid: number): typeof user => ({ ...user, pid });
/** Threads of two processes. */
const [MAIN, HELPER, OTHER] = [as(610), as(611), as(620)];

/** A world in which 611 is a thread of process 610. */
class LeaseWorld extends World {
  readonly jobs: Fifo = this.fifo();
  readonly writer: File;

  constructor(options: string, text: string) {
    super();
    this.host.processOf = (thread) => (thread === HELPER.pid ? MAIN.pid : thread);
    expect(setOptions(this.jobs, options)).toBe(0);
    this.writer = this.open(this.jobs, 'w');
    this.write(this.writer, text);
  }

  reader(): File {
    return this.open(this.jobs, 'rn');
  }

  /** The process closes its descriptor of a file that others have, as it ends. */
  ends(file: File, { pid }: { pid: number }, ending: ProcessEnding): void {
    this.host.endings.set(pid, ending);
    file.ops.descriptorClosed!(file, as(pid));
    this.kernel.scheduler.run();
  }
}

describe('whose the rest of a record is', () => {
  test("another thread's of the same process, and nobody else's", () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\n');
    const file = world.reader();
    expect(world.readAs(file, 2, MAIN).text).toBe('fi');
    expect(world.readAs(file, 3, OTHER).text).toBe('sec');
    expect(world.readAs(file, 9, HELPER).text).toBe('rst\n');
    expect(world.readAs(file, 9, OTHER).text).toBe('ond\n');
  });

  test("the next reader's of the file, once its process has exited: in order, and only of that file", () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\nthird\n');
    const [file, elsewhere] = [world.reader(), world.reader()];
    world.readAs(file, 2, MAIN);
    world.ends(file, MAIN, ProcessEnding.Exit);
    expect(world.readAs(elsewhere, 9, OTHER).text).toBe('second\n');
    expect(world.readAs(file, 9, OTHER).text).toBe('rst\n');
    expect(world.readAs(file, 9, OTHER).text).toBe('third\n');
  });

  test('FIONREAD tells a reader of its rest, of what has come back, or of the first record', () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\n');
    const [file, elsewhere] = [world.reader(), world.reader()];
    const count = (): number[] => [file, elsewhere].map((each) => world.ioctl(each, Ioctl.FIONREAD).value);
    expect(count()).toEqual([6, 6]);
    world.readAs(file, 2, MAIN);
    expect(count()).toEqual([4, 7]);
    world.readAs(file, 9, MAIN);
    expect(count()).toEqual([7, 7]);
    world.ends(file, MAIN, ProcessEnding.Signal);
    expect(count()).toEqual([6, 6]);
  });

  test('the close of a copy of the descriptor leaves it to its process', () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\n');
    const file = world.reader();
    world.readAs(file, 2, MAIN);
    world.ends(file, MAIN, ProcessEnding.None);
    expect(world.readAs(file, 9, OTHER).text).toBe('second\n');
    expect(world.readAs(file, 9, MAIN).text).toBe('rst\n');
  });

  test('an exit gives back the memory of a record that was read whole', () => {
    const world = new LeaseWorld('hold lines', 'first\n');
    const file = world.reader();
    const used = world.charged(Resource.HeldBytes);
    world.readAs(file, 9, MAIN);
    expect(world.charged(Resource.HeldBytes)).toBe(used + 6);
    world.ends(file, MAIN, ProcessEnding.Exit);
    expect(world.charged(Resource.HeldBytes)).toBe(used);
  });
});

describe('the reader of a record that goes through in pieces', () => {
  /** A pipe of 4096 bytes with a line of 6000, of which its reader has read 4000: all of the line has been written. */
  function inPieces(options = 'hold lines capacity=4096'): {
    world: LeaseWorld;
    file: File;
    elsewhere: File;
  } {
    const world = new LeaseWorld(options, '');
    const file = world.reader();
    const writing = world.write(world.writer, `${'x'.repeat(5999)}\n`);
    expect(world.readAs(file, 4000, MAIN).result).toBe(4000);
    expect(writing.result).toBe(6000);
    return { world, file, elsewhere: world.reader() };
  }

  test('alone sees what is left of it', () => {
    const { world, file, elsewhere } = inPieces();
    const count = [file, elsewhere].map((each) => world.ioctl(each, Ioctl.FIONREAD).value);
    expect(count).toEqual([2000, 0]);
    expect(world.readAs(elsewhere, 9000, OTHER).result).toBe(-EAGAIN);
  });

  test('gets the bytes again that could not be stored', () => {
    const { world, file } = inPieces();
    expect(world.readv(file, [{ unreadableBytes: 100 }]).result).toBe(-EAGAIN);
    const call = world.call(file.ops.read(file, new MemoryReadUio([{ unreadableBytes: 100 }]), MAIN));
    expect(call.result).toBe(-EFAULT);
    expect(world.readAs(file, 9000, MAIN).text).toBe(`${'x'.repeat(1999)}\n`);
  });

  test('has read it, and the next record is for anybody', () => {
    const { world, file, elsewhere } = inPieces();
    world.readAs(file, 9000, MAIN);
    world.write(world.writer, 'first\nsecond\n');
    expect(world.readAs(file, 2, MAIN).text).toBe('fi');
    expect(world.readAs(elsewhere, 9, OTHER).text).toBe('second\n');
    expect(world.readAs(file, 9, MAIN).text).toBe('rst\n');
  });

  test('has read it, and closes the file: nothing is lost', () => {
    const { world, file, elsewhere } = inPieces();
    world.readAs(file, 9000, MAIN);
    world.write(world.writer, 'next\n');
    world.close(file);
    expect(world.jobs.drops).toEqual({ bytes: 0, records: 0 });
    expect(world.readAs(elsewhere, 9, OTHER).text).toBe('next\n');
  });

  test('leaves: what is left of it is dropped, and counted once', () => {
    const { world, file, elsewhere } = inPieces();
    world.write(world.writer, 'next\n');
    world.close(file);
    expect(world.jobs.drops).toEqual({ bytes: 2000, records: 1 });
    expect(world.readAs(elsewhere, 9, OTHER).text).toBe('next\n');
  });

  test('leaves when it has read all that has come: what comes yet is dropped', () => {
    const world = new LeaseWorld('hold lines capacity=4096', '');
    const file = world.reader();
    world.writer.flags |= FNONBLOCK;
    expect(world.write(world.writer, 'x'.repeat(5000)).result).toBe(4095);
    world.readAs(file, 9000, MAIN);
    world.close(file);
    const next = world.reader();
    expect(world.readAs(next, 9000, OTHER).result).toBe(-EAGAIN);
    expect(world.write(world.writer, 'xx\nnext\n').result).toBe(8);
    expect(world.readAs(next, 9000, OTHER).text).toBe('next\n');
    expect(world.jobs.drops).toEqual({ bytes: 3, records: 1 });
  });

  test('has its record when others may drop the oldest: a record that does not fit is dropped itself', () => {
    const { world, file } = inPieces();
    setOptions(world.jobs, 'overflow=oldest');
    expect(world.write(world.writer, `${'y'.repeat(3000)}\n`).result).toBe(3001);
    expect(world.jobs.drops).toEqual({ bytes: 3001, records: 1 });
    expect(world.readAs(file, 9000, MAIN).text).toBe(`${'x'.repeat(1999)}\n`);
  });
});

test('a record that is read whole and not given back takes no memory', () => {
  const world = new LeaseWorld('hold records', 'one');
  world.write(world.writer, 'two');
  const used = world.charged(Resource.HeldBytes);
  world.kernel.accounts.setLimit(Resource.HeldBytes, () => used);
  const file = world.reader();
  expect(world.readAs(file, 3, MAIN).text).toBe('one');
  expect(world.readAs(file, 9, MAIN).text).toBe('two');
});

test.each([
  ['hold', false],
  ['hold records', false],
  ['hold records requeue', true],
  ['hold lines', true],
  ['hold lines requeue=off', false],
])('%s: closes are to be reported: %s', (options, expected) => {
  expect(new LeaseWorld(options, '').reader().wantsCloses).toBe(expected);
});

describe('a process that has begun records by several threads', () => {
  test('is killed: what its threads that are gone have begun comes back, in the order of writing', () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\nthird\n');
    // Nobody knows any more whose thread it was.
    world.host.processOf = (thread) => thread;
    const file = world.reader();
    world.readAs(file, 2, HELPER);
    world.readAs(file, 2, OTHER);
    world.host.endings.set(HELPER.pid, ProcessEnding.Gone);
    world.ends(file, MAIN, ProcessEnding.Signal);
    expect(world.readAs(file, 9, MAIN).text).toBe('first\n');
    expect(world.readAs(file, 9, OTHER).text).toBe('cond\n');
  });

  test('exits: nothing comes back', () => {
    const world = new LeaseWorld('hold lines', 'first\nsecond\n');
    // Nobody knows any more whose thread it was.
    world.host.processOf = (thread) => thread;
    const file = world.reader();
    world.readAs(file, 2, HELPER);
    world.host.endings.set(HELPER.pid, ProcessEnding.Gone);
    world.ends(file, MAIN, ProcessEnding.Exit);
    expect(world.readAs(file, 9, OTHER).text).toBe('second\n');
  });
});

describe('the last close of a file', () => {
  const cases: [
    what: string,
    options: string,
    reported: boolean,
    ending: ProcessEnding,
    comesBack: boolean,
  ][] = [
    ['whose reader is alive', 'hold lines', false, ProcessEnding.None, false],
    ['whose reader was killed', 'hold lines', true, ProcessEnding.Signal, true],
    ['whose reader has exited', 'hold lines', false, ProcessEnding.Exit, false],
    ['whose reader is gone, and would have told of its close', 'hold lines', true, ProcessEnding.Gone, false],
    ['whose reader is gone, and nobody tells', 'hold lines', false, ProcessEnding.Gone, true],
    ['without requeue', 'hold lines requeue=off', false, ProcessEnding.Signal, false],
  ];
  test.each(cases)('%s: a record that was read whole', (_what, options, reported, ending, comesBack) => {
    const world = new LeaseWorld(options, 'job\n');
    const file = world.reader();
    file.areClosesReported = reported;
    expect(world.readAs(file, 9, MAIN).text).toBe('job\n');
    world.host.endings.set(MAIN.pid, ending);
    world.close(file);
    const next = world.readAs(world.reader(), 9, OTHER);
    expect(next.result).toBe(comesBack ? 4 : -EAGAIN);
    expect(world.jobs.drops).toEqual({ bytes: 0, records: 0 });
    if (!comesBack) expect(world.charged(Resource.HeldBytes)).toBe(64);
  });

  test('records that were begun in any order come back in the order of writing', () => {
    const world = new LeaseWorld('hold lines', '1\n2\n3\n4\n');
    const files = Array.from({ length: 4 }, () => world.reader());
    for (const file of files) world.readAs(file, 1, MAIN);
    for (const index of [2, 0, 3, 1]) world.close(files[index]!);
    expect(world.readAs(world.reader(), 1, OTHER).text).toBe('1');
    const last = world.reader();
    const got = [0, 1, 2].map(() => world.readAs(last, 9, MAIN).text);
    expect(got).toEqual(['2\n', '3\n', '4\n']);
  });
});

describe('a record that cannot be handed over stays in front', () => {
  test.each(['hold lines', 'hold records', 'hold records requeue'])('%s: memory of the reader', (options) => {
    const world = new LeaseWorld(options, 'job 1\n');
    world.write(world.writer, 'job 2\n');
    const file = world.reader();
    for (const sizeBytes of [3, 100])
      expect(world.readv(file, [{ unreadableBytes: sizeBytes }]).result).toBe(-EFAULT);
    world.checkInvariants();
    expect(world.readAs(file, 100, OTHER).text).toBe('job 1\n');
    expect(world.readAs(file, 100, OTHER).text).toBe('job 2\n');
  });

  test('the quota', () => {
    const world = new LeaseWorld('hold lines', 'job\n');
    const file = world.reader();
    const used = world.charged(Resource.HeldBytes);
    world.kernel.accounts.setLimit(Resource.HeldBytes, () => used + 3);
    expect(world.readAs(file, 100, OTHER).result).toBe(-ENOMEM);
    world.kernel.accounts.setLimit(Resource.HeldBytes, () => used + 4);
    expect(world.readAs(file, 100, OTHER).text).toBe('job\n');
  });

  test('a part of it: the reader goes on where it was', () => {
    const world = new LeaseWorld('hold lines', 'job\n');
    const file = world.reader();
    world.readAs(file, 1, user);
    expect(world.readv(file, [{ unreadableBytes: 100 }]).result).toBe(-EFAULT);
    expect(world.readAs(file, 100, user).text).toBe('ob\n');
  });
});

test('readers of records are lost by a change to bytes: what was begun is theirs no more, and its memory is free', () => {
  const world = new LeaseWorld('hold lines', 'first\nsecond\n');
  const file = world.reader();
  world.readAs(file, 2, MAIN);
  unsetOptions(world.jobs, 'lines');
  expect(world.readAs(file, 100, MAIN).text).toBe('second\n');
  unsetOptions(world.jobs, 'all');
  expect(world.charged(Resource.HeldBytes)).toBe(0);
});
