import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assert } from '../../src/kern/assert.ts';
import { LK_FLOCK, LockType, Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { opcodes } from '../../src/transports/raw/protocol/opcodes.ts';
import { bytesOf } from '../support/engine.ts';
import {
  createBody,
  flushBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDWR,
  lockBody,
  mknodBody,
  openBody,
  openHandle,
  openPipe,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient, handleOf, initBody, type RingSettings, textOf } from '../support/fuse-client.ts';
import { seedFromEnvironment } from '../support/random.ts';

const ROUNDS = 1500;
/** Requests of a round, on one server. */
const REQUESTS = 300;
const seed = seedFromEnvironment();
const IN_HEADER_BYTES = 40;
const UNIQUE_OFFSET = 8;
const EIO = -5;

/** Any value that lies at an edge of its field. */
const edge = fc.constantFrom(
  ...[
    0n,
    1n,
    2n,
    7n,
    0x7fff_ffffn,
    0x8000_0000n,
    0xffff_ffffn,
    2n ** 53n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ],
);

/** What is done to the bytes of a sound request. Positions are taken modulo its length. */
type Mutation =
  | { readonly kind: 'flip'; readonly position: number; readonly bit: number }
  | { readonly kind: 'word'; readonly position: number; readonly value: bigint }
  | { readonly kind: 'long'; readonly position: number; readonly value: bigint }
  | { readonly kind: 'cut'; readonly position: number }
  | { readonly kind: 'append'; readonly count: number }
  | { readonly kind: 'length'; readonly value: bigint }
  | { readonly kind: 'opcode'; readonly value: number }
  | { readonly kind: 'nodeid'; readonly value: number }
  | { readonly kind: 'handle'; readonly value: number }
  | { readonly kind: 'noNul' };

const position = fc.nat(400);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), position, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('word' as const), position, value: edge }),
  fc.record({ kind: fc.constant('long' as const), position, value: edge }),
  fc.record({ kind: fc.constant('cut' as const), position }),
  fc.record({ kind: fc.constant('append' as const), count: fc.nat(300) }),
  fc.record({ kind: fc.constant('length' as const), value: edge }),
  fc.record({ kind: fc.constant('opcode' as const), value: fc.oneof(fc.nat(60), fc.constant(4096)) }),
  fc.record({ kind: fc.constant('nodeid' as const), value: fc.nat(60) }),
  fc.record({ kind: fc.constant('handle' as const), value: fc.nat(30) }),
  fc.record({ kind: fc.constant('noNul' as const) }),
);

/** Uniques of requests that are sound: none that a mutation could make. */
const SOUND_UNIQUES = 0x5_1234_5678_0000;

function mutate(message: Buffer, change: Mutation): Buffer {
  if (message.length <= IN_HEADER_BYTES) return message;
  switch (change.kind) {
    case 'flip':
      message[change.position % message.length]! ^= 1 << change.bit;
      return message;
    case 'word':
      message.writeUInt32LE(
        Number(change.value & 0xffff_ffffn),
        (change.position % (message.length - 3)) & ~3,
      );
      return message;
    case 'long':
      message.writeBigUInt64LE(change.value, (change.position % (message.length - 7)) & ~7);
      return message;
    case 'cut':
      return withLength(
        Buffer.from(message.subarray(0, IN_HEADER_BYTES + (change.position % (message.length - 39)))),
      );
    case 'append':
      return withLength(Buffer.concat([message, Buffer.alloc(change.count, 0x61)]));
    case 'length':
      message.writeUInt32LE(Number(change.value & 0xffff_ffffn), 0);
      return message;
    case 'opcode':
      message.writeUInt32LE(change.value, 4);
      return message;
    case 'nodeid':
      message.writeBigUInt64LE(BigInt(change.value), 16);
      return message;
    case 'handle':
      if (message.length >= IN_HEADER_BYTES + 8)
        message.writeBigUInt64LE(BigInt(change.value), IN_HEADER_BYTES);
      return message;
    case 'noNul':
      return withLength(Buffer.from(message.subarray(0, message.length - 1)));
  }
}

