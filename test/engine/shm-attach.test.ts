import { expect, test } from 'vitest';

import { AssertionFailure } from '../../src/kern/assert.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import { EACCES, EFAULT, EINVAL, EIO, EMFILE, ENOMEM } from '../../src/kern/errno.ts';
import { TicketSpace } from '../../src/shm/address-space.ts';
import { ShmProcess } from '../../src/shm/attachments.ts';
import { SHM_RDONLY, SHM_RND } from '../../src/shm/flags.ts';
import { NEVER } from '../../src/shm/segment.ts';
import { attach, detach } from '../../src/shm/shmat.ts';
import { user } from '../support/engine.ts';
import { PAGE, ShmWorld, stranger } from '../support/shm.ts';

/** An operation whose result is not a number, run to its end. */
function finish<T>(world: ShmWorld, operation: Generator<undefined, T, 0 | 1 | 2>): T {
  let result: T | undefined;
  world.now(
    (function* () {
      result = yield* operation;
      return 0;
    })(),
  );
  return result as T;
}

test('S31: an unknown or removed id is EINVAL', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  expect(world.attach(process, id + 1)).toBe(-EINVAL);
  world.attach(process, id);
  world.remove(id);
  expect(world.attach(process, id)).toBe(-EINVAL);
  expect(world.segment(world.make()).attachCount).toBe(0);
});

test('S32: reading needs read permission, writing both', () => {
  const world = new ShmWorld();
  const attempts = (mode: number) => {
    const id = world.make(PAGE, mode);
    return [SHM_RDONLY, 0].map((flags) => Math.min(0, world.attach(world.process(stranger), id, { flags })));
  };
  expect(attempts(0o444)).toEqual([0, -EACCES]);
  expect(attempts(0o002)).toEqual([-EACCES, -EACCES]);
  expect(attempts(0o006)).toEqual([0, 0]);
  expect(attempts(0o660)).toEqual([-EACCES, -EACCES]);
});

test('S33: beyond shmseg attachments an attach is EMFILE', () => {
  const world = new ShmWorld();
  world.setLimit('shmseg', 2);
  const id = world.make();
  const process = world.process();
  const first = world.attach(process, id);
  world.attach(process, world.make());
  expect(world.attach(process, id)).toBe(-EMFILE);
  expect(world.status(id)).toMatchObject({ attachCount: 1 });
  expect(world.attach(world.process(), id)).toBeGreaterThan(0);
  world.detach(process, first);
  expect(world.attach(process, id)).toBeGreaterThan(0);
});

test('S33: attachments of which the mapping is being made count', () => {
  const world = new ShmWorld();
  world.setLimit('shmseg', 1);
  const id = world.make();
  const process = world.process();
  const gate = world.closeGate(process.space);
  const first = world.startAttach(process, id);
  expect(world.attach(process, id)).toBe(-EMFILE);
  gate.open();
  expect(first.result).toBeGreaterThan(0);
});

test('S33: attachments that came with a fork count', () => {
  const world = new ShmWorld();
  world.setLimit('shmseg', 1);
  const id = world.make();
  const parent = world.process();
  world.attach(parent, id);
  expect(world.attach(world.fork(parent, 501), id)).toBe(-EMFILE);
});

test('S34: shmseg 0 allows none at all', () => {
  const world = new ShmWorld();
  world.setLimit('shmseg', 0);
  const id = world.make();
  expect(world.attach(world.process(), id)).toBe(-EMFILE);
  expect(world.status(id)).toMatchObject({ attachCount: 0, lastPid: 0 });
});

test('S35: id, permission, number of attachments, address, in this order', () => {
  const world = new ShmWorld();
  const id = world.make();
  const full = world.process(stranger);
  world.setLimit('shmseg', 0);
  const crooked = { address: 0x1000_0001 };
  expect(world.attach(full, id + 1, crooked)).toBe(-EINVAL);
  expect(world.attach(full, id, crooked)).toBe(-EACCES);
  expect(world.attach(world.process(), id, crooked)).toBe(-EMFILE);
  world.setLimit('shmseg', 1);
  expect(world.attach(world.process(), id, crooked)).toBe(-EINVAL);
  expect(world.status(id)).toMatchObject({ attachCount: 0, lastPid: 0, detachTime: NEVER });
});

