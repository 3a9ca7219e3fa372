import { expect, test } from 'vitest';

import { EBADF, EMFILE, ENFILE, ENOTTY, EOPNOTSUPP, EPERM } from '../../src/kern/errno.ts';
import { File, Ioctl } from '../../src/kern/file.ts';
import {
  EV_EOF,
  EV_ONESHOT,
  EVFILT_READ,
  EVFILT_TIMER,
  EVFILT_USER,
  EVFILT_WRITE,
} from '../../src/kern/klist.ts';
import { POLLIN, POLLOUT, Poller, POLLRDNORM } from '../../src/kern/poll.ts';
import { createKqueue } from '../../src/kqueue/file.ts';
import { handleOf } from '../../src/kqueue/handle.ts';
import { EV_ADD, EV_CLEAR, EV_DELETE, EV_DISABLE, NOTE_TRIGGER } from '../../src/kqueue/kevent.ts';
import { user } from '../support/engine.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

const triggered = { fflags: NOTE_TRIGGER };

test('K1: a new kqueue is open for reading and writing with nothing pending', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  expect([kq.readable, kq.writable]).toEqual([true, true]);
  expect(kqueueOf(kq).count).toBe(0);
  expect(world.kqueues.kqueues.size).toBe(1);
});

test.each([-EMFILE, -ENFILE])('K1: a kqueue that gets no descriptor is not made (%i)', (errno) => {
  const world = new KqueueWorld();
  expect(createKqueue(world.kqueues, { allocate: () => errno }, user)).toBe(errno);
  expect(world.kqueues.kqueues.size).toBe(0);
});

test('K2: a kqueue file is written to make changes and read to take events', () => {
  const world = new KqueueWorld();
  const kq = world.textFile();
  expect(world.write(kq, 'add user 1 trigger\n').result).toBe(19);
  expect(world.read(kq, 100).text).toBe('user 1 data=0 flags=- fflags=0 udata=-\n');
});

test('K3: stat shows the pending count, the record size and a FIFO without mode bits', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  expect(kqueueOf(kq).stat).toEqual({ mode: 0o010000, sizeBytes: 0, blockSizeBytes: 32 });
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered), change(EVFILT_USER, 2, EV_ADD, triggered));
  expect(kqueueOf(kq).stat).toEqual({ mode: 0o010000, sizeBytes: 2, blockSizeBytes: 32 });
});

test('K4: ioctls are FIOASYNC and FIOSETOWN, and nothing else', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  expect(world.ioctl(kq, Ioctl.FIOASYNC, 1).result).toBe(0);
  expect(kqueueOf(kq).isAsync).toBe(true);
  expect(world.ioctl(kq, Ioctl.FIOASYNC, 0).result).toBe(0);
  expect(kqueueOf(kq).isAsync).toBe(false);
  expect(world.ioctl(kq, Ioctl.FIOSETOWN, 500).result).toBe(0);
  expect(kqueueOf(kq).owner?.id).toBe(500);
  expect(world.ioctl(kq, Ioctl.FIOSETOWN, 50).result).toBe(-EPERM);
  expect(kqueueOf(kq).owner?.id).toBe(500);
  expect(world.ioctl(kq, Ioctl.FIOSETOWN, 0).result).toBe(0);
  expect(kqueueOf(kq).owner).toBeNull();
  const { FIONREAD, FIOGETOWN, FIONBIO, TIOCSPGRP, TIOCGPGRP } = Ioctl;
  for (const command of [FIONREAD, FIOGETOWN, FIONBIO, TIOCSPGRP, TIOCGPGRP, 0]) {
    expect(world.ioctl(kq, command, 1).result).toBe(-ENOTTY);
  }
});

test('K5: the owner gets one SIGIO when the queue stops being empty, and only in async mode', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  world.ioctl(kq, Ioctl.FIOSETOWN, 500);
  world.must(kq, change(EVFILT_USER, 9, EV_ADD | EV_CLEAR, triggered));
  world.collect(kq);
  expect(world.host.sigio).toEqual([]);
  world.ioctl(kq, Ioctl.FIOASYNC, 1);
  for (const ident of [1, 2]) world.must(kq, change(EVFILT_USER, ident, EV_ADD | EV_ONESHOT, triggered));
  expect(world.host.sigio).toEqual([500]);
  expect(world.idents(kq)).toEqual([1, 2]);
  world.must(kq, change(EVFILT_USER, 3, EV_ADD, triggered));
  expect(world.host.sigio).toEqual([500, 500]);
});