function withLength(message: Buffer): Buffer {
  if (message.length >= 4) message.writeUInt32LE(message.length, 0);
  return message;
}

/** A sound request for a server that `prepare` has made. */
const templates: readonly (readonly [opcode: number, nodeid: number, body: () => Body])[] = [
  [Opcode.INIT, 0, () => initBody(7, 45)],
  [Opcode.INIT, 0, () => initBody(7, 12)],
  [Opcode.LOOKUP, 2, () => new Body().name('a')],
  [Opcode.GETATTR, 2, () => new Body().u64(0).u64(0)],
  [Opcode.SETATTR, 3, () => new Body().u32(0x1ff).u32(0).u64(1).u64(100).bytes(new Uint8Array(64))],
  [Opcode.MKNOD, 2, () => mknodBody('b', 0o010644)],
  [Opcode.MKDIR, 2, () => new Body().u32(0o755).u32(0).name('d')],
  [Opcode.MKDIR, 4, () => new Body().u32(0o755).u32(0).name('p')],
  [Opcode.SYMLINK, 2, () => new Body().name('s').name('target')],
  [Opcode.READLINK, 2, () => new Body()],
  [Opcode.LINK, 2, () => new Body().u64(3).name('l')],
  [Opcode.UNLINK, 2, () => new Body().name('b')],
  [Opcode.RMDIR, 2, () => new Body().name('d')],
  [Opcode.RENAME, 2, () => new Body().u64(2).name('b').name('c')],
  [Opcode.RENAME2, 2, () => new Body().u64(2).u32(1).u32(0).name('c').name('b')],
  [Opcode.OPEN, 3, () => openBody(LINUX_O_RDWR)],
  [Opcode.CREATE, 2, () => createBody('e', LINUX_O_RDWR)],
  [Opcode.CREATE, 5, () => createBody('0x1', LINUX_O_RDWR)],
  [Opcode.READ, 3, () => readBody(1, 100, LINUX_O_NONBLOCK)],
  [Opcode.READ, 3, () => readBody(1, 100)],
  [Opcode.WRITE, 3, () => writeBody(2, bytesOf('hello'))],
  [Opcode.WRITE, 3, () => writeBody(4, bytesOf('add user 1 trigger\n'))],
  [Opcode.WRITE, 3, () => writeBody(5, bytesOf('get 7 4096 create\nstat 65536\n'))],
  [Opcode.OPENDIR, 2, () => openBody(0)],
  [Opcode.READDIR, 2, () => readBody(3, 4096)],
  [Opcode.RELEASEDIR, 2, () => releaseBody(3)],
  [Opcode.RELEASE, 3, () => releaseBody(2)],
  [Opcode.POLL, 3, () => new Body().u64(1).u64(1).u32(1).u32(5)],
  [Opcode.IOCTL, 3, () => new Body().u64(1).u32(0).u32(0x8004667f).u64(0).u32(4).u32(4).u32(0)],
  [Opcode.STATFS, 1, () => new Body()],
  [Opcode.GETLK, 3, () => lockBody(6, { type: LockType.Exclusive, end: 9n })],
  [Opcode.SETLK, 3, () => lockBody(2, { type: LockType.Shared, flags: LK_FLOCK })],
  [Opcode.SETLK, 3, () => lockBody(6, { type: LockType.Exclusive, start: 5n, end: 9n })],
  [Opcode.SETLKW, 3, () => lockBody(1, { type: LockType.Exclusive, flags: LK_FLOCK })],
  [Opcode.SETLKW, 3, () => lockBody(6, { type: LockType.Exclusive, owner: 2n, end: 7n })],
  [Opcode.SETLKW, 3, () => lockBody(6, { type: LockType.Unlocked, start: 6n, end: 6n })],
  [Opcode.FLUSH, 3, () => flushBody(6, 1)],
  [Opcode.FORGET, 3, () => new Body().u64(1)],
  [Opcode.BATCH_FORGET, 0, () => new Body().u32(2).u32(0).u64(3).u64(1).u64(4).u64(1)],
  [Opcode.INTERRUPT, 0, () => new Body().u64(20)],
  [Opcode.DESTROY, 0, () => new Body()],
];

