import { beforeEach, expect, test } from 'vitest';
import { opcodeTable } from '../../src/transports/raw/handlers/table.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf } from '../support/engine.ts';
import { openPipe, readBody, releaseBody, walk, writeBody } from '../support/fuse-calls.ts';
import { Body, FuseClient } from '../support/fuse-client.ts';
import { Random } from '../support/random.ts';

const ENOENT = -2;
const EBADF = -9;
const EINVAL = -22;
const ENOSYS = -38;
const UNKNOWN_NODEID = 987_654;
const UNKNOWN_HANDLE = 123_456;

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
});

test.each([0, 7, 34, 4096, 0xffff_ffff])('opcode %i is ENOSYS', (opcode) => {
  expect(client.error(opcode, 1)).toBe(ENOSYS);
});

const entries = opcodeTable.flatMap((entry, opcode) => (entry === undefined ? [] : [{ opcode, ...entry }]));

test.each(entries.filter(({ minimumBytes, isAnswered }) => minimumBytes > 0 && isAnswered))(
  'a $name that is a byte too short is EINVAL',
  ({ opcode, minimumBytes }) => {
    expect(client.error(opcode, 1, new Body().bytes(new Uint8Array(minimumBytes - 1)))).toBe(EINVAL);
  },
);

test.each(entries.filter(({ isAnswered }) => !isAnswered))(
  'a $name that is too short has no answer, as ever',
  ({ opcode }) => {
    client.send(opcode, 1);
    expect(client.device.sent).toEqual([]);
  },
);

test('what is no whole message is dropped, and the next request is served', () => {
  const message = client.message(Opcode.LOOKUP, 1, new Body().name('pipes').build());
  client.deliver(message.subarray(0, 39));
  client.deliver(message.subarray(0, message.length - 1));
  client.deliver(Buffer.concat([message, Buffer.alloc(8)]));
  expect(client.device.sent).toEqual([]);
  client.deliver(message);
  expect(client.device.sent.length).toBe(1);
});

test('a nodeid that nobody was given is ENOENT', () => {
  const named = new Body().name('a');
  expect(client.error(Opcode.LOOKUP, UNKNOWN_NODEID, named)).toBe(ENOENT);
  expect(client.error(Opcode.GETATTR, UNKNOWN_NODEID, new Body().u64(0).u64(0))).toBe(ENOENT);
  expect(client.error(Opcode.SETATTR, UNKNOWN_NODEID, new Body().bytes(new Uint8Array(88)))).toBe(ENOENT);
  expect(client.error(Opcode.OPEN, UNKNOWN_NODEID, new Body().u64(0))).toBe(ENOENT);
  expect(client.error(Opcode.OPENDIR, UNKNOWN_NODEID, new Body().u64(0))).toBe(ENOENT);
  expect(client.error(Opcode.UNLINK, UNKNOWN_NODEID, named)).toBe(ENOENT);
  expect(client.error(Opcode.LINK, 1, new Body().u64(UNKNOWN_NODEID).name('a'))).toBe(ENOENT);
  expect(client.error(Opcode.RENAME, 1, new Body().u64(UNKNOWN_NODEID).name('a').name('b'))).toBe(ENOENT);
  client.send(Opcode.FORGET, UNKNOWN_NODEID, new Body().u64(1));
  expect(client.error(Opcode.DESTROY, 0)).toBe(0);
});

test('a handle that nobody was given is EBADF', () => {
  const handle = UNKNOWN_HANDLE;
  expect(client.error(Opcode.READ, 0, readBody(handle, 10))).toBe(EBADF);
  expect(client.error(Opcode.WRITE, 0, writeBody(handle, bytesOf('x')))).toBe(EBADF);
  expect(client.error(Opcode.RELEASE, 0, releaseBody(handle))).toBe(EBADF);
  expect(client.error(Opcode.RELEASEDIR, 0, releaseBody(handle))).toBe(EBADF);
  expect(client.error(Opcode.READDIR, 0, readBody(handle, 4096))).toBe(EBADF);
  expect(client.error(Opcode.POLL, 0, new Body().u64(handle).u64(0).u64(0))).toBe(EBADF);
  expect(client.error(Opcode.IOCTL, 0, new Body().u64(handle).u64(0).u64(0).u64(0))).toBe(EBADF);
});

test('a directory where a file belongs, and a file where a directory belongs', () => {
  const version = walk(client, 'info/version');
  expect(client.error(Opcode.LOOKUP, version, new Body().name('x'))).toBe(-20);
  expect(client.error(Opcode.OPENDIR, version, new Body().u64(0))).toBe(-20);
  expect(client.error(Opcode.READLINK, version)).toBe(EINVAL);
  expect(client.error(Opcode.CREATE, version, new Body().u64(0).u64(0).name('x'))).toBe(-20);
});

test('a WRITE whose size is not that of its data is EINVAL and writes nothing', () => {
  const { reader, writer } = openPipe(client, 'a');
  const body = writeBody(writer, bytesOf('hello')).build();
  for (const size of [4, 6, 0xffff_ffff]) {
    body.writeUInt32LE(size, 16);
    expect(client.error(Opcode.WRITE, 0, new Body().bytes(body))).toBe(EINVAL);
  }
  expect(client.error(Opcode.READ, 0, readBody(reader, 10, 0o4000))).toBe(-11);
});

test('GETLK, SETLK and SETLKW are EINVAL: there are no locks on pipes', () => {
  const body = new Body().bytes(new Uint8Array(48));
  for (const opcode of [Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW]) {
    expect(client.error(opcode, 1, body)).toBe(EINVAL);
  }
});

test.each([1, 2, 3, 4])('any bytes behind a sound header end nothing (seed %i)', (seed) => {
  const random = new Random(seed);
  // FORGET is left out: lookups are counted in the kernel, which does not invent them.
  const opcodes = entries.filter(({ isAnswered }) => isAnswered).map(({ opcode }) => opcode);
  const { reader } = openPipe(client, 'a');
  for (let round = 0; round < 3000; round++) {
    const body = Uint8Array.from({ length: random.below(120) }, () =>
      random.oneIn(3) ? random.below(256) : random.below(3),
    );
    // Now and then a handle that is one.
    if (body.length >= 8 && random.oneIn(2)) body.set([random.between(1, reader + 3), 0, 0, 0, 0, 0, 0, 0]);
    const unique = client.send(random.pick(opcodes), random.between(1, 12), new Body().bytes(body));
    expect(client.answers(unique).length).toBeLessThanOrEqual(1);
    client.device.sent.length = 0;
  }
  client.session.interruptAll();
  expect(client.error(Opcode.DESTROY, 0)).toBe(0);
});
