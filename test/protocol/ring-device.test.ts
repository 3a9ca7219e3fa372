import { beforeEach, describe, expect, test } from 'vitest';
import { EAGAIN, EINTR, ENODEV, EOPNOTSUPP } from '../../src/kern/errno.ts';
import {
  INIT2_HAS_RESEND,
  INIT2_OVER_IO_URING,
  InitFlag,
  Opcode,
} from '../../src/transports/raw/protocol/constants.ts';
import { EntryPool } from '../../src/transports/raw/ring-device/entry-pool.ts';
import { pattern } from '../support/engine.ts';
import {
  createBody,
  interruptBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDWR,
  openBody,
  openPipe,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient, handleOf, initBody } from '../support/fuse-client.ts';
import { MemoryEntryRing } from '../support/entry-ring.ts';

const FLAGS2_OFFSET = 32;
const LARGE_BYTES = 200_000;

/** A client whose session has agreed to take requests from a ring, and the parts of it. */
function connect(settings: ConstructorParameters<typeof FuseClient>[0] = {}) {
  const client = new FuseClient({ ring: true, ...settings });
  return { client, ring: client.ring!, device: client.ringDevice! };
}

/** Blocks so many readers of one pipe; their uniques. */
function blockReaders(client: FuseClient, reader: number, count: number): number[] {
  return Array.from({ length: count }, () => client.send(Opcode.READ, 0, readBody(reader, 100)));
}

describe('the offer of a ring', () => {
  function agreed(client: FuseClient, flags2: number): number {
    const answer = client.request(Opcode.INIT, 0, initBody(7, 45, InitFlag.INIT_EXT, flags2));
    return answer.payload.getUint32(FLAGS2_OFFSET, true);
  }

  test('is taken, and excludes requests that are sent again', () => {
    const { client, device } = connect({ agrees: false });
    expect(agreed(client, INIT2_OVER_IO_URING | INIT2_HAS_RESEND)).toBe(INIT2_OVER_IO_URING);
    expect([device.isRing, client.session.writes.canHoldBack]).toEqual([true, false]);
    expect(Object.fromEntries(client.session.facts())).toMatchObject({
      device: 'io_uring',
      'ring-entries': 8,
    });
  });

  test('that a kernel does not make leaves everything with /dev/fuse', () => {
    const { client, ring, device } = connect({ agrees: false });
    expect(agreed(client, INIT2_HAS_RESEND)).toBe(INIT2_HAS_RESEND);
    expect([device.isRing, ring.isClosed, ring.isFreed, ring.entryCount]).toEqual([false, true, true, 0]);
    expect(client.error(Opcode.STATFS, 1)).toBe(0);
  });

  test.each([
    ['there is no memory', (ring: MemoryEntryRing) => (ring.blocksLeft = 0)],
    ['there is memory for some queues only', (ring: MemoryEntryRing) => (ring.blocksLeft = 1)],
    ['the kernel refuses entries', (ring: MemoryEntryRing) => (ring.registrationError = 12)],
  ])('is given up where %s, and the kernel hears it', (_, prepare) => {
    const { client, ring, device } = connect({ agrees: false });
    prepare(ring);
    expect(agreed(client, INIT2_OVER_IO_URING)).toBe(INIT2_OVER_IO_URING);
    expect([device.isRing, ring.isGivenUp, ring.isFreed]).toEqual([false, true, true]);
    expect(device.refusal).toMatch(/memory for entries|took no entries/);
    expect(client.error(Opcode.STATFS, 1)).toBe(0);
  });
});

