import { beforeEach, expect, test } from 'vitest';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf, pattern } from '../support/engine.ts';
import {
  createBody,
  interruptBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  lookup,
  makePipe,
  mknodBody,
  openBody,
  openHandle,
  openPipe,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { attrOf, FuseClient, handleOf, nodeidOf, textOf } from '../support/fuse-client.ts';

const EINTR = -4;
const EAGAIN = -11;
const EEXIST = -17;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFREG = 0o100000;
const LINUX_O_EXCL = 0o200;

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
});

test('T1: MKNOD of a FIFO shows a FIFO, and the next LOOKUP a regular file of the same inode', () => {
  const pipes = walk(client, 'pipes');
  const made = client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o010640));
  expect(attrOf(made, 40)['mode']).toBe(S_IFIFO | 0o640);
  expect(made.payload.getBigUint64(16, true)).toBe(0n); // entry_valid
  const found = lookup(client, pipes, 'a');
  expect(attrOf(found, 40)['mode']! & S_IFMT).toBe(S_IFREG);
  expect(attrOf(found, 40)['ino']).toBe(attrOf(made, 40)['ino']);
  expect(nodeidOf(found)).not.toBe(nodeidOf(made));
});

test('OPEN, WRITE, READ and RELEASE carry bytes through a pipe', () => {
  const { reader, writer } = openPipe(client, 'a');
  expect(client.fileSystem.openFiles.size).toBe(2);
  const written = client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('hello')));
  expect([written.error, written.payload.getUint32(0, true)]).toEqual([0, 5]);
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 3)))).toBe('hel');
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 100)))).toBe('lo');
  expect(client.error(Opcode.READ, 0, readBody(reader, 100, LINUX_O_NONBLOCK))).toBe(EAGAIN);
  expect(client.error(Opcode.RELEASE, 0, releaseBody(writer))).toBe(0);
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 100)))).toBe('');
  expect(client.error(Opcode.RELEASE, 0, releaseBody(reader))).toBe(0);
  expect(client.fileSystem.openFiles.size).toBe(0);
  expect(client.error(Opcode.READ, 0, readBody(reader, 1))).toBe(-9);
});

test('OPEN of a pipe is answered when the other side has come, as a stream without a cache', () => {
  const nodeid = makePipe(client, 'a');
  const opening = client.send(Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY));
  expect(client.answers(opening)).toEqual([]);
  expect(client.session.requests.size).toBe(1);
  openHandle(client, nodeid, LINUX_O_WRONLY);
  const [answer, ...more] = client.answers(opening);
  expect(more).toEqual([]);
  expect(answer!.error).toBe(0);
  expect(answer!.payload.getUint32(8, true)).toBe((1 << 0) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 6));
  expect(client.session.requests.size).toBe(0);
});

test('CREATE makes and opens without waiting; with O_EXCL an existing name is EEXIST', () => {
  const pipes = walk(client, 'pipes');
  const made = client.request(Opcode.CREATE, pipes, createBody('a', LINUX_O_WRONLY, 0o640));
  expect(attrOf(made, 40)['mode']).toBe(S_IFREG | 0o640);
  expect(client.fileSystem.openFiles.get(handleOf(made, 128))?.writable).toBe(true);
  expect(client.error(Opcode.CREATE, pipes, createBody('a', LINUX_O_WRONLY | LINUX_O_EXCL))).toBe(EEXIST);
  expect(client.fileSystem.openFiles.size).toBe(1);
});

test('CREATE that cannot open takes its name away again', () => {
  const pipes = walk(client, 'pipes');
  const neitherDirection = 3;
  expect(client.error(Opcode.CREATE, pipes, createBody('a', neitherDirection))).toBe(-22);
  expect(lookup(client, pipes, 'a').error).toBe(-2);
  expect(client.fileSystem.openFiles.size).toBe(0);
});

test('CREATE by a writer that does not wait makes the name and opens it, though nobody reads', () => {
  const pipes = walk(client, 'pipes');
  const flags = LINUX_O_WRONLY | LINUX_O_NONBLOCK;
  expect(client.error(Opcode.CREATE, pipes, createBody('a', flags))).toBe(0);
  expect(lookup(client, pipes, 'a').error).toBe(0);
  expect(client.fileSystem.openFiles.size).toBe(1);
});

test('P123: CREATE of a name that is there already refuses a writer that does not wait as OPEN does', () => {
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o010644));
  const flags = LINUX_O_WRONLY | LINUX_O_NONBLOCK;
  expect(client.error(Opcode.CREATE, pipes, createBody('a', flags))).toBe(-6);
  expect(lookup(client, pipes, 'a').error).toBe(0);
  expect(client.fileSystem.openFiles.size).toBe(0);
});

test('T6: INTERRUPT ends a blocked READ with EINTR, in exactly one answer', () => {
  const { reader, writer } = openPipe(client, 'a');
  const read = client.send(Opcode.READ, 0, readBody(reader, 10));
  expect(client.answers(read)).toEqual([]);
  const interrupt = client.send(Opcode.INTERRUPT, 0, interruptBody(read));
  expect(client.answers(interrupt)).toEqual([]);
  expect(client.answers(read).map(({ error }) => error)).toEqual([EINTR]);
  client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('x')));
  expect(client.answers(read).length).toBe(1);
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 10)))).toBe('x');
});

test('INTERRUPT of a blocked OPEN leaves no open file', () => {
  const nodeid = makePipe(client, 'a');
  const opening = client.send(Opcode.OPEN, nodeid, openBody(LINUX_O_WRONLY));
  client.send(Opcode.INTERRUPT, 0, interruptBody(opening));
  expect(client.answers(opening).map(({ error }) => error)).toEqual([EINTR]);
  expect(client.fileSystem.openFiles.size).toBe(0);
  expect(client.session.requests.size).toBe(0);
});

