import { beforeEach, expect, test } from 'vitest';
import { GatherUio } from '../../src/transports/raw/gather-uio.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { Directory } from '../../src/vfs/directory.ts';
import { bytesOf } from '../support/engine.ts';
import { lookup, openPipe, readBody, walk, writeBody } from '../support/fuse-calls.ts';
import { FuseClient, textOf } from '../support/fuse-client.ts';

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