describe('requests in entries', () => {
  let client: FuseClient;
  let ring: MemoryEntryRing;
  let device: FuseClient['ringDevice'] & object;
  beforeEach(() => {
    ({ client, ring, device } = connect());
  });

  test('have names, structs and bytes where they belong, whatever processor they come from', () => {
    const pipes = walk(client, 'pipes');
    for (const processor of [0, 1]) {
      client.processor = processor;
      const name = `made on ${processor}`;
      const created = client.request(Opcode.CREATE, pipes, createBody(name, LINUX_O_RDWR));
      const handle = handleOf(created, 128);
      const data = pattern(LARGE_BYTES, processor);
      const small = data.subarray(0, 100);
      expect(client.error(Opcode.WRITE, 0, writeBody(handle, small, LINUX_O_RDWR))).toBe(0);
      const { payload } = client.request(Opcode.READ, 0, readBody(handle, 1000));
      expect(new Uint8Array(payload.buffer, payload.byteOffset)).toEqual(small);
      const moved = new Body().u64(pipes).name(name).name('new');
      expect(client.error(Opcode.RENAME, pipes, moved)).toBe(0);
      expect(client.error(Opcode.RELEASE, 0, releaseBody(handle))).toBe(0);
      expect(client.error(Opcode.UNLINK, pipes, new Body().name('new'))).toBe(0);
    }
  });

  test('keep the bytes of a sleeping write: nothing is copied, whatever comes meanwhile', () => {
    const { reader, writer } = openPipe(client, 'p');
    const data = pattern(LARGE_BYTES);
    const unique = client.send(Opcode.WRITE, 0, writeBody(writer, data));
    expect(client.answers(unique)).toEqual([]);
    expect([client.session.writes.keptBytes, ring.released]).toEqual([LARGE_BYTES, []]);
    const other = openPipe(client, 'q');
    client.send(Opcode.WRITE, 0, writeBody(other.writer, pattern(LARGE_BYTES, 5)));
    const got = Buffer.alloc(LARGE_BYTES);
    for (let at = 0; at < LARGE_BYTES;) {
      const { payload } = client.request(Opcode.READ, 0, readBody(reader, 70_000, LINUX_O_NONBLOCK));
      got.set(new Uint8Array(payload.buffer, payload.byteOffset), at);
      at += payload.byteLength;
    }
    expect(got.equals(data)).toBe(true);
    expect(client.answers(unique)[0]!.payload.getUint32(0, true)).toBe(LARGE_BYTES);
  });

  test('are answered together: one call of the kernel takes the answers and brings the next requests', () => {
    const { reader } = openPipe(client, 'p');
    const message = () => client.message(Opcode.READ, 0, readBody(reader, 10, LINUX_O_NONBLOCK).build());
    for (let count = 0; count < 3; count++) ring.request(message(), 0);
    const before = ring.enters;
    client.serveAll();
    // One brings the three requests; another takes their answers.
    expect(ring.enters - before).toBe(2);
  });

  test('are answered after the notifications that they cause', () => {
    const { reader, writer } = openPipe(client, 'p');
    const poll = new Body().u64(reader).u64(77).u32(1).u32(1);
    client.request(Opcode.POLL, 0, poll);
    const unique = client.send(Opcode.WRITE, 0, writeBody(writer, Buffer.from('x')));
    const order = client.device.sent.map((answer) => answer.unique);
    expect(client.notifiedPolls).toEqual([77]);
    expect(order.lastIndexOf(0)).toBeLessThan(order.indexOf(unique));
  });

  test('are ended by interrupts, which come through /dev/fuse', () => {
    const { reader } = openPipe(client, 'p');
    const [first, second] = blockReaders(client, reader, 2) as [number, number];
    client.send(Opcode.INTERRUPT, 0, interruptBody(first));
    expect(client.answers(first).map(({ error }) => error)).toEqual([-EINTR]);
    expect(client.answers(second)).toEqual([]);
    // The request has been answered: Linux is told to ask again, and does not find it.
    const late = client.send(Opcode.INTERRUPT, 0, interruptBody(first));
    expect(client.answers(late).map(({ error }) => error)).toEqual([-EAGAIN]);
  });

  test('wait for /dev/fuse no longer than for one message of it, and the other way round', () => {
    const { reader } = openPipe(client, 'p');
    for (let count = 0; count < 3; count++) {
      ring.request(client.message(Opcode.READ, 0, readBody(reader, 10, LINUX_O_NONBLOCK).build()), 0);
    }
    const forget = new Body().u64(1).build();
    const served: number[] = [];
    let left = 100;
    client.device.next = () => (left-- > 0 ? client.message(Opcode.FORGET, 1, forget) : -EAGAIN);
    ring.isReadable = true;
    const { buffers } = client.session;
    for (let count = 0; count < 12; count++) {
      const length = device.receive(buffers.current);
      served.push(buffers.current.words[1]!);
      client.session.serve(length);
    }
    expect(served.filter((opcode) => opcode === Opcode.READ)).toHaveLength(3);
    expect(served.filter((opcode) => opcode === Opcode.FORGET)).toHaveLength(9);
    // The answers did not wait for the messages that are left.
    expect(left).toBeGreaterThan(80);
    expect(client.device.sent.slice(-3).map(({ error }) => error)).toEqual([-EAGAIN, -EAGAIN, -EAGAIN]);
  });
});