test('K6: a kqueue watched from another shows its pending count, never EV_EOF', () => {
  const world = new KqueueWorld();
  const a = world.kqueue();
  const b = world.kqueue();
  const fd = world.descriptor(a);
  world.must(b, change(EVFILT_READ, fd));
  expect(world.collect(b)).toEqual([]);
  world.must(a, change(EVFILT_USER, 1, EV_ADD, triggered));
  expect(world.collect(b)).toMatchObject([{ ident: fd, filter: EVFILT_READ, data: 1 }]);
  world.must(a, change(EVFILT_USER, 2, EV_ADD, triggered));
  const [event] = world.collect(b);
  expect(event).toMatchObject({ data: 2 });
  expect(event!.flags & EV_EOF).toBe(0);
  world.must(a, change(EVFILT_USER, 1, EV_DELETE), change(EVFILT_USER, 2, EV_DELETE));
  expect(world.collect(b)).toEqual([]);
});

test('K6: other filters of a kqueue are EOPNOTSUPP', () => {
  const world = new KqueueWorld();
  const fd = world.descriptor(world.kqueue());
  const b = world.kqueue();
  for (const filter of [EVFILT_WRITE, -4, -8]) {
    expect(world.apply(b, change(filter, fd))).toBe(-EOPNOTSUPP);
  }
  expect(kqueueOf(b).knoteCount).toBe(0);
});

test('K7: what a kqueue queues wakes those who wait for a kqueue that watches it, through any number of them', () => {
  const world = new KqueueWorld();
  const queues = Array.from({ length: 20_000 }, () => world.kqueue());
  queues.slice(1).forEach((outer, index) => {
    world.must(outer, change(EVFILT_READ, world.descriptor(queues[index]!)));
  });
  const call = world.startKevent(queues.at(-1)!, { timeout: null });
  expect(call.isBlocked).toBe(true);
  world.must(queues[0]!, change(EVFILT_USER, 1, EV_ADD, triggered));
  expect(call.events).toMatchObject([{ filter: EVFILT_READ, data: 1 }]);
});

test('K7: an edge-triggered watcher fires for each event that the watched kqueue queues', () => {
  const world = new KqueueWorld();
  const inner = world.kqueue();
  const outer = world.kqueue();
  world.must(outer, change(EVFILT_READ, world.descriptor(inner), EV_ADD | EV_CLEAR));
  for (const ident of [1, 2, 3]) {
    world.must(inner, change(EVFILT_USER, ident, EV_ADD, triggered));
    expect(world.collect(outer)).toMatchObject([{ data: ident }]);
    expect(world.collect(outer)).toEqual([]);
  }
});

test('K7: a poller of a kqueue hears of each event, and sees what a read would get', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  let heard = 0;
  const poller = new Poller(() => heard++);
  expect(world.poll(kq, POLLIN | POLLOUT, poller)).toBe(POLLOUT);
  world.must(kq, change(EVFILT_USER, 1, EV_ADD | EV_CLEAR, triggered));
  expect(heard).toBe(1);
  expect(world.poll(kq, POLLIN | POLLRDNORM)).toBe(POLLIN | POLLRDNORM);
  world.collect(kq);
  expect(world.poll(kq, POLLIN)).toBe(0);
  world.must(kq, change(EVFILT_USER, 2, EV_ADD | EV_DISABLE, triggered));
  expect(world.poll(kq, POLLIN)).toBe(0);
});

