import { describe, expect, test } from 'vitest';

import { EAGAIN, EFAULT, EINVAL, EMFILE, ENFILE, ENOMEM } from '../../src/kern/errno.ts';
import type { File } from '../../src/kern/file.ts';
import {
  type DescriptorTable,
  pipe2,
  PIPE2_CLOEXEC,
  PIPE2_NONBLOCK,
  pipeStat,
  type PipeStat,
} from '../../src/pipe/anonymous.ts';
import { endOf, unlimitedTable, user, World } from '../support/engine.ts';

const FORWARD_BYTES = 16384;
const REVERSE_BYTES = 4096;
const PIPE_BYTES = FORWARD_BYTES + REVERSE_BYTES;
const APPEND_FLAG = 0x0008;
const KVA = 'kern.ipc.pipekva';
const FRAGMENTATION_RETRIES = 'kern.ipc.pipefragretry';
const ALLOCATION_FAILURES = 'kern.ipc.pipeallocfail';

function statOf(file: File): PipeStat {
  const stat = pipeStat(endOf(file), user);
  if (typeof stat === 'number') throw new Error(`fstat: ${stat}`);
  return stat;
}

function inodesOf(files: readonly File[]): number[] {
  return files.map((file) => statOf(file).inode);
}

/** A table of `free` descriptors from 3 on, which answers `error` when they are used up. */
class Table implements DescriptorTable {
  readonly used = new Set<number>();
  readonly closeOnExec: boolean[] = [];
  readonly #free: number;
  readonly #error: number;
  readonly #storeError: number;

  constructor(free: number, error = -EMFILE, storeError = 0) {
    this.#free = free;
    this.#error = error;
    this.#storeError = storeError;
  }