test('INTERRUPT of a blocked WRITE answers with what was written', () => {
  const { writer } = openPipe(client, 'a');
  const chunks = (): number => {
    const unique = client.send(Opcode.WRITE, 0, writeBody(writer, pattern(8000)));
    const [answer] = client.answers(unique);
    if (answer !== undefined) return answer.payload.getUint32(0, true);
    client.send(Opcode.INTERRUPT, 0, interruptBody(unique));
    const [late, ...more] = client.answers(unique);
    expect(more).toEqual([]);
    expect(late!.error).toBe(0);
    return -late!.payload.getUint32(0, true);
  };
  let count = chunks();
  let total = 0;
  for (; count > 0; count = chunks()) total += count;
  expect(total - count).toBe(65536);
});

test('INTERRUPT of a request that is not known is EAGAIN: the kernel asks again', () => {
  expect(client.error(Opcode.INTERRUPT, 0, interruptBody(4711))).toBe(EAGAIN);
  const { reader } = openPipe(client, 'a');
  const read = client.send(Opcode.READ, 0, readBody(reader, 10, LINUX_O_NONBLOCK));
  expect(client.error(Opcode.INTERRUPT, 0, interruptBody(read))).toBe(EAGAIN);
});

test('T7: EPIPE sends SIGPIPE to the calling thread before the answer', () => {
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.RELEASE, 0, releaseBody(reader));
  const caller = { uid: 0, gid: 0, pid: 4242 };
  let signalled: number[] = [];
  client.device.refuses = () => {
    signalled = [...client.host.sigpipe];
    return false;
  };
  expect(client.error(Opcode.WRITE, 0, writeBody(writer, bytesOf('x')), caller)).toBe(-32);
  expect(signalled).toEqual([4242]);
});

test('a later part of one write that fails with EPIPE sends no signal', () => {
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.RELEASE, 0, releaseBody(reader));
  const later = writeBody(writer, bytesOf('x'), LINUX_O_WRONLY, 1048576);
  expect(client.error(Opcode.WRITE, 0, later)).toBe(-32);
  expect(client.host.sigpipe).toEqual([]);
});

test('P33: a later part of one read takes what is there and does not wait', () => {
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('rest')));
  const later = readBody(reader, 100, LINUX_O_RDONLY, 1048576);
  expect(textOf(client.request(Opcode.READ, 0, later))).toBe('rest');
  const none = client.request(Opcode.READ, 0, later);
  expect([none.error, none.payload.byteLength]).toEqual([0, 0]);
  const waiting = client.send(Opcode.READ, 0, readBody(reader, 100));
  expect(client.answers(waiting)).toEqual([]);
});

test('a small write that sleeps does not keep the receive buffer', () => {
  const { reader, writer } = openPipe(client, 'a');
  const data = pattern(60_000);
  const writing = client.send(Opcode.WRITE, 0, writeBody(writer, data));
  expect(client.answers(writing)).toEqual([]);
  const { buffers } = client.session;
  buffers.current.bytes.fill(0xee);
  const got: Buffer[] = [];
  for (let length = 0; length < data.length; length = Buffer.concat(got).length) {
    got.push(Buffer.from(textOf(client.request(Opcode.READ, 0, readBody(reader, 4096))), 'latin1'));
  }
  expect(Buffer.concat(got).equals(data)).toBe(true);
  expect(client.answers(writing).map(({ payload }) => payload.getUint32(0, true))).toEqual([data.length]);
});

test('a large write that sleeps keeps its receive buffer, which comes back', () => {
  const { reader, writer } = openPipe(client, 'a');
  const data = pattern(100_000);
  const { buffers } = client.session;
  const kept = client.deliver(client.message(Opcode.WRITE, 0, writeBody(writer, data).build()));
  expect(buffers.current).not.toBe(kept);
  buffers.current.bytes.fill(0xee);
  const got = textOf(client.request(Opcode.READ, 0, readBody(reader, 1048576)));
  expect(Buffer.from(got, 'latin1').equals(data)).toBe(true);
  expect(buffers.keepCurrent()).not.toBe(kept);
  expect(buffers.current).toBe(kept);
});

test('an OPEN whose answer the kernel does not want is closed again', () => {
  const nodeid = makePipe(client, 'a');
  client.device.refuses = () => true;
  client.send(Opcode.OPEN, nodeid, openBody(LINUX_O_RDWR));
  expect(client.fileSystem.openFiles.size).toBe(0);
  client.device.refuses = () => false;
  // Nobody reads, so a writer that will not wait is refused.
  const flags = LINUX_O_WRONLY | LINUX_O_NONBLOCK;
  expect(client.error(Opcode.OPEN, nodeid, openBody(flags))).toBe(-6);
});

test('calls that wait are listed with caller, call and object; the end of the mount ends them', () => {
  const { reader } = openPipe(client, 'a');
  const read = client.send(Opcode.READ, 0, readBody(reader, 10), undefined);
  const file = openHandle(client, walk(client, 'info/waits.json'), LINUX_O_RDONLY);
  const rows = JSON.parse(textOf(client.request(Opcode.READ, 0, readBody(file, 4096)))) as unknown;
  expect(rows).toHaveLength(1);
  expect(rows).toMatchObject([{ pid: 700, call: 'read', object: 'pipes/a', wait: 'piperd', since: 0 }]);
  client.session.interruptAll();
  expect(client.answers(read).map(({ error }) => error)).toEqual([EINTR]);
  expect(client.session.requests.size).toBe(0);
});
