import { describe, expect, test } from 'vitest';
import { EAGAIN, EFAULT, ESRCH } from '../../src/kern/errno.ts';
import { type File, FNONBLOCK } from '../../src/kern/file.ts';
import type { ProcessEvents, ProcessWatcher } from '../../src/kern/process-events.ts';
import { WriteUio } from '../../src/kern/uio.ts';
import { bytesOf, endOf, user, World } from '../support/engine.ts';
import { setOptions, unsetOptions } from '../support/options.ts';

/** Processes that a test ends. */
class FakeProcessEvents implements ProcessEvents {
  readonly watchers = new Map<number, ProcessWatcher>();
  readonly gone = new Set<number>();

  watchCount = 0;

  watch(pid: number, _kinds: number, watcher: ProcessWatcher): number {
    this.watchCount++;
    if (this.gone.has(pid)) return -ESRCH;
    this.watchers.set(pid, watcher);
    return 0;
  }

  unwatch(pid: number): void {
    this.watchers.delete(pid);
  }

  catchUp(): void {
    // Ends are told when they happen.
  }

  end(pid: number): void {
    const watcher = this.watchers.get(pid)!;
    this.watchers.delete(pid);
    watcher.exited(0);
  }
}

describe('jobserver', () => {
  const client = { ...user, pid: 701 };
  const other = { ...user, pid: 702 };

  test('tokens of a process that ends come back, however it ends', () => {
    const world = new World();
    const events = (world.pipes.processEvents = new FakeProcessEvents());
    const fifo = world.fifo();
    setOptions(fifo, 'hold jobserver');
    const file = world.open(fifo, 'rwn');
    world.write(file, 'ab');
    expect(world.readAs(file, 1, client).text).toBe('a');
    expect(world.readAs(file, 1, other).text).toBe('b');
    expect(world.readAs(file, 1, other).result).toBe(-EAGAIN);
    file.flags &= ~FNONBLOCK;
    const waiting = world.readAs(file, 1, other);
    events.end(client.pid);
    world.kernel.scheduler.run();
    expect(waiting.text).toBe('a');
    world.checkInvariants();
    events.end(other.pid);
    world.kernel.scheduler.run();
    expect(world.readAs(file, 9, client).text).toBe('ba');
    unsetOptions(fifo, 'jobserver');
    expect(events.watchers.size).toBe(0);
  });

  test('what it has written back does not come twice', () => {
    const world = new World();
    const events = (world.pipes.processEvents = new FakeProcessEvents());
    const fifo = world.fifo();
    setOptions(fifo, 'hold jobserver');
    const file = world.open(fifo, 'rwn');
    world.write(file, '+++');
    world.readAs(file, 2, client);
    world.call(file.ops.write(file, new WriteUio([bytesOf('+')]), client));
    events.end(client.pid);
    expect(world.readAs(file, 9, other).text).toBe('+++');
    world.call(file.ops.write(file, new WriteUio([bytesOf('+++')]), other));
    expect(events.watchers.size).toBe(0);
    world.checkInvariants();
  });

  test('there is always room for a token that is out, and for one that a process takes as it ends', () => {
    const world = new World();
    const events = (world.pipes.processEvents = new FakeProcessEvents());
    const fifo = world.fifo();
    setOptions(fifo, 'hold jobserver capacity=4096');
    const file = world.open(fifo, 'rwn');
    world.write(file, 4096);
    world.readAs(file, 100, client);
    expect(world.write(file, 1).result).toBe(-EAGAIN);
    events.end(client.pid);
    events.gone.add(client.pid);
    expect(world.readAs(file, 10, client).result).toBe(10);
    expect(world.readAs(file, 9999, other).result).toBe(4096);
    world.checkInvariants();
  });
});

