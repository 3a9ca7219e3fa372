import { beforeEach, expect, test } from 'vitest';
import { GatherUio } from '../../src/transports/raw/device/gather-uio.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { Directory } from '../../src/vfs/directory.ts';
import { bytesOf } from '../support/engine.ts';
import {
  createBody,
  LINUX_O_RDWR,
  lookup,
  mknodBody,
  openBody,
  openPipe,
  readBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient, nodeidOf, textOf } from '../support/fuse-client.ts';

const EIO = -5;

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
});

test('a handler that throws answers EIO, says so, and everything else goes on', () => {
  const pipes = walk(client, 'pipes');
  const directory = client.fileSystem.root.lookup('pipes') as Directory;
  directory.lookup = () => {
    throw new Error('a broken lookup');
  };
  expect(lookup(client, pipes, 'a').error).toBe(EIO);
  expect(client.host.logged.join()).toContain('a broken lookup');
  Reflect.deleteProperty(directory, 'lookup');
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('x')));
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 10)))).toBe('x');
});

test('an operation that throws after it has slept answers EIO once', () => {
  const { reader, writer } = openPipe(client, 'a');
  const read = client.send(Opcode.READ, 0, readBody(reader, 10));
  expect(client.answers(read)).toEqual([]);
  const file = [...client.fileSystem.openFiles.all()].find((candidate) => candidate.handle === reader)!;
  const end = file.data as { ring: { take: () => number } };
  const { take } = end.ring;
  end.ring.take = () => {
    throw new Error('a broken ring');
  };
  client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('x')));
  expect(client.answers(read).map(({ error }) => error)).toEqual([EIO]);
  expect(client.host.logged.join()).toContain('a broken ring');
  end.ring.take = take;
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 10)))).toBe('x');
});

test('an operation that throws before it sleeps, or whose answer cannot be made, does not spoil the next', () => {
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.WRITE, 0, writeBody(writer, bytesOf('xy')));
  client.device.sendGathered = () => {
    throw new Error('a broken device');
  };
  expect(client.error(Opcode.READ, 0, readBody(reader, 1))).toBe(EIO);
  Reflect.deleteProperty(client.device, 'sendGathered');
  expect(textOf(client.request(Opcode.READ, 0, readBody(reader, 1)))).toBe('y');
  expect(client.host.logged.join()).toContain('a broken device');
});

test('a read gathered from many places arrives in order', () => {
  const uio = new GatherUio();
  uio.reset(100, 0);
  for (let index = 0; index < 40; index++) uio.moveOut(bytesOf(`${index % 10}.`), 0, 2);
  uio.join();
  const target = new Uint8Array(uio.total);
  uio.copyTo(target, 0);
  expect([uio.count, uio.total]).toEqual([1, 80]);
  expect(String.fromCharCode(...target)).toBe('0.1.2.3.4.5.6.7.8.9.'.repeat(4));
});

test.each([
  ['LOOKUP', Opcode.LOOKUP, new Body().name('a')],
  ['MKNOD', Opcode.MKNOD, mknodBody('b', 0o100644)],
  ['MKDIR', Opcode.MKDIR, new Body().u32(0o755).u32(0).name('b')],
  ['SYMLINK', Opcode.SYMLINK, new Body().name('b').name('a')],
  ['CREATE', Opcode.CREATE, createBody('b', LINUX_O_RDWR)],
  ['OPENDIR', Opcode.OPENDIR, openBody(0)],
])('what a %s gave goes again when the kernel does not want the answer', (_name, opcode, body) => {
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o100644));
  const { nodes } = client.session;
  const before = nodes.size;
  client.device.refuses = () => true;
  client.send(opcode, pipes, body);
  client.device.refuses = () => false;
  expect([nodes.size, client.fileSystem.openFiles.size]).toEqual([before, 0]);
  expect(client.fileSystem.pipes.budget.usedBytes).toBe(0);
});

test('a refused LINK leaves the name and no lookup of it', () => {
  const pipes = walk(client, 'pipes');
  const node = nodeidOf(client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o100644)));
  const before = client.session.nodes.size;
  client.device.refuses = () => true;
  client.send(Opcode.LINK, pipes, new Body().u64(node).name('b'));
  client.device.refuses = () => false;
  expect(client.session.nodes.size).toBe(before);
  expect(lookup(client, pipes, 'b').error).toBe(0);
});

test('a handler that throws for a message that has no answer gives it none', () => {
  client.session.nodes.forget = () => {
    throw new Error('a broken table');
  };
  client.device.sent.length = 0;
  client.send(Opcode.FORGET, 1, new Body().u64(1));
  expect(client.device.sent).toEqual([]);
  expect(client.host.logged.join()).toContain('a broken table');
});
