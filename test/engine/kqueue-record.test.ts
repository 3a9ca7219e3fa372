import { expect, test } from 'vitest';

import { EAGAIN, EBADF, EFAULT, EINVAL, ENOENT } from '../../src/kern/errno.ts';
import { File } from '../../src/kern/file.ts';
import { EVFILT_READ, EVFILT_USER } from '../../src/kern/klist.ts';
import { binaryKqueueOps, openKqueue } from '../../src/kqueue/file.ts';
import {
  EV_ADD,
  EV_CLEAR,
  EV_DELETE,
  EV_ERROR,
  EV_RECEIPT,
  type Kevent,
  NOTE_TRIGGER,
} from '../../src/kqueue/kevent.ts';
import { decodeChange, encodeEvent, PATH_IDENT, viewOf } from '../../src/kqueue/record.ts';
import { openFlags, user } from '../support/engine.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

function bytesFor(...events: Kevent[]): Uint8Array {
  const bytes = new Uint8Array(events.length * 32);
  events.forEach((event, index) => {
    encodeEvent(event, viewOf(bytes), index * 32);
  });
  return bytes;
}

function setUp(mode = 'rwn') {
  const world = new KqueueWorld();
  const kq = new File(openFlags(mode), binaryKqueueOps, user);
  openKqueue(kq, world.kqueues.create(user)!, binaryKqueueOps);
  const read = (count = 3200) => {
    const call = world.read(kq, count);
    if (call.result! < 0) return call.result!;
    const view = viewOf(call.bytes);
    return Array.from({ length: call.result! / 32 }, (_, index) => decodeChange(view, index * 32));
  };
  return { world, kq, read };
}

const user1 = (flags = EV_ADD, fflags = NOTE_TRIGGER) => change(EVFILT_USER, 1, flags, { fflags });

test('K3: a record has 32 bytes, little-endian, with its fields where section 4.4 puts them', () => {
  const event = {
    ...change(EVFILT_READ, 0x0102030405),
    flags: 0x8021,
    fflags: 0x80000001,
    data: -2,
    udata: 7,
    label: null,
  };
  expect(Buffer.from(bytesFor(event)).toString('hex')).toBe(
    '0504030201000000' + 'ffff' + '2180' + '01000080' + 'feffffffffffffff' + '0700000000000000',
  );
});