describe('a server on the processor of its caller', () => {
  const { client, ring, device } = connect({
    ring: { queueCount: 2, initialCount: 8, entryLimit: 16, ownProcessor: 0 },
  });
  const { reader } = openPipe(client, 'p');
  const stat = (processor: number): void => {
    ring.request(client.message(Opcode.STATFS, 1, new Uint8Array()), processor);
    const length = device.receive(client.session.buffers.current);
    client.session.serve(length);
  };

  test('does not spin, and sleeps in the call that takes its answer', () => {
    stat(0);
    const { enters, sleeps } = ring;
    expect(device.isSpinVain).toBe(true);
    expect(device.receive(client.session.buffers.current)).toBe(-EAGAIN);
    expect(ring.enters).toBe(enters);
    device.wait(-1);
    expect([ring.enters, ring.sleeps]).toEqual([enters + 1, sleeps + 1]);
    expect(client.device.sent.at(-1)!.error).toBe(0);
  });

  test('answers all the same when it does not sleep', () => {
    stat(0);
    const { length } = client.device.sent;
    device.receive(client.session.buffers.current);
    device.receive(client.session.buffers.current);
    expect(client.device.sent).toHaveLength(length + 1);
  });

  test('spins for a caller on another one', () => {
    stat(1);
    expect(device.isSpinVain).toBe(false);
    const { length } = client.device.sent;
    device.receive(client.session.buffers.current);
    expect(client.device.sent).toHaveLength(length + 1);
  });

  test('does not sleep while /dev/fuse has more', () => {
    const blocked = blockReaders(client, reader, 2);
    const interrupts = blocked.map((unique) =>
      client.message(Opcode.INTERRUPT, 0, interruptBody(unique).build()),
    );
    client.device.next = () => interrupts.shift() ?? -EAGAIN;
    ring.isReadable = true;
    for (const unique of blocked) {
      const length = device.receive(client.session.buffers.current);
      expect(length).toBeGreaterThan(0);
      client.session.serve(length);
      const { sleeps } = ring;
      device.wait(-1);
      expect(ring.sleeps).toBe(sleeps);
      expect(client.answers(unique)).toHaveLength(1);
    }
  });
});

describe('blocked calls', () => {
  const RING = { queueCount: 2, initialCount: 4, entryLimit: 20 };
  let client: FuseClient;
  let ring: MemoryEntryRing;
  let reader: number;
  let writer: number;
  beforeEach(() => {
    ({ client, ring } = connect({ ring: RING }));
    ({ reader, writer } = openPipe(client, 'p'));
  });

  test('do not use up the entries: there are more before the last one is taken', () => {
    for (let count = 1; count <= 14; count++) {
      blockReaders(client, reader, 1);
      expect(client.error(Opcode.STATFS, 1)).toBe(0);
    }
    expect(ring.entryCount).toBe(RING.entryLimit);
  });

  test('wait in the kernel beyond the limit, where they can be killed, and go on when an entry is free', () => {
    const blocked = blockReaders(client, reader, 16);
    expect(ring.entryCount).toBe(RING.entryLimit);
    const [killed, late] = blockReaders(client, reader, 2) as [number, number];
    expect([ring.waiting.get(0)!.length, client.session.requests.size]).toEqual([2, 16]);
    expect(ring.removeWaiting(killed)).toBe(true);
    client.send(Opcode.INTERRUPT, 0, interruptBody(blocked[0]!));
    expect([ring.waiting.get(0)!.length, client.session.requests.size]).toEqual([0, 16]);
    client.processor = 1;
    client.send(Opcode.WRITE, 0, writeBody(writer, pattern(1700)));
    expect(client.answers(late)).toHaveLength(1);
    expect(client.answers(killed)).toHaveLength(0);
    expect(client.session.requests.size).toBe(0);
  });

  test('take what entries there are while there is no memory for more', () => {
    client.host.isOutOfMemory = true;
    const blocked = blockReaders(client, reader, 3);
    expect([ring.entryCount, ring.isGivenUp]).toEqual([8, false]);
    client.host.isOutOfMemory = false;
    client.send(Opcode.WRITE, 0, writeBody(writer, pattern(300)));
    expect(blocked.every((unique) => client.answers(unique).length === 1)).toBe(true);
  });

  test('that a signal has met before they were received are ended', () => {
    const signals = new Set([702]);
    Object.assign(client.host, { hasSignal: (threadId: number) => signals.has(threadId) });
    const callers = [701, 702, 703].map((pid) => ({ uid: 0, gid: 0, pid }));
    const blocked = callers.map((caller) => client.send(Opcode.READ, 0, readBody(reader, 100), caller));
    const { callouts } = client.fileSystem.kernel;
    client.host.clock.nowMs += 49;
    callouts.runExpired();
    expect(blocked.flatMap((unique) => client.answers(unique))).toEqual([]);
    client.host.clock.nowMs += 2;
    callouts.runExpired();
    client.session.settle();
    expect(blocked.map((unique) => client.answers(unique).map(({ error }) => error))).toEqual([
      [],
      [-EINTR],
      [],
    ]);
    expect(callouts.nextDeadlineMs()).toBe(Infinity);
  });
});