  allocate(_file: File, closeOnExec: boolean): number {
    if (this.used.size === this.#free) return this.#error;
    const descriptor = 3 + this.used.size;
    this.used.add(descriptor);
    this.closeOnExec.push(closeOnExec);
    return descriptor;
  }

  release(descriptor: number): void {
    expect(this.used.delete(descriptor)).toBe(true);
  }

  store(): number {
    return this.#storeError;
  }
}

describe('objects', () => {
  test('P1: a pair carries bytes both ways, each end reading what was written at the other', () => {
    const world = new World();
    const [first, second] = world.pair(true);
    expect(world.write(first, 'ab').result).toBe(2);
    expect(world.write(second, 'cd').result).toBe(2);
    expect(world.read(second, 10).text).toBe('ab');
    expect(world.read(first, 10).text).toBe('cd');
    expect(world.read(first, 10).result).toBe(-EAGAIN);
  });

  test('P2: every descriptor of a named pipe uses one ring', () => {
    const world = new World();
    const fifo = world.fifo();
    const both = world.open(fifo, 'rwn');
    world.write(both, 'x');
    expect(world.read(both, 10).text).toBe('x');
    world.write(both, 'y');
    expect(world.read(world.open(fifo, 'r'), 10).text).toBe('y');
    world.write(world.open(fifo, 'w'), 'z');
    expect(world.read(both, 10).text).toBe('z');
  });

  test('P9: all times of a new pair are one moment, and the change time stays there', () => {
    const world = new World();
    const [first, second] = world.pair();
    const born = world.host.clock.realtime();
    for (const file of [first, second]) {
      expect(statOf(file).times).toEqual({ accessed: born, modified: born, changed: born });
    }
    world.host.clock.advance(5000);
    const later = world.host.clock.realtime();
    world.write(first, 'abc');
    world.read(second, 3);
    expect(statOf(second).times).toEqual({ accessed: later, modified: later, changed: born });
    expect(statOf(first).times).toEqual({ accessed: born, modified: born, changed: born });
  });

  test('P8: inode numbers count from 1, the read end first, and do not come back', () => {
    const world = new World();
    const files = [...world.pair(), ...world.pair()];
    expect(inodesOf(files)).toEqual([1, 2, 3, 4]);
    for (const file of files) world.close(file);
    expect(inodesOf(world.pair())).toEqual([5, 6]);
  });

  test('P8: a pair that fails at its reverse ring uses up a number, one that fails before does not', () => {
    const halfWay = new World({ maxPipeKvaBytes: PIPE_BYTES + REVERSE_BYTES });
    const atOnce = new World({ maxPipeKvaBytes: PIPE_BYTES });
    for (const [world, next] of [
      [halfWay, [4, 5]],
      [atOnce, [3, 4]],
    ] as const) {
      const files = world.pair();
      expect(pipe2(world.pipes, unlimitedTable, 0, user)).toBe(-ENOMEM);
      for (const file of files) world.close(file);
      expect(inodesOf(world.pair())).toEqual(next);
    }
  });

  test('P14: the ends go one by one in either order, and nothing is left of the pair', () => {
    const world = new World();
    let living = 0;
    world.pipes.policy = { created: () => living++, destroyed: () => living-- };
    const rounds = 1000;
    for (let round = 0; round < rounds; round++) {
      const files = world.pair();
      for (const file of files) world.write(file, 'left behind');
      const firstClosed = round % 2;
      expect(world.close(files[firstClosed]!).result).toBe(0);
      expect(living).toBe(1);
      expect(world.close(files[1 - firstClosed]!).result).toBe(0);
      expect(living).toBe(0);
    }
    expect(world.sysctl(KVA)).toBe(0);
  });
});

describe('memory for a new pipe', () => {
  test('P3: the forward ring has 16384 bytes, the reverse one 4096, for a FIFO too', () => {
    const world = new World();
    const file = world.open(world.fifo(), 'rn');
    expect(endOf(file).pair.ends.map((end) => end.ring.size)).toEqual([FORWARD_BYTES, REVERSE_BYTES]);
    expect(world.sysctl(KVA)).toBe(PIPE_BYTES);
    world.pair();
    expect(world.sysctl(KVA)).toBe(2 * PIPE_BYTES);
  });

  test('P4: above half of the budget a forward ring has 4096 bytes', () => {
    const world = new World({ maxPipeKvaBytes: 131072 });
    const used = Array.from({ length: 6 }, () => {
      world.open(world.fifo(), 'rn');
      return world.sysctl(KVA);
    });
    expect(used).toEqual([20480, 40960, 61440, 81920, 90112, 98304]);
  });

  test.each([
    [40961, FORWARD_BYTES],
    [40960, FORWARD_BYTES],
    [40959, REVERSE_BYTES],
  ])('P4: exactly half still gives the large ring (budget %i)', (maxPipeKvaBytes, expected) => {
    const world = new World({ maxPipeKvaBytes });
    world.pair();
    expect(endOf(world.pair()[0]).ring.size).toBe(expected);
  });

  test('P5: a forward ring that does not fit is tried again with 4096 bytes', () => {
    const world = new World({ maxPipeKvaBytes: 2 * REVERSE_BYTES });
    const file = world.open(world.fifo(), 'rn');
    expect(endOf(file).pair.ends.map((end) => end.ring.size)).toEqual([REVERSE_BYTES, REVERSE_BYTES]);
    expect(world.sysctl(FRAGMENTATION_RETRIES)).toBe(1);
    expect(world.sysctl(ALLOCATION_FAILURES)).toBe(0);
    expect(world.sysctl(KVA)).toBe(2 * REVERSE_BYTES);
  });

  test('P5: when 4096 bytes do not fit either it is ENOMEM, counted once', () => {
    const world = new World({ maxPipeKvaBytes: REVERSE_BYTES - 1 });
    expect(world.startOpen(world.fifo(), 'rn').call.result).toBe(-ENOMEM);
    expect(world.sysctl(FRAGMENTATION_RETRIES)).toBe(1);
    expect(world.sysctl(ALLOCATION_FAILURES)).toBe(1);
    expect(world.sysctl(KVA)).toBe(0);
  });

  test('P5: what starts at 4096 bytes is not tried twice', () => {
    const world = new World({ maxPipeKvaBytes: PIPE_BYTES });
    world.pair();
    expect(pipe2(world.pipes, unlimitedTable, 0, user)).toBe(-ENOMEM);
    expect(world.sysctl(FRAGMENTATION_RETRIES)).toBe(0);
  });

  test('P6: a hundred failures are one line on the console within a second, and all are counted', () => {
    const world = new World({ maxPipeKvaBytes: 0 });
    const failures = 100;
    for (let failure = 0; failure < failures; failure++) {
      expect(pipe2(world.pipes, unlimitedTable, 0, user)).toBe(-ENOMEM);
      world.host.clock.advance(1);
    }
    expect(world.host.logged).toHaveLength(1);
    expect(world.host.logged[0]).toContain('maxpipekva');
    expect(world.sysctl(ALLOCATION_FAILURES)).toBe(failures);
    world.host.clock.advance(899);
    pipe2(world.pipes, unlimitedTable, 0, user);
    expect(world.host.logged).toHaveLength(1);
    world.host.clock.advance(1);
    pipe2(world.pipes, unlimitedTable, 0, user);
    expect(world.host.logged).toHaveLength(2);
  });

  test('P7: without room for the reverse ring the forward one is given back', () => {
    const world = new World({ maxPipeKvaBytes: PIPE_BYTES + REVERSE_BYTES });
    const { reader, writer } = world.fifoEnds();
    expect(world.startOpen(world.fifo(), 'rn').call.result).toBe(-ENOMEM);
    expect(world.sysctl(KVA)).toBe(PIPE_BYTES);
    expect(world.sysctl(ALLOCATION_FAILURES)).toBe(1);
    world.write(writer, 'still here');
    expect(world.read(reader, 20).text).toBe('still here');
  });
});

describe('pipe2', () => {
  test('P10: a flag that is neither close-on-exec nor non-block is EINVAL before anything happens', () => {
    const world = new World();
    const table = new Table(2);
    expect(pipe2(world.pipes, table, APPEND_FLAG, user)).toBe(-EINVAL);
    expect(pipe2(world.pipes, table, PIPE2_NONBLOCK | APPEND_FLAG, user)).toBe(-EINVAL);
    expect(table.used.size).toBe(0);
    expect(world.sysctl(KVA)).toBe(0);
    expect(inodesOf(world.pair())).toEqual([1, 2]);
  });

  test('P10: non-block holds for both descriptors, and its absence too', () => {
    const world = new World();
    for (const file of world.pair(true)) expect(world.read(file, 1).result).toBe(-EAGAIN);
    for (const file of world.pair(false)) expect(world.read(file, 1).isBlocked).toBe(true);
  });

  test.each([
    [0, [false, false]],
    [PIPE2_CLOEXEC, [true, true]],
    [PIPE2_CLOEXEC | PIPE2_NONBLOCK, [true, true]],
  ])('P10: close-on-exec reaches both descriptors (flags %#)', (flags, expected) => {
    const table = new Table(2);
    pipe2(new World().pipes, table, flags, user);
    expect(table.closeOnExec).toEqual(expected);
  });

  test.each([
    [0, -EMFILE],
    [0, -ENFILE],
    [1, -EMFILE],
    [1, -ENFILE],
  ])('P11: with %i free descriptors, error %i leaves nothing behind', (free, error) => {
    const world = new World();
    const table = new Table(free, error);
    expect(pipe2(world.pipes, table, 0, user)).toBe(error);
    expect(table.used.size).toBe(0);
    expect(world.sysctl(KVA)).toBe(0);
  });

  test('P12: numbers that cannot be stored are freed again: EFAULT', () => {
    const world = new World();
    const table = new Table(2, -EMFILE, -EFAULT);
    expect(pipe2(world.pipes, table, 0, user)).toBe(-EFAULT);
    expect(table.used.size).toBe(0);
    expect(world.sysctl(KVA)).toBe(0);
  });
});
