import { rootCredentials } from '../../src/kern/credentials.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Accounts, Resource, resources } from '../../src/kern/accounting.ts';
import { EAGAIN, EDQUOT, EINTR, EMFILE, ENOMEM, ENOSPC } from '../../src/kern/errno.ts';
import { File, FREAD, FWRITE } from '../../src/kern/file.ts';
import { EVFILT_PROC, EVFILT_TIMER, EVFILT_USER } from '../../src/kern/klist.ts';
import { type Operation, sleep } from '../../src/kern/operation.ts';
import { ProcessEventKind } from '../../src/kern/process-events.ts';
import { MemoryReadUio } from '../../src/kern/uio.ts';
import { createKqueue } from '../../src/kqueue/file.ts';
import { NOTE_FORK, NOTE_TRACK } from '../../src/kqueue/kevent.ts';
import { anonymousPipeOps, pipe2 } from '../../src/pipe/anonymous.ts';
import { IPC_CREAT } from '../../src/shm/flags.ts';
import { endOf, unlimitedTable, user, World } from '../support/engine.ts';
import { change, KqueueWorld } from '../support/kqueue.ts';
import { PAGE, ShmWorld } from '../support/shm.ts';

function limited(resource: Resource, limit: number) {
  const accounts = new Accounts();
  accounts.setLimit(resource, () => limit);
  return accounts;
}

test('a charge within the quota is taken, one beyond it leaves everything as it was', () => {
  const account = limited(Resource.Knotes, 3).of(1000);
  expect(account.charge(Resource.Knotes, 2)).toBe(0);
  expect(account.charge(Resource.Knotes, 2)).toBe(-ENOMEM);
  expect([account.used(Resource.Knotes), account.refused(Resource.Knotes)]).toEqual([2, 1]);
  expect(account.charge(Resource.Knotes)).toBe(0);
  expect(account.holds(Resource.Knotes)).toBe(false);
  account.release(Resource.Knotes, 3);
  expect(account.used(Resource.Knotes)).toBe(0);
});

test('root and who is exempt are counted, and never refused; users do not share a quota', () => {
  const accounts = limited(Resource.Pipes, 1);
  accounts.exempt(7);
  for (const uid of [0, 7]) {
    expect(accounts.of(uid).charge(Resource.Pipes, 5)).toBe(0);
    expect(accounts.of(uid).used(Resource.Pipes)).toBe(5);
  }
  for (const uid of [1, 2]) expect(accounts.of(uid).charge(Resource.Pipes)).toBe(0);
  expect(accounts.of(1).charge(Resource.Pipes)).toBe(-EDQUOT);
});

test('what was not charged cannot be released', () => {
  const account = new Accounts().of(1);
  account.charge(Resource.Timers);
  expect(() => {
    account.release(Resource.Timers, 2);
  }).toThrow('no more timers are released than were charged');
});

test('charges and releases in any order keep the sum of what is there, below the quota', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ before: fc.nat(20), after: fc.nat(20), slot: fc.nat(4) })),
      fc.nat(40),
      (steps, limit) => {
        const account = limited(Resource.HeldBytes, limit).of(1);
        const held = [0, 0, 0, 0, 0];
        for (const { slot, after } of steps) {
          const sum = held.reduce((total, bytes) => total + bytes, 0);
          const fits = after <= held[slot]! || sum - held[slot]! + after <= limit;
          expect(account.recharge(Resource.HeldBytes, held[slot]!, after)).toBe(fits ? 0 : -ENOMEM);
          if (fits) held[slot] = after;
        }
        expect(account.used(Resource.HeldBytes)).toBe(held.reduce((total, bytes) => total + bytes, 0));
      },
    ),
  );
});

test('every resource has a name of its own', () => {
  expect(Object.values(Resource)).toEqual([...resources.keys()]);
  expect(new Set(resources).size).toBe(resources.length);
});