test('K8: a kqueue that ends takes its knotes along without an event, timers and owner too', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  const outer = world.kqueue();
  const [near, far] = world.pair();
  const fd = world.descriptor(near);
  const queue = kqueueOf(kq);
  world.ioctl(kq, Ioctl.FIOSETOWN, 500);
  world.must(outer, change(EVFILT_READ, world.descriptor(kq)));
  world.must(kq, change(EVFILT_READ, fd), change(EVFILT_TIMER, 1, EV_ADD, { data: 100 }));
  world.must(kq, change(EVFILT_USER, 1, EV_ADD, triggered));
  world.write(far, 'abc');
  expect([queue.count, world.kqueues.calloutCount]).toEqual([2, 1]);
  world.closeFile(kq);
  expect([queue.count, queue.knoteCount, queue.owner, queue.isTerminated]).toEqual([0, 0, null, true]);
  expect([world.kqueues.calloutCount, world.kernel.callouts.size]).toEqual([0, 0]);
  expect(world.read(near, 10).text).toBe('abc');
  expect(world.collect(outer)).toEqual([]);
  expect([kqueueOf(outer).knoteCount, world.kqueues.kqueues.size]).toEqual([0, 1]);
});

test('K8: knotes that watch a kqueue by name go with it', () => {
  const world = new KqueueWorld();
  const inner = world.kqueue();
  const outer = world.kqueue();
  const stand = new File(0, inner.ops, user);
  stand.data = inner.data;
  world.paths.set('kqueues/q', stand);
  world.must(outer, change(EVFILT_READ, 'kqueues/q'));
  world.must(inner, change(EVFILT_USER, 1, EV_ADD, triggered));
  world.closeFile(inner);
  expect([kqueueOf(outer).knoteCount, kqueueOf(outer).count]).toEqual([0, 0]);
});

test('K8: knotes of one ident in several processes all go with their kqueue', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  const files = [1, 2, 3].map((pid) => {
    const [near] = world.pair();
    return { pid, near, credentials: { ...user, pid } };
  });
  world.resolve = (_kqueue, _ident, _filter, { pid }) =>
    files.find((file) => file.pid === pid)?.near ?? -EBADF;
  for (const { credentials, pid } of files) {
    world.startKevent(kq, { changes: [change(EVFILT_WRITE, 7, EV_ADD, { udata: pid })], credentials });
  }
  const queue = kqueueOf(kq);
  expect(queue.knoteCount).toBe(3);
  queue.checkInvariants();
  world.closeFile(kq);
  expect([queue.knoteCount, queue.count]).toEqual([0, 0]);
});

test('K9: a kqueue that is closed while a call waits in it lives on until the call is done', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  const queue = kqueueOf(kq);
  world.must(kq, change(EVFILT_TIMER, 1, EV_ADD, { data: 50 }));
  const call = world.startKevent(kq, { timeout: null });
  world.closeFile(kq);
  expect([call.isBlocked, queue.knoteCount, queue.isTerminated]).toEqual([true, 1, false]);
  world.advance(50);
  expect(call.events).toMatchObject([{ filter: EVFILT_TIMER, ident: 1, data: 1 }]);
  expect([queue.knoteCount, queue.isTerminated]).toEqual([0, true]);
});

test('K10: fork leaves out what kqueue(2) made, and shares an open control file', () => {
  const world = new KqueueWorld();
  const control = world.textFile();
  const isInheritedByFork = (file: File): boolean => handleOf(file)?.isDescriptor !== true;
  expect(isInheritedByFork(world.kqueue())).toBe(false);
  expect(isInheritedByFork(control)).toBe(true);
  expect(isInheritedByFork(world.pair()[0])).toBe(true);
  const child = { ...user, pid: 501 };
  const change1 = change(EVFILT_USER, 1, EV_ADD, triggered);
  expect(world.startKevent(control, { changes: [change1], eventCount: 0, credentials: child }).result).toBe(
    0,
  );
  expect(world.idents(control)).toEqual([1]);
});

test('K11: the tunables have their defaults and take any int', () => {
  const world = new KqueueWorld();
  const defaults = { 'kern.kq_calloutmax': 4096, 'kern.kq_checkloop': 1_000_000, 'kern.kq_wakeup_one': 1 };
  for (const [name, value] of Object.entries(defaults)) {
    expect(world.sysctl(name)).toBe(value);
    for (const other of [-(2 ** 31), -1, 0, 7, 2 ** 31 - 1]) {
      world.tune(name, other);
      expect(world.sysctl(name)).toBe(other);
    }
  }
});