test.each([
  [0, 0, 0],
  [2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53 - 1],
  [2n ** 53n, -(2n ** 53n), 2n ** 63n],
  [2n ** 64n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
  [5, 2n ** 63n - 1n, 0xffffffff],
  [2 ** 32, -(2 ** 32), 2 ** 32 - 1],
  [1, -(2 ** 32) - 1, 1],
])('K14 %s, %s and %s come back from a record', (ident, data, udata) => {
  const event = change(-32768, ident, 0xffff, { data, udata, fflags: 0xffffffff });
  expect(decodeChange(viewOf(bytesFor(event)), 0)).toEqual(event);
});

test('K15: text values in records: a path is no descriptor, a token is its number or 0', () => {
  const record = (udata: string) =>
    decodeChange(viewOf(bytesFor({ ...change(EVFILT_READ, 'pipes/a'), udata })), 0);
  expect(record('job')).toMatchObject({ ident: PATH_IDENT, udata: 0 });
  expect(record('0x10')).toMatchObject({ udata: 16 });
});

test('K2: records that are written are changes, and those that are read are events', () => {
  const { world, kq, read } = setUp();
  expect(world.write(kq, bytesFor(user1(EV_ADD | EV_CLEAR), change(EVFILT_USER, 2))).result).toBe(64);
  expect(read()).toMatchObject([{ ident: 1, flags: EV_ADD | EV_CLEAR }]);
  expect(read()).toBe(-EAGAIN);
  expect(kqueueOf(kq).knoteCount).toBe(2);
});

test('K17: a read takes records about changes first, and no events with them', () => {
  const { world, kq, read } = setUp();
  world.write(
    kq,
    bytesFor(user1(), change(EVFILT_USER, 5, EV_DELETE, { udata: 9 }), user1(EV_ADD | EV_RECEIPT)),
  );
  expect(read(32)).toMatchObject([{ ident: 5, flags: EV_ERROR, data: ENOENT, udata: 9 }]);
  expect(read()).toMatchObject([{ ident: 1, flags: EV_ERROR, data: 0 }]);
  expect(read()).toMatchObject([{ ident: 1, flags: EV_ADD }]);
});

test('K13: a length that is no number of records is EINVAL, and changes nothing', () => {
  const { world, kq } = setUp();
  for (const length of [1, 31, 33, 63]) {
    expect(world.write(kq, bytesFor(user1(), user1()).subarray(0, length)).result).toBe(-EINVAL);
  }
  expect(world.write(kq, new Uint8Array(0)).result).toBe(0);
  expect(kqueueOf(kq).knoteCount).toBe(0);
});

test('K31: a read takes n/32 events, and with less than 32 bytes it is EINVAL', () => {
  const { world, kq, read } = setUp();
  world.must(kq, ...[1, 2, 3].map((ident) => change(EVFILT_USER, ident, EV_ADD, { fflags: NOTE_TRIGGER })));
  for (const count of [1, 31]) expect(read(count)).toBe(-EINVAL);
  expect(read(0)).toEqual([]);
  expect(read(95)).toMatchObject([{ ident: 1 }, { ident: 2 }]);
  expect(read(32)).toMatchObject([{ ident: 3 }]);
});

test('K13, K30: faults: whole batches of a write count, and events are there again', () => {
  const { world, kq, read } = setUp();
  const users = Array.from({ length: 9 }, (_, ident) =>
    change(EVFILT_USER, ident, EV_ADD | EV_CLEAR, { fflags: NOTE_TRIGGER }),
  );
  const faulty = [bytesFor(...users).subarray(0, 256), { unreadableBytes: 32 }];
  expect(world.writev(kq, faulty).result).toBe(256);
  expect(kqueueOf(kq).knoteCount).toBe(8);
  expect(world.writev(kq, [{ unreadableBytes: 32 }]).result).toBe(-EFAULT);
  expect(world.readv(kq, [{ unreadableBytes: 320 }]).result).toBe(-EFAULT);
  expect((read() as unknown[]).length).toBe(8);
  world.write(kq, bytesFor(user1(EV_DELETE), user1(EV_DELETE)));
  expect(world.readv(kq, [{ unreadableBytes: 320 }]).result).toBe(-EFAULT);
  expect(read()).toMatchObject([{ ident: 1, flags: EV_ERROR }]);
});

test('K18, K19: a file that cannot be read gets its errors from the write', () => {
  const { world, kq } = setUp('w');
  expect(
    world.write(kq, bytesFor(user1(EV_ADD | EV_RECEIPT), change(EVFILT_USER, 5, EV_DELETE))).result,
  ).toBe(-ENOENT);
  const many = Array.from({ length: 20 }, (_, ident) =>
    change(EVFILT_USER, ident + 10, ident === 9 ? EV_DELETE : EV_ADD),
  );
  expect(world.write(kq, bytesFor(...many)).result).toBe(-ENOENT);
  expect(kqueueOf(kq).knoteCount).toBe(10);
  expect(world.read(kq, 32).result).toBe(-EBADF);
});

test('K24: a blocking read waits for an event or a record', () => {
  const { world, kq } = setUp('rw');
  const call = world.read(kq, 64);
  expect(call.waitMessage).toBe('kqread');
  world.write(kq, bytesFor(user1()));
  expect(call.result).toBe(32);
  const other = world.read(kq, 64);
  expect(other.result).toBe(32);
  world.write(kq, bytesFor(user1(EV_DELETE)));
  const third = world.read(kq, 64);
  world.write(kq, bytesFor(user1(EV_DELETE)));
  expect(decodeChange(viewOf(third.bytes), 0)).toMatchObject({ flags: EV_ERROR, data: ENOENT });
});

test('K18, K19: a file has room for the records of one write of 1 MiB that nobody reads', () => {
  const { world, kq, read } = setUp();
  const failing = change(EVFILT_USER, 5, EV_DELETE);
  const full = bytesFor(...Array.from({ length: 32_768 }, () => failing));
  expect(world.write(kq, full).result).toBe(full.length);
  expect(world.write(kq, bytesFor(failing)).result).toBe(-ENOENT);
  expect(world.write(kq, bytesFor(user1(EV_ADD | EV_RECEIPT))).result).toBe(32);
  expect(kqueueOf(kq).knoteCount).toBe(1);
  expect((read(full.length + 32) as unknown[]).length).toBe(32_768);
  expect(read()).toMatchObject([{ ident: 1, flags: EV_ADD | EV_RECEIPT }]);
});
