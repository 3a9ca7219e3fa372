import { beforeEach, describe, expect, test } from 'vitest';
import { EAGAIN, EBADF, EDEADLK, EINTR, EINVAL, EOVERFLOW } from '../../src/kern/errno.ts';
import { LK_FLOCK, LockType, Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { EntryOut, FileLock } from '../../src/transports/raw/protocol/layouts.ts';
import {
  createBody,
  flushBody,
  interruptBody,
  LINUX_O_RDWR,
  lockBody,
  type LockRange,
  makePipe,
  openHandle,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { FuseClient, handleOf } from '../support/fuse-client.ts';

const TO_END = 2n ** 63n - 1n;
const exclusive = LockType.Exclusive;
const shared = LockType.Shared;
const unlocked = LockType.Unlocked;

let client: FuseClient;

beforeEach(() => {
  client = new FuseClient();
});

function flock(opcode: number, handle: number, type: number): number {
  return client.error(opcode, 1, lockBody(handle, { type, flags: LK_FLOCK }));
}

function setRange(handle: number, lock: LockRange): number {
  return client.error(Opcode.SETLK, 1, lockBody(handle, lock));
}

/** A segment of one byte, opened twice. */
function segment(): readonly [number, number] {
  const created = client.request(Opcode.CREATE, walk(client, 'shm'), createBody('0x7', LINUX_O_RDWR));
  const maker = handleOf(created, EntryOut.bytes);
  client.request(Opcode.WRITE, 1, writeBody(maker, Uint8Array.of(1)));
  client.request(Opcode.RELEASE, 1, releaseBody(maker));
  const open = (): number => openHandle(client, walk(client, 'shm/0x7'), LINUX_O_RDWR);
  return [open(), open()];
}

describe('flock', () => {
  test('two nodeids of one pipe are one lock', () => {
    makePipe(client, 'a');
    const nodeids = [walk(client, 'pipes/a'), walk(client, 'pipes/a')];
    expect(nodeids[0]).not.toBe(nodeids[1]);
    const [one, two] = nodeids.map((nodeid) => openHandle(client, nodeid, LINUX_O_RDWR)) as [number, number];
    expect(flock(Opcode.SETLK, one, exclusive)).toBe(0);
    expect(flock(Opcode.SETLK, two, exclusive)).toBe(-EAGAIN);
    expect(flock(Opcode.SETLK, two, shared)).toBe(-EAGAIN);
    client.request(Opcode.RELEASE, 1, releaseBody(one));
    expect(flock(Opcode.SETLK, two, exclusive)).toBe(0);
  });

  test.each(['kqueue', 'kqueue.bin', 'info/pipes', 'sysctl/kern/ipc/shmmni', 'shm/ctl'])(
    '%s takes it',
    (path) => {
      const [one, two] = [0, 1].map(() => openHandle(client, walk(client, path), 0)) as [number, number];
      expect([flock(Opcode.SETLK, one, exclusive), flock(Opcode.SETLK, two, shared)]).toEqual([0, -EAGAIN]);
    },
  );

  test('a call that waits is answered by the unlock, or by an interrupt with EINTR', () => {
    makePipe(client, 'a');
    const [one, two] = [0, 1].map(() => openHandle(client, walk(client, 'pipes/a'), LINUX_O_RDWR)) as [
      number,
      number,
    ];
    flock(Opcode.SETLK, one, exclusive);
    const body = lockBody(two, { type: exclusive, flags: LK_FLOCK });
    const first = client.send(Opcode.SETLKW, 1, body);
    expect(client.answers(first)).toEqual([]);
    expect([...client.session.blockedCalls()].map(({ call }) => call)).toEqual(['flock']);
    client.send(Opcode.INTERRUPT, 0, interruptBody(first));
    expect(client.answers(first).map(({ error }) => error)).toEqual([-EINTR]);
    const second = client.send(Opcode.SETLKW, 1, body);
    expect(flock(Opcode.SETLK, one, unlocked)).toBe(0);
    expect(client.answers(second).map(({ error }) => error)).toEqual([0]);
    expect(flock(Opcode.SETLK, one, shared)).toBe(-EAGAIN);
  });

  test('a handle that is not open is EBADF, a type that is none EINVAL', () => {
    expect(flock(Opcode.SETLK, 99, exclusive)).toBe(-EBADF);
    expect(client.error(Opcode.FLUSH, 1, flushBody(99, 1))).toBe(-EBADF);
    makePipe(client, 'a');
    const handle = openHandle(client, walk(client, 'pipes/a'), LINUX_O_RDWR);
    expect(flock(Opcode.SETLK, handle, 3)).toBe(-EINVAL);
    expect(client.error(Opcode.GETLK, 1, lockBody(handle, { type: exclusive, flags: LK_FLOCK }))).toBe(
      -EINVAL,
    );
  });
});

describe('ranges', () => {
  test('P137: pipes, kqueues and tables take none', () => {
    makePipe(client, 'a');
    for (const path of ['pipes/a', 'kqueue', 'info/pipes']) {
      const handle = openHandle(client, walk(client, path), LINUX_O_RDWR);
      for (const opcode of [Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW]) {
        expect(client.error(opcode, 1, lockBody(handle, { type: exclusive }))).toBe(-EINVAL);
      }
    }
  });

  test('a segment takes them: GETLK says what is in the way', () => {
    const [one, two] = segment();
    expect(setRange(one, { type: exclusive, start: 4n, end: 7n, pid: 801 })).toBe(0);
    expect(setRange(one, { type: shared, start: 100n, pid: 801 })).toBe(0);
    const ask = (start: bigint, type: number): (number | bigint)[] => {
      const { error, payload } = client.request(
        Opcode.GETLK,
        1,
        lockBody(two, { type, start, end: start, owner: 2n }),
      );
      expect([error, payload.byteLength]).toEqual([0, FileLock.bytes]);
      return [
        payload.getUint32(FileLock.type, true),
        payload.getBigUint64(FileLock.start, true),
        payload.getBigUint64(FileLock.end, true),
        payload.getUint32(FileLock.pid, true),
      ];
    };
    expect(ask(7n, shared)).toEqual([exclusive, 4n, 7n, 801]);
    expect(ask(1000n, exclusive)).toEqual([shared, 100n, TO_END, 801]);
    expect(ask(1000n, shared)[0]).toBe(unlocked);
    expect(ask(8n, exclusive)[0]).toBe(unlocked);
  });

  test('owners that differ in the last of 64 bits are two', () => {
    const [one, two] = segment();
    const owner = 2n ** 63n - 2n;
    expect(setRange(one, { type: exclusive, owner })).toBe(0);
    expect(setRange(two, { type: exclusive, owner })).toBe(0);
    expect(setRange(two, { type: exclusive, owner: owner + 1n })).toBe(-EAGAIN);
  });

  test('FLUSH ends the locks of its owner, RELEASE those that are left of the open file', () => {
    const [one, two] = segment();
    setRange(one, { type: exclusive, owner: 1n, start: 0n, end: 0n });
    setRange(one, { type: exclusive, owner: 2n, start: 1n, end: 1n });
    const other = (start: bigint): number => setRange(two, { type: exclusive, owner: 3n, start, end: start });
    expect(client.error(Opcode.FLUSH, 1, flushBody(two, 1))).toBe(0);
    expect([other(0n), other(1n)]).toEqual([0, -EAGAIN]);
    expect(client.error(Opcode.RELEASE, 1, releaseBody(one))).toBe(0);
    expect(other(1n)).toBe(0);
  });

  test('two that would wait for each other: the second is EDEADLK', () => {
    const [one, two] = segment();
    setRange(one, { type: exclusive, owner: 1n, start: 0n, end: 0n });
    setRange(two, { type: exclusive, owner: 2n, start: 1n, end: 1n });
    const waits = client.send(
      Opcode.SETLKW,
      1,
      lockBody(one, { type: exclusive, owner: 1n, start: 1n, end: 1n }),
    );
    expect([...client.session.blockedCalls()].map(({ call }) => call)).toEqual(['fcntl']);
    const body = lockBody(two, { type: exclusive, owner: 2n, start: 0n, end: 0n });
    expect(client.error(Opcode.SETLKW, 1, body)).toBe(-EDEADLK);
    expect(client.answers(waits)).toEqual([]);
    setRange(two, { type: unlocked, owner: 2n });
    expect(client.answers(waits).map(({ error }) => error)).toEqual([0]);
  });

  test('offsets beyond 2^53 are EOVERFLOW, and a range that ends before it begins EINVAL', () => {
    const [one] = segment();
    expect(setRange(one, { type: exclusive, start: 2n ** 53n })).toBe(-EOVERFLOW);
    expect(setRange(one, { type: exclusive, start: 0n, end: 2n ** 53n })).toBe(-EOVERFLOW);
    expect(setRange(one, { type: exclusive, start: 2n ** 53n - 1n })).toBe(0);
    expect(setRange(one, { type: exclusive, start: 5n, end: 4n })).toBe(-EINVAL);
  });
});