test('S36: a chosen address is a page, or rounded down to one with SHM_RND, and fixed', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  expect(world.attach(process, id, { address: 0x1000_0001 })).toBe(-EINVAL);
  expect(world.attach(process, id, { address: 0x1000_0001, flags: SHM_RND })).toBe(0x1000_0000);
  expect(world.attach(process, id, { address: 0x2000_0000 })).toBe(0x2000_0000);
  expect(world.attach(process, id, { address: 0x2000_0000 })).toBe(-ENOMEM);
  expect(world.attach(process, id, { address: 0x7000_0fff, flags: SHM_RND })).toBe(0x7000_0000);
  for (const address of [-1, -PAGE]) {
    expect(world.attach(process, id, { address, flags: SHM_RND })).toBe(-EINVAL);
  }
  const chosen = world.attach(process, id, { address: 0, flags: SHM_RND });
  expect(chosen % PAGE).toBe(0);
  expect(process.addresses).toEqual([0x1000_0000, 0x2000_0000, 0x7000_0000, chosen]);
});

test('S37: what is attached for reading cannot be written, nor made writable; a fork shares the memory', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const readOnly = world.attach(process, id, { flags: SHM_RDONLY });
  const writable = world.attach(process, id);
  expect(process.space.store(readOnly, 1)).toBe(-EFAULT);
  expect(process.space.makeWritable(readOnly)).toBe(-EACCES);
  expect(process.space.store(writable, 1)).toBe(0);
  expect(process.space.load(readOnly)).toBe(1);
  const child = world.fork(process, 501);
  child.space.store(writable, 2);
  expect(process.space.load(readOnly)).toBe(2);
  expect([...process.attachments()].map(({ isReadOnly }) => isReadOnly)).toEqual([true, false]);
});

test('S38, S39: an attach counts, and sets last pid and attach time', () => {
  const world = new ShmWorld();
  const id = world.make();
  world.host.clock.advance(9_000);
  world.attach(world.process({ ...user, pid: 777 }), id);
  expect(world.status(id)).toMatchObject({
    attachCount: 1,
    lastPid: 777,
    attachTime: { seconds: 10, nanoseconds: 0 },
    detachTime: NEVER,
    changeTime: { seconds: 1 },
  });
});

test('S38, S39: the count and the pid are set before the mapping is made, the time afterwards', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const gate = world.closeGate(process.space);
  const call = world.startAttach(process, id);
  expect(world.status(id)).toMatchObject({ attachCount: 1, lastPid: 500, attachTime: NEVER });
  world.host.clock.advance(1_000);
  gate.open();
  expect(call.result).toBeGreaterThan(0);
  expect(world.status(id).attachTime.seconds).toBe(2);
});

test('S40: a failed mapping counts down again, with detach time and last pid', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  Object.assign(process.space.mapFault, { error: -EIO });
  world.host.clock.advance(4_000);
  expect(world.attach(process, id)).toBe(-EIO);
  expect(world.status(id)).toMatchObject({
    attachCount: 0,
    lastPid: 500,
    attachTime: NEVER,
    detachTime: { seconds: 5 },
  });
  expect(process.attachmentCount).toBe(0);
});

test('S40: a failed mapping of a segment that was removed meanwhile ends it', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const gate = world.closeGate(process.space);
  Object.assign(process.space.mapFault, { error: -ENOMEM });
  const call = world.startAttach(process, id);
  world.remove(id);
  expect(world.table.usedCount).toBe(1);
  gate.open();
  expect(call.result).toBe(-ENOMEM);
  expect([world.table.usedCount, world.table.committedPages]).toEqual([0, 0]);
});

test('S40, S55: an attach under way survives the removal of the segment', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const gate = world.closeGate(process.space);
  const call = world.startAttach(process, id);
  world.remove(id);
  gate.open();
  expect(process.space.store(call.result!, 3)).toBe(0);
  world.exit(process);
  expect(world.table.usedCount).toBe(0);
});

test('S41: the mapping of a wired segment is wired, and so is every one with shm_use_phys', () => {
  const world = new ShmWorld();
  const plain = world.make();
  const process = world.process(rootCredentials);
  world.attach(process, plain);
  expect(process.space.wiredCount).toBe(0);
  world.lock(process, plain);
  expect(process.space.wiredCount).toBe(1);
  world.attach(process, plain);
  expect(process.space.wiredCount).toBe(2);
  world.attach(process, world.make());
  expect(process.space.wiredCount).toBe(2);
  const other = world.make();
  world.setLimit('shm_use_phys', -1);
  world.attach(process, other);
  expect(process.space.wiredCount).toBe(3);
  expect(world.segment(other).isWired).toBe(false);
});

test('S41: a fault in wiring is ENOMEM, other errors stay, and nothing is left mapped', () => {
  const world = new ShmWorld();
  world.setLimit('shm_use_phys', 1);
  const id = world.make();
  const process = world.process();
  for (const [error, result] of [
    [-EFAULT, -ENOMEM],
    [-EIO, -EIO],
  ] as const) {
    Object.assign(process.space.wireFault, { error });
    expect(world.attach(process, id)).toBe(result);
    expect(process.space.mappings.size).toBe(0);
    expect(world.status(id)).toMatchObject({ attachCount: 0, lastPid: 500 });
  }
});

