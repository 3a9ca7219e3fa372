import { expect, test } from 'vitest';

import { Resource } from '../../src/kern/accounting.ts';
import { EINVAL, ENOENT, ENOMEM, EOPNOTSUPP, ESRCH } from '../../src/kern/errno.ts';
import { EVFILT_PROC, EVFILT_READ, EVFILT_TIMER, EVFILT_USER } from '../../src/kern/klist.ts';
import { ProcessEventKind } from '../../src/kern/process-events.ts';
import { EV_ADD, EV_DELETE, NOTE_EXEC, NOTE_EXIT, NOTE_TRIGGER } from '../../src/kqueue/kevent.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';
import { user } from '../support/engine.ts';

function usageOf(world: KqueueWorld): number[] {
  return [Resource.Kqueues, Resource.Knotes, Resource.Timers, Resource.HeldBytes].map((resource) =>
    world.charged(resource),
  );
}

test('K42, K87: a registration that its filter, a quota or the limit of timers refuses is charged to nobody', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  const before = usageOf(world);
  expect(world.apply(kq, change(EVFILT_PROC, 999, EV_ADD, { udata: 'token' }))).toBe(-ESRCH);
  expect(usageOf(world)).toEqual(before);
  world.tune('kern.kq_calloutmax', 0);
  expect(world.apply(kq, change(EVFILT_TIMER, 1, EV_ADD, { udata: 'token' }))).toBe(-ENOMEM);
  expect(usageOf(world)).toEqual(before);
  world.tune('kern.kq_calloutmax', 1);
  world.kernel.accounts.setLimit(Resource.Timers, () => 0);
  expect(world.apply(kq, change(EVFILT_TIMER, 1))).toBe(-ENOMEM);
  expect([...usageOf(world), world.kqueues.calloutCount]).toEqual([...before, 0]);
  world.kernel.accounts.setLimit(Resource.HeldBytes, () => 4);
  expect(world.apply(kq, change(EVFILT_USER, 1, EV_ADD, { udata: 'token' }))).toBe(-ENOMEM);
  expect(usageOf(world)).toEqual(before);
  world.kernel.accounts.setLimit(Resource.Knotes, () => 0);
  expect(world.apply(kq, change(EVFILT_USER, 1))).toBe(-ENOMEM);
  expect(usageOf(world)).toEqual(before);
});

test('K44: a modification that is refused leaves token, notes and charges as they were', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  world.must(kq, change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXIT, udata: 'short' }));
  const before = usageOf(world);
  world.processes.refused.set(500, -EOPNOTSUPP);
  const wider = change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXIT | NOTE_EXEC, udata: 'a longer token' });
  expect(world.apply(kq, wider)).toBe(-EOPNOTSUPP);
  expect(usageOf(world)).toEqual(before);
  const [knote] = [...kqueueOf(kq).knotes()];
  expect([knote!.savedFflags, knote!.udata, knote!.textBytes]).toEqual([NOTE_EXIT, 'short', 5]);
  world.processes.refused.delete(500);
  world.must(kq, { ...wider });
  expect([knote!.udata, world.charged(Resource.HeldBytes)]).toEqual(['a longer token', 14]);
  world.must(kq, change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXIT, udata: 'x' }));
  expect(world.charged(Resource.HeldBytes)).toBe(1);
});

test('K55: a knote that another process adds again is its own: it ends with that descriptor, and not with the first', () => {
  const world = new KqueueWorld();
  // Opened by somebody who has neither descriptor.
  const kq = world.textFile('rwn', null, { ...user, pid: 700 });
  const other = { ...user, pid: 600 };
  const [near, far] = world.pair(true);
  const first = world.descriptor(near);
  world.descriptor(near, other.pid, first);
  world.must(kq, change(EVFILT_READ, first));
  const [knote] = [...kqueueOf(kq).knotes()];
  expect(knote!.holderPid).toBe(user.pid);
  expect(
    world.startKevent(kq, { changes: [change(EVFILT_READ, first)], eventCount: 0, credentials: other })
      .result,
  ).toBe(0);
  expect(knote!.holderPid).toBe(other.pid);
  world.closeDescriptor(first);
  world.write(far, 1);
  expect(world.idents(kq)).toEqual([first]);
  world.closeDescriptor(first, other.pid);
  expect(kqueueOf(kq).knoteCount).toBe(0);
});

test('K13, K19: the beginning of a line is forgotten with a write that fails, and is not charged for', () => {
  const world = new KqueueWorld();
  const kq = world.textFile('rwn');
  const writer = world.textFile('w', kqueueOf(kq));
  writer.account = world.kernel.accounts.of(user.uid);
  expect(world.write(writer, 'delete user 5\nadd us').result).toBe(-ENOENT);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
  expect(world.write(writer, 'er 6\n').result).toBe(-EINVAL);
  expect(world.write(writer, 'nonsense\nadd us').result).toBe(-EINVAL);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
  expect(world.write(writer, 'add us').result).toBe(6);
  expect(world.charged(Resource.HeldBytes)).toBe(6);
  expect(world.write(writer, 'er 6\n').result).toBe(5);
  expect([world.charged(Resource.HeldBytes), kqueueOf(kq).knoteCount]).toEqual([0, 1]);
});

test('K13, K18: what a write of records takes is given back when it ends, however it ends', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  kq.account = world.kernel.accounts.of(user.uid);
  expect(world.write(kq, new Uint8Array(64)).result).toBe(64);
  // Filter 0 is refused twice, and a record says so each time.
  expect(world.charged(Resource.HeldBytes)).toBe(2048);
  expect(world.read(kq, 64).result).toBe(64);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
  world.kernel.accounts.setLimit(Resource.HeldBytes, () => 63);
  expect(world.write(kq, new Uint8Array(64)).result).toBe(-ENOMEM);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
});

test('K101: a process that the host refuses to watch is asked for by nobody afterwards', () => {
  const world = new KqueueWorld();
  const kq = world.kqueue();
  world.must(kq, change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXIT }));
  const other = world.kqueue();
  world.processes.refused.set(500, -EOPNOTSUPP);
  const refused = change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXEC });
  expect(world.apply(other, refused)).toBe(-EOPNOTSUPP);
  world.processes.refused.delete(500);
  world.must(kq, change(EVFILT_PROC, 500, EV_ADD, { fflags: NOTE_EXIT }));
  expect(world.processes.kindsOf(500)).toBe(ProcessEventKind.Exit);
  world.must(kq, change(EVFILT_PROC, 500, EV_DELETE));
  expect([world.processes.watches.size, world.kqueues.processes.size]).toEqual([0, 0]);
});

test('K32: a rest for which there is no room is not begun: the line is there again', () => {
  const world = new KqueueWorld();
  const kq = world.textFile('rwn');
  kq.account = world.kernel.accounts.of(user.uid);
  world.must(kq, change(EVFILT_USER, 7, EV_ADD, { fflags: NOTE_TRIGGER }));
  world.kernel.accounts.setLimit(Resource.HeldBytes, () => 0);
  expect(world.read(kq, 3).result).toBe(-ENOMEM);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
  world.kernel.accounts.setLimit(Resource.HeldBytes, () => Infinity);
  const begun = world.read(kq, 3).text;
  expect(world.charged(Resource.HeldBytes)).toBeGreaterThan(0);
  expect(begun + world.read(kq, 1000).text).toMatch(/^user 7 .*\n$/);
  expect(world.charged(Resource.HeldBytes)).toBe(0);
});
