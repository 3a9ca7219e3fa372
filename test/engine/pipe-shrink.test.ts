import { describe, expect, test } from 'vitest';

import { EAGAIN, EINVAL, ENOENT, EPERM } from '../../src/kern/errno.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { File } from '../../src/kern/file.ts';
import { endOf, pattern, user, World } from '../support/engine.ts';

const PAGE_BYTES = 4096;
const DEFAULT_BYTES = 16384;
const MAX_KVA_BYTES = 131072;
/** Memory in use with six named pipes (three quarters of the budget exactly) and with seven. */
const SIX_PIPES_BYTES = 98304;
const SEVEN_PIPES_BYTES = 106496;
const KVA = 'kern.ipc.pipekva';
const MIN_DIRECT = 'kern.ipc.pipe_mindirect';
const RESIZE_ALLOWED = 'kern.ipc.piperesizeallowed';

/** A FIFO, used by `prepare` while memory is plenty, then more FIFOs until there are `count`. */
function crowd(
  count: number,
  prepare?: (world: World, reader: File, writer: File) => void,
  writeMode = 'wn',
) {
  const world = new World({ maxPipeKvaBytes: MAX_KVA_BYTES });
  const { fifo, reader, writer } = world.fifoEnds('rn', writeMode);
  prepare?.(world, reader, writer);
  for (let other = 1; other < count; other++) world.open(world.fifo(), 'rn');
  return { world, fifo, reader, writer, ring: endOf(reader).ring };
}

describe('shrinking', () => {
  test('P23: above three quarters of the budget a write cuts its ring, even below its own length', () => {
    const { world, writer, ring } = crowd(7);
    expect(world.sysctl(KVA)).toBe(SEVEN_PIPES_BYTES);
    expect(world.write(writer, 10_000).result).toBe(PAGE_BYTES);
    expect(ring.size).toBe(PAGE_BYTES);
    expect(world.sysctl(KVA)).toBe(SEVEN_PIPES_BYTES - DEFAULT_BYTES + PAGE_BYTES);
  });

  test('P23: at three quarters exactly nothing shrinks', () => {
    const { world, writer, ring } = crowd(6);
    expect(world.sysctl(KVA)).toBe(SIX_PIPES_BYTES);
    expect(world.write(writer, 10_000).result).toBe(10_000);
    expect(ring.size).toBe(DEFAULT_BYTES);
  });

  test.each([
    [PAGE_BYTES, PAGE_BYTES],
    [PAGE_BYTES + 1, DEFAULT_BYTES],
  ])('P23: a write to a ring holding %i bytes leaves it %i large', (stored, expected) => {
    const { world, writer, ring } = crowd(7, (early, _reader, to) => early.write(to, stored));
    world.write(writer, 10);
    expect(ring.size).toBe(expected);
  });

  test('P24: a read cuts the ring even when it gets EAGAIN', () => {
    const { world, reader } = crowd(7);
    expect(world.read(reader, 10).result).toBe(-EAGAIN);
    expect(world.sysctl(KVA)).toBe(94208);
  });

  test('P24: and when it gets end-of-file', () => {
    const { world, reader, ring } = crowd(7, (early, _reader, writer) => early.close(writer));
    expect(world.read(reader, 10).result).toBe(0);
    expect(ring.size).toBe(PAGE_BYTES);
  });

  test('P24: not at three quarters exactly, and stored bytes survive it', () => {
    const data = pattern(3000);
    const fill = (early: World, _reader: File, writer: File) => early.write(writer, data);
    const exact = crowd(6, fill);
    exact.world.read(exact.reader, 1);
    expect(exact.ring.size).toBe(DEFAULT_BYTES);
    const above = crowd(7, fill);
    expect(above.world.read(above.reader, 4000).bytes).toEqual(data);
    expect(above.ring.size).toBe(PAGE_BYTES);
  });

  test('P24, P26: neither a read nor a write cuts a ring while a direct write is pending on it', () => {
    const { world, fifo, reader, ring } = crowd(
      7,
      (early, _reader, writer) => {
        expect(early.write(writer, 10_000).isBlocked).toBe(true);
      },
      'w',
    );
    expect(world.read(reader, 4000).result).toBe(4000);
    expect(world.write(world.open(fifo, 'wn'), 1).result).toBe(-EAGAIN);
    expect(ring.size).toBe(DEFAULT_BYTES);
    world.read(reader, 6000);
    expect(world.read(reader, 1).result).toBe(-EAGAIN);
    expect(ring.size).toBe(PAGE_BYTES);
  });

  test('P27: a ring with more than 4096 bytes stored when the call starts keeps its size', () => {
    const { world, reader, ring } = crowd(7, (early, _reader, writer) => early.write(writer, PAGE_BYTES + 1));
    expect(world.read(reader, 1).result).toBe(1);
    expect(ring.size).toBe(DEFAULT_BYTES);
    expect(world.read(reader, 1).result).toBe(1);
    expect(ring.size).toBe(PAGE_BYTES);
  });

  test('P27: time alone shrinks nothing, nor does the use of another pipe', () => {
    const { world, ring } = crowd(6);
    const { reader, writer } = world.fifoEnds();
    const hourMs = 3_600_000;
    world.host.clock.advance(hourMs);
    world.kernel.callouts.runExpired();
    world.write(writer, 'x');
    world.read(reader, 1);
    expect(world.sysctl(KVA)).toBe(SEVEN_PIPES_BYTES);
    expect(ring.size).toBe(DEFAULT_BYTES);
  });
});