test('S41, S60: a segment locked while its mapping is made has it wired', () => {
  const world = new ShmWorld();
  const id = world.make();
  const locker = world.process(rootCredentials);
  world.attach(locker, id);
  const process = world.process();
  const gate = world.closeGate(process.space);
  world.startAttach(process, id);
  world.lock(locker, id);
  gate.open();
  expect(process.space.wiredCount).toBe(1);
});

test('S42: every attachment of one process counts', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const addresses = [world.attach(process, id), world.attach(process, id)];
  expect(new Set(addresses).size).toBe(2);
  expect(world.status(id).attachCount).toBe(2);
});

test('S43: an address that rounds to 0 is page 0, and not a free choice', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  expect(world.attach(process, id, { address: 1, flags: SHM_RND })).toBe(-ENOMEM);
  expect(world.attach(process, id, { address: 4095, flags: SHM_RND })).toBe(-ENOMEM);
  expect(process.addresses).toEqual([]);
});

test('S41, S43: where page 0 can be mapped, it is an attachment as any other', () => {
  const world = new ShmWorld();
  world.setLimit('shm_use_phys', 1);
  const id = world.make();
  const process = world.process();
  process.space.allowsPageZero = true;
  expect(world.attach(process, id, { address: 1, flags: SHM_RND })).toBe(0);
  expect([process.addresses, process.space.wiredCount, world.status(id).attachCount]).toEqual([[0], 1, 1]);
  expect(world.detach(process, 0)).toBe(0);
});

test('S44: no detach can match an attach under way', () => {
  const world = new ShmWorld();
  const id = world.make();
  const process = world.process();
  const gate = world.closeGate(process.space);
  const call = world.startAttach(process, id);
  for (const address of [0, -1, NaN, 0x1000_0000]) expect(world.detach(process, address)).toBe(-EINVAL);
  gate.open();
  expect(call.result).toBe(0x1000_0000);
  expect(world.detach(process, 0x1000_0000)).toBe(0);
});

test('S38, S66: a child that is forked while an attach is under way does not get it', () => {
  const world = new ShmWorld();
  const [first, second] = [world.make(), world.make()];
  const parent = world.process();
  const address = world.attach(parent, first);
  const gate = world.closeGate(parent.space);
  const call = world.startAttach(parent, second);
  const child = world.fork(parent, 501);
  gate.open();
  expect(parent.addresses).toEqual([address, call.result]);
  expect(child.addresses).toEqual([address]);
  expect([first, second].map((id) => world.status(id).attachCount)).toEqual([2, 1]);
});

test('S38, S46: attach and detach without a caller address, as a mount makes them', () => {
  const world = new ShmWorld();
  const segment = world.segment(world.make(100, 0));
  const process = new ShmProcess(user, new TicketSpace());
  const first = finish(world, attach(world.shm, process, segment));
  const second = finish(world, attach(world.shm, process, segment, { flags: SHM_RDONLY }));
  if (typeof first === 'number' || typeof second === 'number') throw new Error('both succeed');
  expect([first.isReadOnly, second.isReadOnly]).toEqual([false, true]);
  expect(first.address).not.toBe(second.address);
  expect(first.sizeBytes).toBe(PAGE);
  expect(finish(world, attach(world.shm, process, segment, { address: PAGE }))).toBe(-EINVAL);
  expect(segment.attachCount).toBe(2);
  world.remove(segment.id);
  detach(world.shm, process, first);
  expect(world.table.usedCount).toBe(1);
  detach(world.shm, process, second);
  expect(world.table.usedCount).toBe(0);
  expect(process.attachmentCount).toBe(0);
});

test('S33, S41: a mount wires and counts as any process does', () => {
  const world = new ShmWorld();
  world.setLimit('shm_use_phys', 1);
  world.setLimit('shmseg', 1);
  const segment = world.segment(world.make());
  const process = new ShmProcess(rootCredentials, new TicketSpace());
  expect(typeof finish(world, attach(world.shm, process, segment))).toBe('object');
  expect(finish(world, attach(world.shm, process, segment))).toBe(-EMFILE);
  expect(world.unlock(process, segment.id)).toBe(0);
  expect(segment.isWired).toBe(false);
});

test('S31: what has ended or is in creation cannot be attached past the lookup', () => {
  const world = new ShmWorld();
  const id = world.make();
  const ended = world.segment(id);
  world.remove(id);
  const gate = world.closeGate(world.memory);
  world.startGet(5, PAGE, 0o1600);
  const creating = world.table.findKey(5)!;
  for (const segment of [ended, creating]) {
    expect(() => finish(world, attach(world.shm, world.process(), segment))).toThrow(AssertionFailure);
  }
  gate.open();
});
