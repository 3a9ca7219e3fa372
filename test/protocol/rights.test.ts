import { beforeEach, expect, test } from 'vitest';
import { EACCES, EINVAL, EPERM } from '../../src/kern/errno.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { ReadIn } from '../../src/transports/raw/protocol/layouts.ts';
import {
  createBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  lookup,
  openHandle,
  openPipe,
  readBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, type Caller, FuseClient, textOf } from '../support/fuse-client.ts';

const LINUX_O_TRUNC = 0o1000;

const alice: Caller = { uid: 1001, gid: 1001, pid: 501 };
const bob: Caller = { uid: 1002, gid: 1002, pid: 502 };
/** In bob's group as a supplementary one. */
const colleague: Caller = { uid: 1003, gid: 1003, pid: 503 };
const root: Caller = { uid: 0, gid: 0, pid: 504 };

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
  const groupsOf = (pid: number): readonly number[] => (pid === colleague.pid ? [bob.gid] : []);
  Object.assign(client.host, { supplementaryGroups: groupsOf });
});

/** bob makes a segment by the control file, which takes no lock of the host's kernel. */
function makeSegment(mode: string, key = '0x5'): void {
  const handle = openHandle(client, walk(client, 'shm/ctl'), LINUX_O_RDWR);
  const line = Buffer.from(`get ${key} 4096 create ${mode}\n`);
  client.request(Opcode.WRITE, 0, writeBody(handle, line, LINUX_O_RDWR), bob);
  expect(textOf(client.request(Opcode.READ, 0, readBody(handle, 100), bob))).toMatch(/^ok /);
}

test('[SEC-12] a segment that came after the kernel looked is opened by CREATE as its mode says', () => {
  makeSegment('0640');
  const shm = walk(client, 'shm');
  const cases: [Caller, number, boolean][] = [
    [bob, LINUX_O_RDWR, true],
    [root, LINUX_O_RDWR, true],
    [colleague, LINUX_O_RDONLY, true],
    [colleague, LINUX_O_RDONLY | LINUX_O_TRUNC, false],
    [colleague, LINUX_O_WRONLY, false],
    [colleague, LINUX_O_RDWR, false],
    [alice, LINUX_O_RDONLY, false],
    [alice, LINUX_O_RDWR, false],
  ];
  for (const [caller, flags, works] of cases) {
    const error = client.error(Opcode.CREATE, shm, createBody('0x5', flags), caller);
    expect([caller.uid, flags, error]).toEqual([caller.uid, flags, works ? 0 : -EACCES]);
  }
});

test('[SEC-12] a segment that came after the kernel looked is removed by its owner and root only', () => {
  makeSegment('0666');
  const shm = walk(client, 'shm');
  const unlink = (caller: Caller): number => client.error(Opcode.UNLINK, shm, new Body().name('0x5'), caller);
  expect(unlink(alice)).toBe(-EPERM);
  expect(lookup(client, shm, '0x5').error).toBe(0);
  expect(unlink(bob)).toBe(0);
  makeSegment('0666');
  expect(unlink(root)).toBe(0);
  makeSegment('0666');
  // Without the sticky bit every user who may write the directory may remove names, as the kernel has it.
  client.fileSystem.root.entries.get('shm')!.permissions = 0o777;
  expect(unlink(alice)).toBe(0);
});

/** The kernel fills a page of its cache: nobody is named as the reader. */
function pageBody(handle: number, flags: number): Uint8Array {
  const body = readBody(handle, 4096, flags).build();
  body.writeUInt32LE(0, ReadIn.readFlags);
  return body;
}

test('a page of the cache is not filled from a pipe or a kqueue, which keep what they have', () => {
  const { reader, writer } = openPipe(client, 'a');
  const queue = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR | LINUX_O_NONBLOCK);
  client.request(Opcode.WRITE, 0, writeBody(writer, Buffer.from('data')));
  client.request(Opcode.WRITE, 0, writeBody(queue, Buffer.from('add user 1 trigger\n'), LINUX_O_RDWR));
  for (const [handle, text] of [
    [reader, 'data'],
    [queue, 'user 1 data=0 flags=- fflags=0 udata=-\n'],
  ] as const) {
    const page = new Body().bytes(pageBody(handle, LINUX_O_NONBLOCK));
    expect(client.error(Opcode.READ, 0, page)).toBe(-EINVAL);
    expect(textOf(client.request(Opcode.READ, 0, readBody(handle, 4096)))).toBe(text);
  }
});