test('a user without room for a ring gets a small one, then ENOMEM; rings stay as they are; the log stays quiet', () => {
  const world = new World();
  const account = world.kernel.accounts.of(user.uid);
  world.kernel.accounts.setLimit(Resource.PipeBytes, () => 8 * PAGE);
  const first = world.pair();
  expect(account.used(Resource.PipeBytes)).toBe(5 * PAGE);
  // A ring does not grow beyond the quota: the write sleeps when the one that there is is full.
  expect(world.writeBuffered(first[0], new Uint8Array(6 * PAGE)).waitMessage).toBe('pipewr');
  const second = world.pair();
  expect(endOf(second[0]).ring.size + endOf(second[1]).ring.size).toBe(2 * PAGE);
  expect(pipe2(world.pipes, unlimitedTable, 0, user)).toBe(-ENOMEM);
  expect(pipe2(world.pipes, unlimitedTable, 0, { ...user, uid: 1001 })).toHaveLength(2);
  expect(account.used(Resource.PipeBytes)).toBe(7 * PAGE);
  expect(world.host.logged).toEqual([]);
  for (const file of second) world.close(file);
  expect(account.used(Resource.PipeBytes)).toBe(5 * PAGE);
});

test('a ring grows into the room that the quota has, and not beyond', () => {
  const world = new World();
  world.kernel.accounts.setLimit(Resource.PipeBytes, () => 13 * PAGE);
  const [one] = world.pair(true);
  world.write(one, new Uint8Array(20_000));
  expect(endOf(one).peer.ring.size).toBe(8 * PAGE);
  world.write(one, new Uint8Array(20_000));
  expect(endOf(one).peer.ring.size).toBe(8 * PAGE);
});

test('a user with as many blocked calls as allowed gets EAGAIN for the next, others sleep; a call counts once', () => {
  const world = new World();
  world.kernel.accounts.setLimit(Resource.BlockedCalls, () => 1);
  const [one, other] = world.pair();
  const begin = (uid: number) => {
    const call = world.spawn(one.ops.read(one, new MemoryReadUio([new Uint8Array(1)]), user));
    call.thread.uid = uid;
    world.kernel.scheduler.run();
    return call;
  };
  const first = begin(1);
  expect(first.isBlocked).toBe(true);
  expect(begin(1).result).toBe(-EAGAIN);
  const stranger = begin(2);
  expect(stranger.isBlocked).toBe(true);
  // Woken for nothing and asleep again: still one.
  endOf(one).channel.wakeup();
  world.kernel.scheduler.run();
  expect(first.isBlocked).toBe(true);
  expect(world.kernel.accounts.of(1).used(Resource.BlockedCalls)).toBe(1);
  first.signal();
  expect(first.result).toBe(-EINTR);
  expect(world.kernel.accounts.of(1).used(Resource.BlockedCalls)).toBe(0);
  expect(begin(1).isBlocked).toBe(true);
  world.write(other, 'xy');
  expect(world.charged(Resource.BlockedCalls)).toBe(0);
});

test('a blocked call that fails by a bug of ours is charged no longer', () => {
  const world = new World();
  world.kernel.scheduler.onFailure = () => undefined;
  const channel = world.kernel.channel(null);
  const call = world.spawn(
    (function* (): Operation<number> {
      yield* sleep(channel, { message: 'test', interruptible: true });
      throw new Error('a bug');
    })(),
  );
  world.kernel.scheduler.run();
  expect([call.isBlocked, world.charged(Resource.BlockedCalls)]).toEqual([true, 1]);
  channel.wakeup();
  world.kernel.scheduler.run();
  expect(world.charged(Resource.BlockedCalls)).toBe(0);
});

test('knotes, timers and kqueues beyond the quota are ENOMEM for each user of the queue; what ends one releases it', () => {
  const world = new KqueueWorld();
  const account = world.kernel.accounts.of(user.uid);
  world.kernel.accounts.setLimit(Resource.Knotes, () => 2);
  world.kernel.accounts.setLimit(Resource.Timers, () => 1);
  world.kernel.accounts.setLimit(Resource.Kqueues, () => 1);
  const kq = world.kqueue();
  expect(createKqueue(world.kqueues, { allocate: () => 3 }, user)).toBe(-ENOMEM);
  const errors = (filter: number, ident: number, credentials = user, queue = kq) =>
    world.startKevent(queue, { changes: [change(filter, ident)], eventCount: 0, credentials }).result;
  expect(errors(EVFILT_TIMER, 1)).toBe(0);
  expect(errors(EVFILT_TIMER, 2)).toBe(-ENOMEM);
  expect(account.used(Resource.Knotes)).toBe(1);
  expect(errors(EVFILT_USER, 1)).toBe(0);
  expect(errors(EVFILT_USER, 2)).toBe(-ENOMEM);
  // What is there can be changed, and somebody else is charged for his own.
  expect(errors(EVFILT_USER, 1)).toBe(0);
  const other = { ...user, uid: 1001 };
  const shared = world.kqueue(rootCredentials);
  expect(errors(EVFILT_USER, 2, other, shared)).toBe(0);
  expect(world.kernel.accounts.of(other.uid).used(Resource.Knotes)).toBe(1);
  // Of a user's own queue he is charged for everything, as if he made the changes himself.
  expect(errors(EVFILT_USER, 2, other)).toBe(-ENOMEM);
  expect([account.used(Resource.Knotes), account.used(Resource.Timers)]).toEqual([2, 1]);
  world.closeFile(kq);
  world.closeFile(shared);
  for (const resource of [Resource.Knotes, Resource.Timers, Resource.Kqueues]) {
    expect(world.charged(resource)).toBe(0);
  }
});

