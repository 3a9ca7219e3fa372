import { describe, expect, test } from 'vitest';

import { EBADF, EINVAL, ENOENT, ENOTDIR, ENXIO, EOPNOTSUPP, EPIPE, ESRCH } from '../../src/kern/errno.ts';
import { File, knotesOfClosedFile } from '../../src/kern/file.ts';
import {
  EV_ONESHOT,
  EVFILT_AIO,
  EVFILT_EXCEPT,
  EVFILT_PROC,
  EVFILT_READ,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_VNODE,
  EVFILT_WRITE,
} from '../../src/kern/klist.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_DISABLE,
  EV_DISPATCH,
  EV_ENABLE,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import { UNDECIDED } from '../../src/kqueue/resolver.ts';
import { sleep } from '../../src/kern/operation.ts';
import { user } from '../support/engine.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

const triggered = { fflags: NOTE_TRIGGER };
const fileFilters = [EVFILT_READ, EVFILT_WRITE, EVFILT_VNODE, EVFILT_EXCEPT];

/** A kqueue, and a pair whose `near` end has a descriptor. */
function setUp() {
  const world = new KqueueWorld();
  const [near, far] = world.pair();
  return { world, kq: world.kqueue(), near, far, fd: world.descriptor(near) };
}

/** The same with bytes to read in `near`. */
function ready() {
  const setup = setUp();
  setup.world.write(setup.far, 'abc');
  return setup;
}

describe('finding the knote', () => {
  test.each([0, 1, 15, -10, -32768, 32767])('K37: filter %i is EINVAL', (filter) => {
    const { world, kq } = setUp();
    expect(world.apply(kq, change(filter, 1))).toBe(-EINVAL);
    expect(world.apply(kq, change(filter, 1, EV_DELETE))).toBe(-EINVAL);
  });

  test.each(fileFilters)(
    'K38: filter %i of a descriptor that is not open is EBADF, a delete too',
    (filter) => {
      const { world, kq } = setUp();
      expect(world.apply(kq, change(filter, 99))).toBe(-EBADF);
      expect(world.apply(kq, change(filter, 99, EV_DELETE))).toBe(-EBADF);
    },
  );

  test('K39: there is one knote for each filter and ident, and a duplicated descriptor is another ident', () => {
    const { world, kq, near, far, fd } = setUp();
    world.must(kq, change(EVFILT_READ, fd), change(EVFILT_READ, fd), change(EVFILT_WRITE, fd));
    world.must(kq, change(EVFILT_USER, fd), change(EVFILT_TIMER, fd, EV_ADD, { data: 1000 }));
    expect(kqueueOf(kq).knoteCount).toBe(4);
    world.must(kq, change(EVFILT_WRITE, fd, EV_DELETE));
    const duplicate = world.descriptor(near);
    world.must(kq, change(EVFILT_READ, duplicate));
    world.write(far, 'abc');
    expect(world.idents(kq).sort()).toEqual([fd, duplicate]);
    kqueueOf(kq).checkInvariants();
  });

  test.each([0, EV_DELETE, EV_ENABLE, EV_DISABLE, EV_CLEAR])(
    'K40: flags %i of no knote are ENOENT',
    (flags) => {
      const { world, kq, fd } = setUp();
      expect(world.apply(kq, change(EVFILT_USER, 1, flags))).toBe(-ENOENT);
      expect(world.apply(kq, change(EVFILT_READ, fd, flags))).toBe(-ENOENT);
    },
  );

  test('K57: an ident too large for a descriptor is EBADF, and nobody is asked for it', () => {
    const { world, kq, near, fd } = setUp();
    world.resolve = () => near;
    for (const ident of [0x1_0000_0000 + fd, 2 ** 31, 2n ** 63n, 2n ** 64n - 1n]) {
      for (const filter of fileFilters) expect(world.apply(kq, change(filter, ident))).toBe(-EBADF);
    }
    world.must(kq, change(EVFILT_READ, 2 ** 31 - 1));
  });

  test('K58: ten thousand knotes without descriptors are found and fire', () => {
    const { world, kq } = setUp();
    for (let ident = 0; ident < 10_000; ident++) world.must(kq, change(EVFILT_USER, ident));
    for (let ident = 9999; ident >= 0; ident--) world.must(kq, change(EVFILT_USER, ident, 0, triggered));
    expect(world.idents(kq, 20_000)).toEqual(Array.from({ length: 10_000 }, (_, index) => 9999 - index));
  });

  test('K125: a descriptor in a change belongs to the process that makes the change', () => {
    const { world, kq, fd } = ready();
    const other = { ...user, pid: 501 };
    const [otherEnd, otherFar] = world.pair();
    const add = (credentials: typeof user) =>
      world.startKevent(kq, { changes: [change(EVFILT_READ, fd)], eventCount: 0, credentials }).result;
    expect(add(other)).toBe(-EBADF);
    world.resolve = (_kqueue, _ident, _filter, { pid }) => (pid === 501 ? otherEnd : -EBADF);
    expect(add(user)).toBe(-EBADF);
    expect(add(other)).toBe(0);
    expect(world.collect(kq)).toEqual([]);
    world.write(otherFar, 'x');
    expect(world.collect(kq)).toMatchObject([{ ident: fd, data: 1 }]);
  });

  test('K125: one descriptor number of two processes is two knotes, each deleted by its own process', () => {
    const { world, kq, near } = ready();
    const [otherEnd, otherFar] = world.pair();
    world.write(otherFar, 'x');
    world.resolve = (_kqueue, _ident, _filter, { pid }) => (pid === 501 ? otherEnd : near);
    const other = { ...user, pid: 501 };
    world.must(kq, change(EVFILT_READ, 5));
    world.startKevent(kq, { changes: [change(EVFILT_READ, 5)], eventCount: 0, credentials: other });
    expect(world.collect(kq)).toMatchObject([{ data: 3 }, { data: 1 }]);
    world.must(kq, change(EVFILT_READ, 5, EV_DELETE));
    expect(world.collect(kq)).toMatchObject([{ data: 1 }]);
    kqueueOf(kq).checkInvariants();
    expect(world.apply(kq, change(EVFILT_READ, 5, EV_DELETE))).toBe(-ENOENT);
    world.startKevent(kq, {
      changes: [change(EVFILT_READ, 5, EV_DELETE)],
      eventCount: 0,
      credentials: other,
    });
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });
});