/** Nodes: 2 pipes, 3 pipes/a, 4 pairs, 5 shm. Handles: 1 and 2 of the pipe, 3 a directory, 4 a kqueue, 5 shm/ctl, 6 a segment. */
function prepare(isByRing: boolean): FuseClient {
  const client = new FuseClient({ ring: isByRing && MANY_ENTRIES });
  // One segment's memory is this program's: what a request may ask for is kept small.
  client.fileSystem.kernel.sysctls.preset('kern.ipc.shmmax', 64 * 1024);
  openPipe(client, 'a');
  const pipes = walk(client, 'pipes');
  client.request(Opcode.OPENDIR, pipes, openBody(0));
  for (const path of ['kqueue', 'shm/ctl']) openHandle(client, walk(client, path), LINUX_O_RDWR);
  client.request(Opcode.CREATE, walk(client, 'shm'), createBody('0x7', LINUX_O_RDWR));
  walk(client, 'pairs');
  client.device.sent.length = 0;
  return client;
}

/** A request with a unique that another one has, which no kernel makes, may keep its entry for ever. */
const MANY_ENTRIES: RingSettings = {
  queueCount: 1,
  initialCount: 16,
  entryLimit: 512,
  payloadBytes: 256 * 1024,
};

/** Without the mark of a request that comes again: its answer has that mark too. */
function uniqueOf(message: Buffer): number {
  return Number(BigInt.asUintN(63, message.readBigUInt64LE(UNIQUE_OFFSET)));
}

/** How many answers each unique is to have in the end; null for those that interrupts have, which may have one or none. */
type Wanted = Map<number, number | null>;

/** Delivers any bytes, and holds them to what must be true of the answers. */
function deliver(client: FuseClient, message: Buffer, wanted: Wanted): void {
  const { device } = client;
  const before = device.sent.length;
  client.deliver(message);
  for (const { unique, error, payload } of device.sent.slice(before)) {
    if (unique === 0) continue;
    assert(error <= 0 && error >= -4095, 'an error is an errno');
    assert(error === 0 || payload.byteLength === 0, 'an error says nothing else');
    assert(wanted.has(unique) || unique === uniqueOf(message), 'only requests are answered');
  }
  assert(!client.host.logged.some((line) => line.includes('internal error')), client.host.logged.join('\n'));
  const isWhole = message.length >= IN_HEADER_BYTES && message.readUInt32LE(0) === message.length;
  const unique = message.length >= 16 ? uniqueOf(message) : 0;
  if (isWhole && unique > 0 && unique < 2 ** 53) {
    const opcode = message.readUInt32LE(4);
    const answers = (opcodes[opcode]?.isAnswered ?? true) ? 1 : 0;
    const known = wanted.get(unique);
    wanted.set(unique, opcode === Opcode.INTERRUPT || known === null ? null : (known ?? 0) + answers);
  }
  const sleeps = [...client.session.blockedCalls()].length;
  assert(sleeps >= client.session.requests.size, 'what is in flight sleeps');
}

/** Once every sleep has been ended, every request has had its answer. */
function checkAnswers(client: FuseClient, wanted: Wanted): void {
  client.session.interruptAll();
  assert(client.session.requests.size === 0, 'every sleep can be ended');
  for (const [unique, count] of wanted) {
    const { length } = client.answers(unique);
    assert(
      count === null ? length <= 2 * REQUESTS : length === count,
      `${count ?? ''} answers are wanted, not ${length}`,
    );
  }
}

