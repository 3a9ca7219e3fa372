import { expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN } from '../../src/kern/errno.ts';
import { EVFILT_WRITE } from '../../src/kern/klist.ts';
import { Poller, POLLOUT } from '../../src/kern/poll.ts';
import { endOf, TestKnote, World } from '../support/engine.ts';
import { setOptions } from '../support/options.ts';

const PIPE_BUF = 4096;

/** A pair with the host's PIPE_BUF; its first file writes into the ring of 4096 bytes. */
function smallRing(options: { maxPipeKvaBytes?: number } = {}) {
  const world = new World({ pipeBufBytes: PIPE_BUF, ...options });
  const [reader, writer] = world.pair(true);
  // The reverse end's ring is the small one.
  const [from, into] = endOf(reader).ring.size === 4096 ? [reader, writer] : [writer, reader];
  return { world, from, into };
}

test('P22, P83: a ring as small as PIPE_BUF is writable while it can grow, and the write that poll promises succeeds', () => {
  const { world, from, into } = smallRing();
  const { ring } = endOf(from);
  expect(ring.size).toBe(4096);
  for (let count = 0; count < 2; count++) {
    expect(world.poll(into, POLLOUT)).toBe(POLLOUT);
    expect(world.write(into, PIPE_BUF).result).toBe(PIPE_BUF);
  }
  // From two such writes on, the ring polls by its own room.
  expect([ring.size, ring.count, world.poll(into, POLLOUT)]).toEqual([8192, 8192, 0]);
});

test('P99: EVFILT_WRITE says the same as poll', () => {
  const { world, into } = smallRing();
  world.write(into, 1);
  const knote = new TestKnote(into, EVFILT_WRITE);
  expect([knote.register(), knote.isActive(), knote.data]).toEqual([0, true, 4095]);
});

test.each([
  ['the budget lets no ring grow', (world: World) => (world.pipes.budget.maximumBytes = 30_000)],
  ['resizing is switched off', (world: World) => (world.pipes.resizeAllowed = 0)],
  [
    'the quota does not hold a larger ring',
    (world: World) => {
      world.kernel.accounts.setLimit(Resource.PipeBytes, () => 21_000);
    },
  ],
])(
  'P83 where %s, a small ring is writable only while it is empty, as the write would not fit',
  (_, forbid) => {
    const { world, from, into } = smallRing();
    forbid(world);
    expect(world.poll(into, POLLOUT)).toBe(POLLOUT);
    world.write(into, 1);
    expect(world.poll(into, POLLOUT)).toBe(0);
    expect(world.write(into, PIPE_BUF).result).toBe(-EAGAIN);
    let told = 0;
    world.poll(into, POLLOUT, new Poller(() => told++));
    world.read(from, 1);
    expect([told, world.poll(into, POLLOUT)]).toEqual([1, POLLOUT]);
  },
);

test('P83: a ring of two such writes or more polls by its own room, as the original does', () => {
  const world = new World({ pipeBufBytes: PIPE_BUF });
  const { reader, writer } = world.fifoEnds('rn', 'wn');
  expect(endOf(reader).ring.size).toBe(16_384);
  world.write(writer, 16_384 - PIPE_BUF + 1);
  expect(world.poll(writer, POLLOUT)).toBe(0);
});

test.each([
  [
    'the budget forbids it',
    'another pipe is closed',
    (world: World) => {
      const [first, second] = world.pair(true);
      world.pipes.budget.maximumBytes = world.pipes.budget.usedBytes + 4096;
      return () => {
        world.close(first);
        world.close(second);
      };
    },
  ],
  [
    'the budget forbids it',
    'a read makes another ring small',
    (world: World) => {
      const { reader, writer } = world.fifoEnds('rn', 'wn');
      world.write(writer, 65_536);
      world.read(reader, 65_535);
      // Old and new ring are booked together for a moment.
      world.pipes.budget.maximumBytes = world.pipes.budget.usedBytes + 4096;
      return () => world.read(reader, 1);
    },
  ],
  [
    'the budget forbids it',
    'a write makes another ring small',
    (world: World) => {
      const { reader, writer } = world.fifoEnds('rn', 'wn');
      world.write(writer, 65_536);
      // While there is room, the read leaves the ring large.
      world.pipes.budget.maximumBytes = 2 * world.pipes.budget.usedBytes;
      world.read(reader, 65_535);
      world.pipes.budget.maximumBytes = world.pipes.budget.usedBytes + 4096;
      return () => world.write(writer, 1);
    },
  ],
  [
    'the budget forbids it',
    'the capacity of another pipe makes its ring small',
    (world: World) => {
      const { fifo } = world.fifoEnds('rn', 'wn');
      setOptions(fifo, 'capacity=65536');
      world.pipes.budget.maximumBytes = world.pipes.budget.usedBytes + 4096;
      return () => {
        expect(setOptions(fifo, 'capacity=4096')).toBe(0);
      };
    },
  ],
  [
    'kern.ipc.piperesizeallowed forbids it',
    'it is set to 1',
    (world: World) => {
      world.tune('kern.ipc.piperesizeallowed', 0);
      return () => {
        world.tune('kern.ipc.piperesizeallowed', 1);
      };
    },
  ],
  [
    'the quota forbids it',
    'the quota is raised',
    (world: World) => {
      world.kernel.accounts.setLimit(Resource.PipeBytes, () => 21_000);
      return () => {
        world.kernel.accounts.setLimit(Resource.PipeBytes, () => 30_000);
      };
    },
  ],
])(
  'P83 P99 who waits for a small ring that may not grow, as %s, is told when %s',
  (_reason, _change, forbid) => {
    const { world, into } = smallRing();
    world.write(into, 1);
    const permit = forbid(world);
    const knote = new TestKnote(into, EVFILT_WRITE);
    knote.register();
    let told = 0;
    expect([world.poll(into, POLLOUT, new Poller(() => told++)), knote.isActive()]).toEqual([0, false]);
    permit();
    world.kernel.scheduler.run();
    expect([told, knote.activations, world.poll(into, POLLOUT)]).toEqual([1, 1, POLLOUT]);
  },
);

test('P83: who waits for a small ring is not told of growth that is not enough', () => {
  const { world, into } = smallRing();
  world.write(into, 1);
  world.kernel.accounts.setLimit(Resource.PipeBytes, () => 21_000);
  let told = 0;
  world.poll(into, POLLOUT, new Poller(() => told++));
  for (const limitBytes of [22_000, 23_000]) {
    world.kernel.accounts.setLimit(Resource.PipeBytes, () => limitBytes);
    world.kernel.scheduler.run();
  }
  expect([told, world.poll(into, POLLOUT)]).toEqual([0, 0]);
});