describe('paths', () => {
  function withPath() {
    const setup = ready();
    setup.world.paths.set('pipes/a', setup.near);
    return setup;
  }

  test('K39: a path is an ident of its own, and one knote however often it is added', () => {
    const { world, kq, fd } = withPath();
    world.must(kq, change(EVFILT_READ, 'pipes/a'), change(EVFILT_READ, 'pipes/a'), change(EVFILT_READ, fd));
    expect(world.idents(kq)).toEqual(['pipes/a', fd]);
    expect(world.apply(kq, change(EVFILT_READ, 'pipes/none'))).toBe(-ENOENT);
    expect(world.apply(kq, change(EVFILT_USER, 'pipes/a'))).toBe(-EINVAL);
  });

  test('K44: a knote whose path is gone is still changed and deleted by it', () => {
    const { world, kq } = withPath();
    world.must(kq, change(EVFILT_READ, 'pipes/a'));
    world.paths.delete('pipes/a');
    world.must(kq, change(EVFILT_READ, 'pipes/a', EV_DISABLE));
    expect(world.apply(kq, change(EVFILT_READ, 'pipes/a'))).toBe(-ENOENT);
    expect(world.apply(kq, change(EVFILT_WRITE, 'pipes/a', EV_DELETE))).toBe(-ENOENT);
    world.resolve = () => -ENOTDIR;
    expect(world.apply(kq, change(EVFILT_READ, 'pipes/a'))).toBe(-ENOTDIR);
    world.must(kq, change(EVFILT_READ, 'pipes/a', EV_DELETE));
    expect(kqueueOf(kq).knoteCount).toBe(0);
    expect(world.apply(kq, change(EVFILT_READ, 'pipes/a', EV_DELETE))).toBe(-ENOTDIR);
  });

  test('K39: adding a path that names another object by now replaces the knote', () => {
    const { world, kq } = withPath();
    world.must(kq, change(EVFILT_READ, 'pipes/a', EV_ADD | EV_CLEAR));
    const [other, otherFar] = world.pair();
    world.paths.set('pipes/a', other);
    world.must(kq, change(EVFILT_READ, 'pipes/a', EV_DISABLE), change(EVFILT_READ, 'pipes/a', EV_ENABLE));
    expect(world.collect(kq)).toMatchObject([{ data: 3 }]);
    world.must(kq, change(EVFILT_READ, 'pipes/a'));
    expect([world.collect(kq), kqueueOf(kq).knoteCount]).toEqual([[], 1]);
    world.write(otherFar, 'x');
    expect(world.collect(kq)).toMatchObject([{ ident: 'pipes/a', data: 1, flags: EV_ADD }]);
  });
});