/** A caller that knows what it does finds everything as it should be. */
function useSoundly(client: FuseClient): void {
  client.device.sent.length = 0;
  const pipes = walk(client, 'pipes');
  client.error(Opcode.UNLINK, pipes, new Body().name('sound'));
  const created = client.request(Opcode.CREATE, pipes, createBody('sound', LINUX_O_RDWR));
  assert(created.error === 0, 'a pipe can be made');
  const handle = handleOf(created, 128);
  assert(
    client.error(Opcode.WRITE, 0, writeBody(handle, bytesOf('sound'), LINUX_O_RDWR)) === 0,
    'it can be written',
  );
  assert(textOf(client.request(Opcode.READ, 0, readBody(handle, 99))) === 'sound', 'it can be read');
  assert(client.error(Opcode.RELEASE, 0, releaseBody(handle)) === 0, 'it can be closed');
  assert(client.error(Opcode.UNLINK, pipes, new Body().name('sound')) === 0, 'it can be removed');
}

/** Everything that is open is closed: nothing may be left behind it. */
function closeAll(client: FuseClient): void {
  const { fileSystem, session } = client;
  session.interruptAll();
  for (const { handle, isDirectory } of [...fileSystem.openFiles.all()].map((file) => ({
    handle: file.handle,
    isDirectory: file.node.type === 0o040000,
  }))) {
    const opcode = isDirectory ? Opcode.RELEASEDIR : Opcode.RELEASE;
    assert(client.error(opcode, 0, releaseBody(handle)) === 0, 'what is open can be closed');
  }
  assert(fileSystem.openFiles.size === 0, 'no file is left');
  assert(fileSystem.kernel.scheduler.sleepingCount === 0, 'nobody sleeps');
  fileSystem.shm.checkInvariants();
  const pairs = fileSystem.root.lookup('pairs') as unknown as { entries: Map<string, unknown> };
  assert(
    fileSystem.pipes.budget.usedBytes === 0 || pairs.entries.size > 0,
    'pipes that nobody uses have no memory',
  );
}

const request = fc.record({
  template: fc.nat(templates.length - 1),
  mutations: fc.array(mutation, { maxLength: 3 }),
});

function build(
  client: FuseClient,
  { template, mutations }: { template: number; mutations: Mutation[] },
): Buffer {
  const [opcode, nodeid, body] = templates[template]!;
  let message = client.message(opcode, nodeid, body().build());
  for (const change of mutations) message = mutate(message, change);
  return message;
}

test(
  `up to ${ROUNDS * REQUESTS} requests that may be anything end in an answer each, and the server goes on`,
  { timeout: 600_000 },
  () => {
    console.log(`fuzzing with IPCFS_SEED=${seed}`);
    let delivered = 0;
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: REQUESTS, size: 'max' }),
        fc.boolean(),
        (requests, isByRing) => {
          const client = prepare(isByRing);
          const wanted: Wanted = new Map();
          for (const one of requests) {
            deliver(client, build(client, one), wanted);
            delivered++;
          }
          checkAnswers(client, wanted);
          client.countUniquesFrom(SOUND_UNIQUES);
          useSoundly(client);
          closeAll(client);
          useSoundly(client);
        },
      ),
      { seed: seed | 0, numRuns: ROUNDS },
    );
    expect(delivered).toBeGreaterThan(100_000);
  },
);

test('before INIT nothing but INIT is served, whatever comes', { timeout: 600_000 }, () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 20 }), (requests) => {
      const client = new FuseClient({ agrees: false });
      const wanted: Wanted = new Map();
      for (const one of requests) {
        const message = build(client, one);
        if (message.readUInt32LE(4) === Opcode.INIT) continue;
        deliver(client, message, wanted);
      }
      for (const { error } of client.device.sent)
        assert(error === EIO || error === -38, 'nothing is served yet');
      checkAnswers(client, wanted);
      client.countUniquesFrom(SOUND_UNIQUES);
      assert(client.error(Opcode.INIT, 0, initBody(7, 45)) === 0, 'INIT is served');
      useSoundly(client);
    }),
    { seed: seed | 0, numRuns: 300 },
  );
});