describe('the memory of payloads', () => {
  test('is given back when it is large and free, but for eight entries', () => {
    const { client, ring, device } = connect({ ring: { queueCount: 1, initialCount: 32, entryLimit: 32 } });
    const pipes = Array.from({ length: 12 }, (_, index) => openPipe(client, `p${index}`));
    for (const { writer } of pipes) client.send(Opcode.WRITE, 0, writeBody(writer, pattern(LARGE_BYTES)));
    expect(ring.released).toEqual([]);
    for (const { reader } of pipes) {
      while (client.session.writes.keptBytes > 0) {
        const { error } = client.request(Opcode.READ, 0, readBody(reader, LARGE_BYTES, LINUX_O_NONBLOCK));
        if (error !== 0) break;
      }
    }
    expect(client.session.writes.keptBytes).toBe(0);
    expect(ring.released.length).toBeGreaterThanOrEqual(12 - 8);
    device.checkInvariants();
  });

  test('beyond ipcfs.write_memory counts for the quota of its user, and then nothing sleeps', () => {
    const { client } = connect();
    const { kernel, writeMemory } = client.fileSystem;
    writeMemory.budgetBytes = LARGE_BYTES;
    kernel.sysctls.preset('ipcfs.quota.blocked_bytes', LARGE_BYTES);
    const caller = { uid: 7, gid: 7, pid: 701 };
    const pipes = ['a', 'b', 'c'].map((name) => openPipe(client, name));
    const uniques = pipes.map(({ writer }) =>
      client.send(Opcode.WRITE, 0, writeBody(writer, pattern(LARGE_BYTES)), caller),
    );
    const { writes } = client.session;
    expect(writes.keptBytes).toBe(2 * LARGE_BYTES);
    // The third has written what the pipe took.
    expect(uniques.map((unique) => client.answers(unique).length)).toEqual([0, 0, 1]);
    const { error, payload } = client.answers(uniques[2]!)[0]!;
    expect([error, payload.getUint32(0, true) < LARGE_BYTES]).toEqual([0, true]);
    client.session.interruptAll();
    expect(writes.keptBytes).toBe(0);
    const fourth = client.send(Opcode.WRITE, 0, writeBody(pipes[2]!.writer, pattern(LARGE_BYTES)), caller);
    expect(client.answers(fourth)).toEqual([]);
  });
});

describe('the end of a connection', () => {
  test('is what /dev/fuse says when the kernel gives the entries up', () => {
    const { client, ring, device } = connect();
    ring.abort();
    client.device.next = () => -ENODEV;
    ring.isReadable = true;
    expect(device.receive(client.session.buffers.current)).toBe(-ENODEV);
    client.device.next = () => -EAGAIN;
    device.close();
    expect([ring.isClosed, ring.isFreed]).toEqual([true, true]);
  });

  test('comes with the first answer that the kernel refuses', () => {
    const { client, ring, device } = connect();
    client.request(Opcode.OPENDIR, 1, openBody(0));
    const next = ring.next.bind(ring);
    ring.next = () => {
      ring.next = next;
      ring.result = -EOPNOTSUPP;
      return 3;
    };
    expect(device.receive(client.session.buffers.current)).toBe(-EOPNOTSUPP);
  });

  test('gives every answer to the kernel before the ring is closed', () => {
    const { client, ring, device } = connect();
    const { reader } = openPipe(client, 'p');
    const [unique] = blockReaders(client, reader, 1) as [number];
    client.session.interruptAll();
    device.close();
    expect(ring.isClosed).toBe(true);
    expect(client.device.sent.filter((answer) => answer.unique === unique)).toHaveLength(1);
  });
});

test('a pool that the kernel refuses entries goes on with those that it has', () => {
  const ring = new MemoryEntryRing({ answered: () => undefined, payloadBytes: 4096 });
  const pool = new EntryPool(ring, ring, {
    queueCount: 1,
    initialCount: 2,
    entryLimit: 9,
    hasMemory: () => true,
  });
  expect(pool.start()).toBe(true);
  const [first, second] = pool.entries as [(typeof pool.entries)[0], (typeof pool.entries)[0]];
  pool.lost(second, -12);
  expect([pool.isComplete, pool.freeCount]).toEqual([true, 1]);
  pool.taken(first);
  pool.grow();
  // Not at once: the next would be refused as well.
  expect(pool.entries).toHaveLength(2);
  pool.checkInvariants();
});