describe('adding', () => {
  test('K41: a new knote keeps fflags and data as parameters, and what events show starts at 0', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 50, fflags: 3, udata: 8 }));
    world.advance(50);
    expect(world.collect(kq)).toMatchObject([{ data: 1, fflags: 0, udata: 8 }]);
  });

  test('K42: a knote whose filter refuses it is gone', () => {
    const { world, kq } = setUp();
    expect(world.apply(kq, change(EVFILT_PROC, 999))).toBe(-ESRCH);
    expect(world.apply(kq, change(EVFILT_PROC, 999, EV_DELETE))).toBe(-ENOENT);
    expect(kqueueOf(kq).knoteCount).toBe(0);
    kqueueOf(kq).checkInvariants();
  });

  test('K43: an object that is ready is reported in the call that adds it', () => {
    const { world, kq, fd } = ready();
    const call = world.startKevent(kq, { changes: [change(EVFILT_READ, fd)], timeout: null });
    expect(call.events).toMatchObject([{ ident: fd, data: 3 }]);
  });

  test('K47: EV_ADD together with EV_DELETE adds', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DELETE));
    expect(world.idents(kq)).toEqual([fd]);
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DELETE));
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K112: AIO is always ENXIO', () => {
    const { world, kq } = setUp();
    for (const ident of [0, 1, 2n ** 60n]) {
      expect(world.apply(kq, change(EVFILT_AIO, ident))).toBe(-ENXIO);
    }
    expect(world.apply(kq, change(EVFILT_AIO, 0, EV_DELETE))).toBe(-ENOENT);
  });

  test('K118, K119: errors of the watched object are those of the registration', () => {
    const { world, kq, far, fd } = setUp();
    expect(world.apply(kq, change(EVFILT_EXCEPT, fd))).toBe(-EINVAL);
    const { reader } = world.fifoEnds();
    expect(world.apply(kq, change(EVFILT_EXCEPT, world.descriptor(reader)))).toBe(-EOPNOTSUPP);
    world.closeFile(far);
    expect(world.apply(kq, change(EVFILT_WRITE, fd))).toBe(-EPIPE);
  });

  test('K120: a kqueue that would watch itself, directly or through others, is EINVAL', () => {
    const world = new KqueueWorld();
    const queues = Array.from({ length: 4 }, () => world.kqueue());
    const numbers = queues.map((queue) => world.descriptor(queue));
    expect(world.apply(queues[0]!, change(EVFILT_READ, numbers[0]!))).toBe(-EINVAL);
    for (let index = 0; index < 3; index++) {
      world.must(queues[index + 1]!, change(EVFILT_READ, numbers[index]!));
      expect(world.apply(queues[0]!, change(EVFILT_READ, numbers[index + 1]!))).toBe(-EINVAL);
    }
    world.must(queues[3]!, change(EVFILT_READ, numbers[1]!));
    world.must(queues[2]!, change(EVFILT_READ, numbers[1]!, EV_DELETE));
    world.must(queues[3]!, change(EVFILT_READ, numbers[1]!, EV_DELETE));
    world.must(queues[0]!, change(EVFILT_READ, numbers[2]!));
  });

  test('K123: a ready object added disabled passes through the queue, and a waiter waits on', () => {
    const { world, kq, fd } = ready();
    const call = world.startKevent(kq, { timeout: 500 });
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DISABLE));
    world.advance(499);
    expect(call.isBlocked).toBe(true);
    world.advance(1);
    expect(call.result).toBe(0);
  });

  test('K126: several changes of one knote are applied in turn', () => {
    const { world, kq, fd } = ready();
    world.must(
      kq,
      change(EVFILT_READ, fd),
      change(EVFILT_READ, fd, EV_DELETE),
      change(EVFILT_READ, fd, EV_ADD | EV_CLEAR),
    );
    expect(world.collect(kq)).toMatchObject([{ ident: fd, flags: EV_ADD | EV_CLEAR }]);
    expect(world.collect(kq)).toEqual([]);
  });
});

