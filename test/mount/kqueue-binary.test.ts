import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Driver } from '../support/driver-client.ts';
import * as k from '../support/kevent-records.ts';
import { BinaryQueue } from '../support/kqueue-files.ts';
import { describeMount, TestMount } from '../support/mount.ts';

const ENOENT = 2;
const EBADF = 9;
const EINVAL = 22;
const EAGAIN = 11;

describeMount('kqueue.bin', () => {
  let mount: TestMount;
  let a: Driver;
  beforeAll(async () => {
    mount = await TestMount.start();
    a = await mount.driver();
  });
  afterAll(() => mount.stop());

  function user(ident: number | bigint, flags: number, fflags = 0, more: Partial<k.ChangeRecord> = {}) {
    return { ident, filter: k.EVFILT_USER, flags, fflags, ...more };
  }

  function failure(ident: number | bigint, filter: number, errno: number, udata = 0n): k.KeventRecord {
    return { ident: BigInt(ident), filter, flags: k.EV_ERROR, fflags: 0, data: BigInt(errno), udata };
  }

  test('K1, K2: a new queue has nothing pending, takes changes by write and gives events by read', async () => {
    const queue = await BinaryQueue.open(a);
    expect(await queue.take()).toEqual([]);
    expect(await queue.change(user(1, k.EV_ADD, k.NOTE_TRIGGER, { udata: 2n ** 64n - 1n, data: -5 }))).toBe(
      1,
    );
    expect(await queue.take()).toEqual([
      { ident: 1n, filter: -9, flags: k.EV_ADD, fflags: 0, data: -5n, udata: 2n ** 64n - 1n },
    ]);
  });

  test('a write that is no whole number of records is EINVAL and applies nothing', async () => {
    const queue = await BinaryQueue.open(a);
    const hex = k.encodeRecords([user(1, k.EV_ADD, k.NOTE_TRIGGER), user(2, k.EV_ADD)]);
    for (const bytes of [1, 31, 33, 63]) {
      const { result } = await a.call({ call: 'writeHex', fd: queue.fd, hex: hex.slice(0, 2 * bytes) });
      expect(result).toBe(-EINVAL);
    }
    expect(await queue.take()).toEqual([]);
    expect(await queue.after(user(3, k.EV_ADD, k.NOTE_TRIGGER))).toHaveLength(1);
  });

  test('a read without room for a record is EINVAL, one with nothing pending EAGAIN', async () => {
    const queue = await BinaryQueue.open(a);
    await queue.change(user(1, k.EV_ADD, k.NOTE_TRIGGER));
    for (const count of [1, 31]) expect((await a.read(queue.fd, count)).result).toBe(-EINVAL);
    expect((await a.read(queue.fd, 63)).result).toBe(32);
    await queue.change(user(1, k.EV_DELETE));
    expect((await a.read(queue.fd, 32)).result).toBe(-EAGAIN);
  });

  test('K23, K124: reading or writing no bytes does nothing, whatever is pending', async () => {
    const queue = await BinaryQueue.open(a);
    expect(await queue.change()).toBe(0);
    expect((await a.read(queue.fd, 0)).result).toBe(0);
    await queue.change(user(1, k.EV_ADD | k.EV_ONESHOT, k.NOTE_TRIGGER));
    expect((await a.read(queue.fd, 0)).result).toBe(0);
    expect(await queue.idents()).toEqual([1]);
  });

  test('K13: more changes than a batch are all applied before an event is taken', async () => {
    const queue = await BinaryQueue.open(a);
    const idents = Array.from({ length: 20 }, (_, ident) => ident);
    const changes = idents.map((ident) => user(ident, k.EV_ADD | k.EV_CLEAR));
    const triggers = idents.map((ident) => user(ident, 0, k.NOTE_TRIGGER));
    expect(await queue.change(...changes, ...triggers.reverse())).toBe(40);
    expect(await queue.idents(50)).toEqual(idents.reverse());
  });

  test('K14: the four high flag bits of a change are dropped', async () => {
    const queue = await BinaryQueue.open(a);
    const [event] = await queue.after(user(1, k.EV_ADD | 0xf000, k.NOTE_TRIGGER));
    expect(event!.flags).toBe(k.EV_ADD);
  });

  test('K15, K17: an error is a record with EV_ERROR and the errno; events come in the next read', async () => {
    const queue = await BinaryQueue.open(a);
    expect(
      await queue.after(
        user(5, k.EV_DELETE, 0, { udata: 77 }),
        user(1, k.EV_ADD | k.EV_ONESHOT, k.NOTE_TRIGGER),
      ),
    ).toEqual([failure(5, k.EVFILT_USER, ENOENT, 77n)]);
    expect(await queue.idents()).toEqual([1]);
  });

  test('K16, K21: a receipt has data 0, and fflags 0 for a new knote', async () => {
    const queue = await BinaryQueue.open(a);
    const receipt = failure(1, k.EVFILT_USER, 0);
    expect(await queue.after(user(1, k.EV_ADD | k.EV_RECEIPT, 0x55))).toEqual([receipt]);
    const [again] = await queue.after(user(1, k.EV_RECEIPT, k.NOTE_FFCOPY + 0x12));
    expect(again).toEqual({ ...receipt, fflags: 0x12 });
    const timer = { ident: 1, filter: k.EVFILT_TIMER, flags: k.EV_ADD | k.EV_RECEIPT, data: 60_000 };
    expect((await queue.after({ ...timer, fflags: 3 }))[0]!.fflags).toBe(0);
    expect((await queue.after({ ...timer, fflags: 3 }))[0]!.fflags).toBe(3);
  });

  test("K18, K19: without a reader's side the error fails the write, and what follows is not applied", async () => {
    await mount.output('touch kqueues/write-only');
    const queue = await BinaryQueue.open(a, 'wn');
    expect(await queue.change(user(1, k.EV_ADD | k.EV_RECEIPT))).toBe(1);
    expect(await queue.change(user(9, k.EV_DELETE), user(2, k.EV_ADD))).toBe(-ENOENT);
    expect(await queue.change(user(2, k.EV_DELETE))).toBe(-ENOENT);
    expect(await queue.change(user(1, k.EV_DELETE))).toBe(1);
  });

  test('K37: filters other than -1 to -9 are EINVAL', async () => {
    const queue = await BinaryQueue.open(a);
    for (const filter of [0, 1, 15, -10, -32768, 32767]) {
      expect(await queue.after({ ident: 1, filter, flags: k.EV_ADD })).toEqual([failure(1, filter, EINVAL)]);
    }
  });

  test('K38, K57: an ident that is no descriptor of the caller is EBADF', async () => {
    const queue = await BinaryQueue.open(a);
    const fd = await a.open(await mount.fifo('big'), 'rwn');
    await a.write(fd, 'x');
    for (const ident of [999n, 2n ** 31n, 2n ** 32n + BigInt(fd), 2n ** 63n, 2n ** 64n - 1n]) {
      for (const filter of [k.EVFILT_READ, k.EVFILT_WRITE, k.EVFILT_VNODE, k.EVFILT_EXCEPT]) {
        expect(await queue.after({ ident, filter, flags: k.EV_ADD })).toEqual([
          failure(ident, filter, EBADF),
        ]);
      }
    }
    expect(await queue.after({ ident: fd, filter: k.EVFILT_READ, flags: k.EV_ADD })).toMatchObject([
      { ident: BigInt(fd), data: 1n },
    ]);
  });

  test('K46: events carry the flags of the creating change, action bits and all', async () => {
    const queue = await BinaryQueue.open(a);
    expect((await queue.after(user(1, k.EV_ADD | k.EV_CLEAR, k.NOTE_TRIGGER)))[0]!.flags).toBe(0x21);
    await queue.change(user(2, k.EV_ADD | k.EV_DISABLE, k.NOTE_TRIGGER));
    expect((await queue.after(user(2, k.EV_ENABLE)))[0]!.flags).toBe(0x9);
  });

  test('K47: add together with delete adds', async () => {
    const queue = await BinaryQueue.open(a);
    expect(await queue.after(user(1, k.EV_ADD | k.EV_DELETE | k.EV_ONESHOT, k.NOTE_TRIGGER))).toHaveLength(1);
    expect(await queue.after(user(1, k.EV_DELETE))).toEqual([failure(1, k.EVFILT_USER, ENOENT)]);
  });

  test('K88, K92: idents and data of 64 bits come back as they were', async () => {
    const queue = await BinaryQueue.open(a);
    const data = [0n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)];
    for (const [index, ident] of [0n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n].entries()) {
      const change = { data: data[index]!, udata: ident };
      expect(await queue.after(user(ident, k.EV_ADD | k.EV_ONESHOT, k.NOTE_TRIGGER, change))).toEqual([
        { ident, filter: -9, flags: k.EV_ADD | k.EV_ONESHOT, fflags: 0, ...change },
      ]);
    }
  });

  test('K44, K122: a bare enable or disable leaves the notes and the udata of a VNODE knote', async () => {
    const queue = await BinaryQueue.open(a);
    const fd = await a.open(await mount.fifo('notes'), 'rwn');
    const vnode = { ident: fd, filter: k.EVFILT_VNODE };
    await queue.change({ ...vnode, flags: k.EV_ADD | k.EV_CLEAR, fflags: 0x2, udata: 5 });
    await queue.change({ ...vnode, flags: k.EV_DISABLE });
    await a.write(fd, 'x');
    expect(await queue.after({ ...vnode, flags: k.EV_ENABLE })).toMatchObject([
      // WRITE and EXTEND: all notes of a change of which one was asked for (K114).
      { fflags: 0x6, udata: 5n },
    ]);
  });
});