describe('whose tokens are whose', () => {
  const [main, helper, other] = [701, 702, 711].map((pid) => ({ ...user, pid }));

  function tokens(text: string): {
    world: World;
    events: FakeProcessEvents;
    file: File;
    read: (count: number, credentials: typeof user) => string;
    write: (text: string, credentials: typeof user) => void;
    /** Tokens that are out: room that nobody may write to. */
    outCount: () => number;
  } {
    const world = new World();
    world.host.processOf = (thread) => (thread === helper!.pid ? main!.pid : thread);
    const events = (world.pipes.processEvents = new FakeProcessEvents());
    const fifo = world.fifo();
    setOptions(fifo, 'hold jobserver capacity=4096');
    const file = world.open(fifo, 'rwn');
    world.write(file, text);
    return {
      ...{ world, events, file },
      read: (count, credentials) => world.readAs(file, count, credentials).text,
      write: (bytes, credentials) =>
        world.call(file.ops.write(file, new WriteUio([bytesOf(bytes)]), credentials)),
      outCount: () => 4096 - endOf(file).ring.count - endOf(file).spaceBytes,
    };
  }

  test('threads of a process have its tokens together, and it is watched once', () => {
    const { events, read, write, outCount } = tokens('abcd');
    expect([read(1, helper!), read(2, main!)]).toEqual(['a', 'bc']);
    expect([outCount(), events.watchCount]).toEqual([3, 1]);
    write('c', helper!);
    expect(outCount()).toBe(2);
    events.end(main!.pid);
    expect(outCount()).toBe(0);
    expect(read(9, other!)).toBe('dcab');
  });

  test('what others write, and more than it has taken, is new', () => {
    const { read, write, outCount } = tokens('ab');
    read(1, main!);
    write('x', other!);
    expect(outCount()).toBe(1);
    write('yz', main!);
    expect(outCount()).toBe(0);
    expect(read(9, other!)).toBe('bxyz');
  });

  test('a caller that nobody knows has none, and neither has one whose memory cannot be written', () => {
    const { world, file, read, outCount } = tokens('abc');
    expect(read(1, { ...user, pid: 0 })).toBe('a');
    expect(world.readv(file, [{ unreadableBytes: 2 }]).result).toBe(-EFAULT);
    expect(world.read(file, 0).result).toBe(0);
    expect(outCount()).toBe(0);
    expect(read(9, main!)).toBe('bc');
    expect(outCount()).toBe(2);
  });

  test('those of a process that ends come back to the end, also into a pipe without a byte', () => {
    const { world, events, read, write } = tokens('abc');
    read(2, main!);
    events.end(main!.pid);
    expect(read(9, other!)).toBe('cab');
    events.end(other!.pid);
    expect(read(1, main!)).toBe('c');
    write('c', main!);
    world.checkInvariants();
    expect(read(9, main!)).toBe('abc');
  });

  test('those for which there is no memory are counted as dropped', () => {
    const { world, events, file, read } = tokens('');
    const { fifo } = endOf(file).pair;
    world.write(file, 'ab');
    read(2, main!);
    setOptions(fifo!, 'capacity=8192');
    world.host.isOutOfMemory = true;
    events.end(main!.pid);
    expect(fifo!.drops).toEqual({ bytes: 2, records: 0 });
    world.checkInvariants();
  });

  test('where nobody tells of ends, they stay out until the option goes', () => {
    const { world, file, outCount, read } = tokens('ab');
    world.pipes.processEvents = null;
    read(1, main!);
    expect(outCount()).toBe(1);
    expect(unsetOptions(endOf(file).pair.fifo!, 'jobserver')).toBe(0);
    expect(outCount()).toBe(0);
  });
});

describe('timeout', () => {
  test('a read that waits as long reads end-of-file, and the next one waits again', () => {
    const world = new World();
    const fifo = world.fifo();
    setOptions(fifo, 'hold timeout=0.5s');
    const file = world.open(fifo, 'rw');
    const advance = (ms: number): void => {
      world.host.clock.advance(ms);
      world.kernel.callouts.runExpired();
      world.kernel.scheduler.run();
    };
    const reading = world.read(file, 10);
    advance(499);
    expect(reading.isBlocked).toBe(true);
    advance(1);
    expect(reading.result).toBe(0);
    const second = world.read(file, 10);
    advance(300);
    world.write(file, 'x');
    expect(second.text).toBe('x');
    const third = world.read(file, 10);
    unsetOptions(fifo, 'timeout');
    advance(1000);
    expect(third.isBlocked).toBe(true);
    third.signal();
  });
});