test('a kqueue for which the caller has no descriptor left is charged to nobody', () => {
  const world = new KqueueWorld();
  expect(createKqueue(world.kqueues, { allocate: () => -EMFILE }, user)).toBe(-EMFILE);
  expect([world.charged(Resource.Kqueues), world.kqueues.kqueues.size]).toEqual([0, 0]);
});

test('K106: knotes for children of a tracked process are charged to who tracks it', () => {
  const world = new KqueueWorld();
  world.kernel.accounts.setLimit(Resource.Knotes, () => 2);
  const kq = world.kqueue();
  const track = change(EVFILT_PROC, 500, undefined, { fflags: NOTE_TRACK | NOTE_FORK });
  expect(world.startKevent(kq, { changes: [track], eventCount: 0 }).result).toBe(0);
  const watch = world.processes.watches.get(500)!;
  expect(watch.kinds & ProcessEventKind.Fork).not.toBe(0);
  for (const child of [501, 502, 503]) {
    world.processes.alive.add(child);
    watch.watcher.forked(child);
  }
  expect(world.kernel.accounts.of(user.uid).used(Resource.Knotes)).toBe(2);
  expect(world.charged(Resource.Knotes)).toBe(2);
});

test('segments beyond the quota are ENOSPC, their bytes ENOMEM; both go with the segment', () => {
  const world = new ShmWorld();
  const account = world.kernel.accounts.of(user.uid);
  world.kernel.accounts.setLimit(Resource.Segments, () => 2);
  world.kernel.accounts.setLimit(Resource.SegmentBytes, () => 3 * PAGE);
  const create = (key: number, sizeBytes: number) => world.get(key, sizeBytes, IPC_CREAT | 0o600);
  const first = create(1, PAGE + 1);
  expect(first).toBeGreaterThan(0);
  expect(create(2, PAGE + 1)).toBe(-ENOMEM);
  expect([account.used(Resource.Segments), account.used(Resource.SegmentBytes)]).toEqual([1, 2 * PAGE]);
  const second = create(2, PAGE);
  expect(second).toBeGreaterThan(0);
  expect(create(3, PAGE)).toBe(-ENOSPC);
  world.remove(second);
  world.memory.allocateFault.error = -ENOMEM;
  expect(create(3, PAGE)).toBe(-ENOMEM);
  expect([account.used(Resource.Segments), account.used(Resource.SegmentBytes)]).toEqual([1, 2 * PAGE]);
  // A removed segment is charged for until its last detach.
  const process = world.process();
  const address = world.attach(process, first);
  world.remove(first);
  expect(account.used(Resource.Segments)).toBe(1);
  world.detach(process, address);
  expect([account.used(Resource.Segments), account.used(Resource.SegmentBytes)]).toEqual([0, 0]);
});

test('what an open file holds is charged to its opener as it changes', () => {
  const accounts = limited(Resource.HeldBytes, 100);
  const file = new File(FREAD | FWRITE, anonymousPipeOps, user);
  expect(file.hold(1000)).toBe(true);
  file.hold(0);
  file.account = accounts.of(user.uid);
  expect([file.hold(60), file.hold(101), file.holdMore(40), file.holdMore(1)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect(file.account.used(Resource.HeldBytes)).toBe(100);
  file.hold(0);
  expect(file.account.used(Resource.HeldBytes)).toBe(0);
});
