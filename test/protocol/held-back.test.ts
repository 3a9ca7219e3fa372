import { beforeEach, describe, expect, test } from 'vitest';
import {
  InitFlag,
  INIT2_HAS_RESEND,
  NOTIFY_RESEND,
  Opcode,
} from '../../src/transports/raw/protocol/constants.ts';
import { Resource } from '../../src/kern/accounting.ts';
import { rootCredentials } from '../../src/kern/credentials.ts';
import type { Fault } from '../../src/tree/faults/fault.ts';
import { parseFault } from '../../src/tree/faults/parse-fault.ts';
import { pattern } from '../support/engine.ts';
import { interruptBody, LINUX_O_NONBLOCK, openPipe, readBody, writeBody } from '../support/fuse-calls.ts';
import { Body, type Caller, FuseClient, initBody } from '../support/fuse-client.ts';

const EAGAIN = -11;
const WRITE_BYTES = 200_000;
const KEPT_BYTES = 16_384;
const RING_BYTES = 65_536;
const UPPER_HALF_OF_UNIQUE = 15;

/** A write in progress: its unique, and the bytes of its request as the kernel sends it again. */
interface Write {
  readonly unique: number;
  readonly again: Uint8Array;
  readonly data: Uint8Array;
}

function connect(flags2: number): FuseClient {
  const client = new FuseClient({ agrees: false });
  const answer = client.request(Opcode.INIT, 0, initBody(7, 45, InitFlag.INIT_EXT, flags2));
  expect(answer.payload.getUint32(32, true)).toBe(flags2);
  client.fileSystem.writeMemory.budgetBytes = WRITE_BYTES;
  return client;
}