describe('modifying', () => {
  test('K44: a modification replaces udata, a mere enable too', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD, { udata: 7 }));
    world.must(kq, change(EVFILT_READ, fd, EV_DISABLE), change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.collect(kq)).toMatchObject([{ udata: 0 }]);
    world.must(kq, change(EVFILT_READ, fd, 0, { udata: 2n ** 63n }));
    expect(world.collect(kq)).toMatchObject([{ udata: 2n ** 63n }]);
  });

  test('K44: TIMER keeps its values without EV_ADD, and takes them with it', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 10, udata: 7 }));
    world.must(kq, change(EVFILT_TIMER, 1, 0, { data: 1, udata: 8 }));
    world.advance(30);
    expect(world.collect(kq)).toMatchObject([{ data: 3, udata: 7 }]);
    world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 1, udata: 8 }));
    world.advance(30);
    expect(world.collect(kq)).toMatchObject([{ data: 21, udata: 8 }]);
  });

  test('K45: adding again leaves the flags as they were', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd));
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_ONESHOT | EV_CLEAR | EV_DISPATCH));
    for (let round = 0; round < 3; round++) {
      expect(world.collect(kq)).toMatchObject([{ ident: fd, flags: EV_ADD }]);
    }
  });

  test('K46: binary events carry the creation flags, action bits and all', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_CLEAR));
    expect(world.collect(kq)).toMatchObject([{ flags: 0x21 }]);
    world.must(kq, change(EVFILT_WRITE, fd, EV_ADD | EV_DISABLE), change(EVFILT_WRITE, fd, EV_ENABLE));
    expect(world.collect(kq)).toMatchObject([{ flags: 0x09 }]);
  });

  test('K48: EV_DELETE removes the knote and its pending event at once, whatever other bits say', () => {
    const { world, kq, fd, far, near } = ready();
    world.must(kq, change(EVFILT_READ, fd));
    expect(kqueueOf(kq).count).toBe(1);
    world.must(kq, change(EVFILT_READ, fd, EV_DELETE | EV_ENABLE | EV_DISABLE | EV_ONESHOT));
    expect([kqueueOf(kq).count, kqueueOf(kq).knoteCount]).toEqual([0, 0]);
    world.read(near, 3);
    world.write(far, 'x');
    expect(world.collect(kq)).toEqual([]);
  });

  test('K49, K59: a disabled knote counts as pending until a scan meets it, and stays active', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DISABLE));
    expect(kqueueOf(kq).stat.sizeBytes).toBe(1);
    expect(world.collect(kq)).toEqual([]);
    expect(kqueueOf(kq).stat.sizeBytes).toBe(0);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K50: EV_ENABLE queues a knote that became active while it was disabled', () => {
    const { world, kq, fd, far } = setUp();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DISABLE));
    world.write(far, 'abc');
    expect(kqueueOf(kq).count).toBe(0);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(kqueueOf(kq).count).toBe(1);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K51: EV_DISABLE and EV_ENABLE in one change leave the knote enabled', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_DISABLE | EV_ENABLE));
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K52: EV_ADD of a disabled knote leaves it disabled', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd), change(EVFILT_READ, fd, EV_DISABLE), change(EVFILT_READ, fd));
    expect(world.collect(kq)).toEqual([]);
    world.must(kq, change(EVFILT_READ, fd, EV_ENABLE));
    expect(world.idents(kq)).toEqual([fd]);
  });

  test('K53: activity of a disabled knote is remembered', () => {
    const { world, kq } = setUp();
    world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_CLEAR), change(EVFILT_USER, 1, EV_DISABLE));
    world.must(kq, change(EVFILT_USER, 1, 0, triggered));
    expect(world.collect(kq)).toEqual([]);
    world.must(kq, change(EVFILT_USER, 1, EV_ENABLE));
    expect([world.idents(kq), world.idents(kq)]).toEqual([[1], []]);
  });
});