describe('tunables', () => {
  function set(world: World, name: string, value: number): number {
    return world.kernel.sysctls.write(name, value, rootCredentials);
  }

  test('P28: pipe_mindirect takes what is above PIPE_BUF and nothing else', () => {
    const world = new World();
    expect(world.sysctl(MIN_DIRECT)).toBe(8192);
    for (const refused of [512, 0, -1]) expect(set(world, MIN_DIRECT, refused)).toBe(-EINVAL);
    expect(world.sysctl(MIN_DIRECT)).toBe(8192);
    for (const accepted of [513, 2 ** 40]) {
      expect(set(world, MIN_DIRECT, accepted)).toBe(0);
      expect(world.sysctl(MIN_DIRECT)).toBe(accepted);
    }
  });

  test("P28: the limit follows the host's PIPE_BUF, and PIPE_BUF stays below pipe_mindirect", () => {
    const world = new World({ pipeBufBytes: 4096 });
    expect(set(world, MIN_DIRECT, 4096)).toBe(-EINVAL);
    expect(set(world, MIN_DIRECT, 4097)).toBe(0);
    expect(world.kernel.sysctls.preset('kern.ipc.pipe_buf', 511)).toBe(-EINVAL);
    expect(world.kernel.sysctls.preset('kern.ipc.pipe_buf', 512)).toBe(0);
    expect(set(world, MIN_DIRECT, 1000)).toBe(0);
    expect(world.kernel.sysctls.preset('kern.ipc.pipe_buf', 1000)).toBe(-EINVAL);
    expect(world.kernel.sysctls.preset('kern.ipc.pipe_buf', 999)).toBe(0);
  });

  test.each([
    'kern.ipc.pipekva',
    'kern.ipc.pipefragretry',
    'kern.ipc.pipeallocfail',
    'kern.ipc.piperesizefail',
    'kern.ipc.maxpipekva',
  ])('P29: %s is read-only while the system runs', (name) => {
    const world = new World();
    const before = world.sysctl(name);
    expect(set(world, name, 7)).toBe(-EPERM);
    expect(world.sysctl(name)).toBe(before);
  });

  test('P29: maxpipekva is set before anything runs, the counters never', () => {
    const world = new World();
    expect(world.kernel.sysctls.preset('kern.ipc.maxpipekva', 8192)).toBe(0);
    world.open(world.fifo(), 'rn');
    expect(world.sysctl(KVA)).toBe(8192);
    expect(world.sysctl('kern.ipc.pipefragretry')).toBe(1);
    expect(world.kernel.sysctls.preset(KVA, 0)).toBe(-EPERM);
  });

  test('P29: piperesizeallowed takes any int from root', () => {
    const world = new World();
    expect(world.sysctl(RESIZE_ALLOWED)).toBe(1);
    for (const value of [7, 0, -1]) {
      expect(set(world, RESIZE_ALLOWED, value)).toBe(0);
      expect(world.sysctl(RESIZE_ALLOWED)).toBe(value);
    }
    expect(world.kernel.sysctls.write(RESIZE_ALLOWED, 1, user)).toBe(-EPERM);
    expect(set(world, 'kern.ipc.pipes', 1)).toBe(-ENOENT);
  });
});