describe('writes beyond the memory for them', () => {
  let client: FuseClient;
  let resends: number;
  beforeEach(() => {
    client = connect(INIT2_HAS_RESEND);
    resends = 0;
  });

  const marked = (message: Uint8Array): Uint8Array => {
    const copy = Uint8Array.from(message);
    copy[UPPER_HALF_OF_UNIQUE]! |= 0x80;
    return copy;
  };

  function beginWrite(handle: number, seed: number, caller?: Caller): Write {
    const data = pattern(WRITE_BYTES, seed);
    const body = writeBody(handle, data);
    const unique = client.send(Opcode.WRITE, 0, body, caller);
    const message = client.message(Opcode.WRITE, 0, body.build(), caller, unique);
    return { unique, data, again: marked(message) };
  }

  const read = (handle: number, count: number) =>
    client.request(Opcode.READ, 0, readBody(handle, count, LINUX_O_NONBLOCK));

  /** From the next notification on, the device gives these messages, and then says that there is no more. */
  function willSend(...messages: Uint8Array[]): void {
    const queue = [...messages];
    client.device.next = () => {
      resends = client.device.sent.filter(({ error }) => error === NOTIFY_RESEND).length;
      return queue.shift() ?? EAGAIN;
    };
  }

  const answersOf = ({ unique }: Write) => client.answers(unique);

  test('one is kept, the next is held back, and comes again when it is wanted', () => {
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    const first = beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    const { writes } = client.session;
    expect([answersOf(first), answersOf(second)]).toEqual([[], []]);
    expect([writes.keptBytes, writes.heldCount]).toEqual([WRITE_BYTES, 1]);

    willSend(first.again, second.again);
    expect(read(two.reader, WRITE_BYTES).payload.byteLength).toBe(KEPT_BYTES);
    // The first has made room for the second.
    expect([resends, writes.keptBytes, writes.heldCount]).toEqual([1, WRITE_BYTES, 1]);
    const rest = read(two.reader, WRITE_BYTES).payload;
    expect(new Uint8Array(rest.buffer, rest.byteOffset)).toEqual(second.data.subarray(KEPT_BYTES));
    // The kernel knows the request by its marked unique now.
    const [answer] = answersOf(second);
    expect([answer!.isResent, answer!.payload.getUint32(0, true)]).toEqual([true, WRITE_BYTES]);
    expect(writes.keptBytes).toBe(0);

    willSend(first.again);
    expect(read(one.reader, WRITE_BYTES).payload.byteLength).toBe(KEPT_BYTES);
    expect(read(one.reader, WRITE_BYTES).payload.byteLength).toBe(WRITE_BYTES - KEPT_BYTES);
    expect(answersOf(first)).toHaveLength(1);
    expect([resends, writes.keptBytes, writes.heldCount]).toEqual([2, 0, 0]);
  });

  test.each(['split=3000', 'stall'])('a write that a fault changes by %s is held back as well', (action) => {
    const { faults } = client.fileSystem;
    const fault = faults.add(parseFault(['pipes/two', 'write', action]), rootCredentials) as Fault;
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    const first = beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    const { writes } = client.session;
    expect([writes.keptBytes, writes.heldCount]).toEqual([WRITE_BYTES, 1]);
    willSend(first.again, second.again);
    if (action === 'stall') {
      faults.remove(fault);
      client.session.settle();
    }
    const got = Buffer.alloc(WRITE_BYTES);
    const sizes: number[] = [];
    for (let at = 0; at < WRITE_BYTES; at += sizes.at(-1)!) {
      const { payload } = read(two.reader, WRITE_BYTES);
      expect(payload.byteLength).toBeGreaterThan(0);
      got.set(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength), at);
      sizes.push(payload.byteLength);
    }
    expect(got.equals(second.data)).toBe(true);
    if (action !== 'stall') expect(Math.max(...sizes)).toBe(3000);
    const [answer] = answersOf(second);
    expect([resends, answer!.payload.getUint32(0, true)]).toEqual([1, WRITE_BYTES]);
    expect(writes.keptBytes).toBe(0);
  });

  test('what the device gives beside: forgets and interrupts at once, a new request afterwards', () => {
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    const first = beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    const statfs = client.message(Opcode.STATFS, 1, new Uint8Array(), undefined, 9001);
    const unknown = interruptBody(424_242).build();
    willSend(
      client.message(Opcode.INTERRUPT, 0, unknown, undefined, 9003),
      client.message(Opcode.FORGET, 99, new Body().u64(1).build(), undefined, 9005),
      first.again,
      second.again,
      statfs,
    );
    read(two.reader, WRITE_BYTES);
    expect(client.answers(9003).map(({ error }) => error)).toEqual([EAGAIN]);
    expect(client.answers(9005)).toEqual([]);
    expect(client.answers(9001).map(({ error }) => error)).toEqual([0]);
    expect(read(two.reader, WRITE_BYTES).payload.byteLength).toBe(WRITE_BYTES - KEPT_BYTES);
  });

  test('an interrupt names a request that has come again by its marked unique', () => {
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    const first = beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    willSend(first.again, second.again);
    read(two.reader, WRITE_BYTES);
    const body = new Body().u64(BigInt(first.unique) - 2n ** 63n);
    client.send(Opcode.INTERRUPT, 0, body);
    expect(answersOf(first).map(({ payload }) => payload.getUint32(0, true))).toEqual([KEPT_BYTES]);
  });

  test('a writer that was killed on the way does not come again: its write ends', () => {
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    const first = beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    willSend(second.again);
    read(two.reader, WRITE_BYTES);
    expect(answersOf(first)).toHaveLength(1);
    expect(client.session.requests.size).toBe(1);
  });

  test('a device that does not send again ends the write with what was read', () => {
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    client.device.refuses = ({ error }) => error === NOTIFY_RESEND;
    read(two.reader, WRITE_BYTES);
    expect(answersOf(second).map(({ payload }) => payload.getUint32(0, true))).toEqual([KEPT_BYTES]);
  });

  test('of many that are wanted at once, no more are kept than there is memory for, and all arrive', () => {
    const pipes = Array.from({ length: 5 }, (_, index) => openPipe(client, `many${index}`));
    const writes = pipes.map(({ writer }, index) => beginWrite(writer, index));
    for (const [index, { reader }] of pipes.entries()) {
      let at = 0;
      while (at < WRITE_BYTES) {
        willSend(...writes.slice(index).map(({ again }) => again));
        const { payload } = read(reader, 50_000);
        expect(client.session.writes.keptBytes).toBeLessThanOrEqual(WRITE_BYTES);
        const bytes = new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
        expect(Buffer.compare(bytes, writes[index]!.data.subarray(at, at + bytes.length))).toBe(0);
        at += bytes.length;
      }
      expect(answersOf(writes[index]!)).toHaveLength(1);
    }
  });

  test('a user has a quota of bytes that are to come again: one more write does not wait', () => {
    const user = { uid: 7, gid: 7, pid: 7 };
    const { sysctls, accounts } = client.fileSystem.kernel;
    expect(sysctls.write('ipcfs.quota.blocked_bytes', WRITE_BYTES, rootCredentials)).toBe(0);
    const pipes = [1, 2, 3].map((number) => openPipe(client, `quota${number}`));
    const [kept, held, refused] = pipes.map(({ writer }, seed) => beginWrite(writer, seed, user));
    expect([answersOf(kept!), answersOf(held!)]).toEqual([[], []]);
    expect(accounts.of(7).used(Resource.BlockedBytes)).toBe(WRITE_BYTES);
    // What the ring holds has been written.
    expect(answersOf(refused!).map(({ payload }) => payload.getUint32(0, true))).toEqual([RING_BYTES]);

    const { unique } = held!;
    client.send(Opcode.INTERRUPT, 0, interruptBody(unique));
    expect(accounts.of(7).used(Resource.BlockedBytes)).toBe(0);
    expect(answersOf(beginWrite(pipes[2]!.writer, 4, user))).toEqual([]);
  });

  test('a kernel that cannot send again is asked for nothing: every write is kept', () => {
    client = connect(0);
    const one = openPipe(client, 'one');
    const two = openPipe(client, 'two');
    beginWrite(one.writer, 1);
    const second = beginWrite(two.writer, 2);
    expect(client.session.writes.keptBytes).toBe(2 * WRITE_BYTES);
    expect(read(two.reader, WRITE_BYTES).payload.byteLength).toBe(WRITE_BYTES);
    expect(answersOf(second)).toHaveLength(1);
  });
});