describe('closing', () => {
  test('K54: an event of a descriptor that is closed before it is taken comes at most once', () => {
    const { world, kq, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd, EV_ADD | EV_ONESHOT));
    const call = world.keventCall(kq, { timeout: 50 });
    world.closeDescriptor(fd);
    world.startCall(call);
    world.advance(50);
    expect(call.result).toBeLessThanOrEqual(1);
    expect(world.collect(kq)).toEqual([]);
    expect(world.apply(kq, change(EVFILT_READ, fd, EV_DELETE))).toBe(-EBADF);
  });

  test('K55: closing a descriptor removes its knotes of every kqueue, pending ones too', () => {
    const { world, kq, fd, far } = ready();
    const other = world.kqueue();
    world.must(
      kq,
      change(EVFILT_READ, fd),
      change(EVFILT_WRITE, fd),
      change(EVFILT_USER, 1, EV_ADD, triggered),
    );
    world.must(other, change(EVFILT_READ, fd));
    expect([kqueueOf(kq).count, kqueueOf(other).count]).toEqual([3, 1]);
    world.closeDescriptor(fd);
    expect(world.idents(kq)).toEqual([1]);
    expect([kqueueOf(kq).stat.sizeBytes, kqueueOf(kq).knoteCount]).toEqual([1, 1]);
    expect([kqueueOf(other).count, kqueueOf(other).knoteCount]).toEqual([0, 0]);
    expect(world.write(far, 'x').result).toBeLessThan(0);
    kqueueOf(kq).checkInvariants();
  });

  test('K56: closing a duplicate leaves the knote of the descriptor alone', () => {
    const { world, kq, near, fd } = ready();
    const duplicate = world.descriptor(near);
    world.must(kq, change(EVFILT_READ, fd));
    world.closeDescriptor(duplicate);
    expect(world.idents(kq)).toEqual([fd]);
    world.closeDescriptor(fd);
    expect(world.idents(kq)).toEqual([]);
  });

  test('K55: closing the descriptor ends its knotes although a duplicate keeps the file open', () => {
    const { world, kq, near, far, fd } = ready();
    const duplicate = world.descriptor(near);
    world.must(kq, change(EVFILT_READ, fd), change(EVFILT_WRITE, fd), change(EVFILT_READ, duplicate));
    world.closeDescriptor(fd);
    kqueueOf(kq).dropPendingOrphans();
    expect(kqueueOf(kq).stat.sizeBytes).toBe(1);
    expect(world.collect(kq)).toMatchObject([{ ident: duplicate, data: 3 }]);
    expect(kqueueOf(kq).knoteCount).toBe(1);
    expect(near.newestKnote).toMatchObject({ ident: duplicate });
    world.write(far, 'x');
    expect(world.idents(kq)).toEqual([duplicate]);
    kqueueOf(kq).checkInvariants();
  });

  test('K55: a look at what is pending does not take long, however much is', () => {
    const { world, kq } = setUp();
    let looks = 0;
    world.must(
      kq,
      ...Array.from({ length: 1000 }, (_, ident) => change(EVFILT_USER, ident, EV_ADD, triggered)),
    );
    for (const knote of kqueueOf(kq).knotes()) {
      Object.defineProperty(knote, 'isOrphan', { get: () => looks++ < 100 });
    }
    kqueueOf(kq).dropPendingOrphans();
    expect([looks, kqueueOf(kq).count]).toEqual([256, 900]);
  });

  test('[SEC-17] K39 any number of files under one ident are found and closed in constant time each', () => {
    const { world, kq, near } = setUp();
    const count = 30_000;
    const files = Array.from({ length: count }, () =>
      Object.assign(new File(near.flags, near.ops, user), { data: near.data }),
    );
    let at = 0;
    world.resolve = () => files[at]!;
    const beganMs = performance.now();
    for (at = 0; at < count; at++) world.must(kq, change(EVFILT_READ, 7));
    const registeredMs = performance.now();
    expect(kqueueOf(kq).knoteCount).toBe(count);
    at = count / 2;
    world.must(kq, change(EVFILT_READ, 7));
    expect([...kqueueOf(kq).knotes()].map(({ file }) => file)).toEqual(files);
    const closingMs = performance.now();
    // The oldest first, as a process that ends closes them.
    for (const file of files) knotesOfClosedFile(file);
    expect(kqueueOf(kq).knoteCount).toBe(0);
    // A search along all of them, for each, takes a hundred times as long as the registrations.
    expect(performance.now() - closingMs).toBeLessThan(5 * (registeredMs - beganMs));
  });

  test('K55: of knotes that nothing has happened to, a list of them shows those of open descriptors', () => {
    const { world, kq, near, fd } = setUp();
    const duplicate = world.descriptor(near);
    world.must(kq, change(EVFILT_READ, fd), change(EVFILT_READ, duplicate), change(EVFILT_USER, 1));
    world.closeDescriptor(fd);
    expect([...kqueueOf(kq).droppingOrphans()]).toEqual([]);
    expect([...kqueueOf(kq).knotes()].map(({ ident }) => ident)).toEqual([duplicate, 1]);
  });

  test('K55, K125: a descriptor is that of the process that opened the queue, if both have the same file there', () => {
    const { world, kq, near, fd } = ready();
    const child = { ...user, pid: 501 };
    let isChildOpen = true;
    world.resolve = () => near;
    world.isOpen = (pid) => pid === user.pid || isChildOpen;
    const add = () =>
      world.startKevent(kq, { changes: [change(EVFILT_READ, fd)], eventCount: 0, credentials: child });
    expect(add().result).toBe(0);
    isChildOpen = false;
    expect(world.idents(kq)).toEqual([fd]);
    world.must(kq, change(EVFILT_READ, fd, EV_DELETE));
    isChildOpen = true;
    world.isOpen = (pid) => pid !== user.pid && isChildOpen;
    expect(add().result).toBe(0);
    expect(world.idents(kq)).toEqual([fd]);
    isChildOpen = false;
    expect(world.idents(kq)).toEqual([]);
  });

  test('K125, K126: a change waits until its descriptor has been found out, and those after it wait with it', () => {
    const { world, kq, near } = ready();
    const found = world.kernel.channel(null);
    let isDecided = false;
    world.resolve = () => (isDecided ? near : UNDECIDED);
    world.isOpen = () => true;
    world.decide = function* () {
      yield* sleep(found, { message: 'handle', interruptible: false });
      isDecided = true;
    };
    const changes = [
      change(EVFILT_USER, 1, EV_ADD, triggered),
      change(EVFILT_READ, 5),
      change(EVFILT_USER, 2),
    ];
    const call = world.startKevent(kq, { changes, eventCount: 0 });
    expect([call.waitMessage, kqueueOf(kq).knoteCount]).toEqual(['handle', 1]);
    call.signal();
    expect(call.result).toBeNull();
    found.wakeup();
    world.kernel.scheduler.run();
    expect([call.result, kqueueOf(kq).knoteCount]).toEqual([0, 3]);
    expect(world.idents(kq)).toEqual([1, 5]);
  });

  test('K55: a file without knotes closes like any other, and a deleted knote is off its file', () => {
    const { world, kq, near, fd } = ready();
    world.must(kq, change(EVFILT_READ, fd), change(EVFILT_WRITE, fd));
    world.must(kq, change(EVFILT_READ, fd, EV_DELETE), change(EVFILT_WRITE, fd, EV_DELETE));
    expect(near.newestKnote).toBeNull();
    world.closeDescriptor(fd);
    const file = new File(0, near.ops, user);
    expect(file.newestKnote).toBeNull();
  });
});
