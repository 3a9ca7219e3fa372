import { beforeEach, expect, test } from 'vitest';
import { NOTIFY_STORE, Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf } from '../support/engine.ts';
import {
  createBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  makePipe,
  openBody,
  openHandle,
  readBody,
  releaseBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { attrOf, Body, FuseClient, handleOf, initBody, nodeidOf } from '../support/fuse-client.ts';

const LINUX_O_APPEND = 0o2000;
const FATTR_MODE = 1 << 0;
const FATTR_SIZE = 1 << 3;
const FATTR_FH = 1 << 6;
const O_TRUNC_SETS = FATTR_SIZE | (1 << 5) | (1 << 8) | (1 << 9);
const ENDLESS_BYTES = 2 ** 40 - 1;
const EACCES = -13;
const EINVAL = -22;

interface Store {
  readonly nodeid: number;
  /** Where the stored bytes end. */
  readonly end: number;
  readonly length: number;
}

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
});

/** What has been stored since the last look; `at`: the number of messages sent before. */
function stores(): (Store & { readonly at: number })[] {
  return client.device.sent.splice(0).flatMap(({ unique, error, payload }, at) => {
    if (unique !== 0 || error !== NOTIFY_STORE) return [];
    const length = payload.getUint32(16, true);
    expect(payload.byteLength).toBe(24 + length);
    const end = Number(payload.getBigUint64(8, true)) + length;
    return [{ nodeid: Number(payload.getBigUint64(0, true)), end, length, at }];
  });
}

function getattr(nodeid: number): Record<string, number> {
  return attrOf(client.request(Opcode.GETATTR, nodeid, new Body().bytes(new Uint8Array(16))), 16);
}

/** struct fuse_setattr_in. */
function setattr(nodeid: number, valid: number, { size = 0, mode = 0 } = {}): number {
  const body = new Body()
    .u32(valid) // valid
    .u32(0) // padding
    .u64(0) // fh
    .u64(size) // size
    .bytes(new Uint8Array(44)) // lock_owner and times
    .u32(mode) // mode
    .bytes(new Uint8Array(16)); // unused4, uid, gid, unused5
  const answer = client.request(Opcode.SETATTR, nodeid, body);
  return answer.error < 0 ? answer.error : attrOf(answer, 16)['size']!;
}

test('an OPEN of a stream stores one byte where no write ends, before its answer', () => {
  mkdirPair();
  for (const path of ['pairs/p/0', 'kqueue', 'kqueue.bin', 'shm/ctl']) {
    const nodeid = walk(client, path);
    stores();
    openHandle(client, nodeid, LINUX_O_RDWR);
    expect(stores()).toEqual([{ nodeid, end: ENDLESS_BYTES, length: 1, at: 0 }]);
  }
  const nodeid = makePipe(client, 'a');
  const opening = client.send(Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY));
  expect(stores()).toEqual([]);
  const writer = walk(client, 'pipes/a');
  openHandle(client, writer, LINUX_O_WRONLY);
  const sent = client.device.sent.map(({ unique }) => unique);
  expect(sent.indexOf(opening)).toBeGreaterThan(0);
  expect(stores().map(({ nodeid: of }) => of)).toEqual(expect.arrayContaining([nodeid, writer]));
});

function mkdirPair(): void {
  const body = new Body().u32(0o755).u32(0).name('p');
  expect(client.error(Opcode.MKDIR, walk(client, 'pairs'), body)).toBe(0);
}

test('what is no stream keeps its size', () => {
  const made = client.request(Opcode.CREATE, walk(client, 'shm'), createBody('1', LINUX_O_RDWR));
  expect(attrOf(made, 40)['size']).toBe(0);
  getattr(nodeidOf(made));
  expect(setattr(nodeidOf(made), FATTR_SIZE | FATTR_FH, { size: 5000 })).toBe(5000);
  expect(stores()).toEqual([]);
});

/** A read for the page cache: it names no lock owner. How many bytes, or a negative errno. */
function fillPage(nodeid: number, handle: number): number {
  const { error, payload } = client.request(
    Opcode.READ,
    nodeid,
    readBody(handle, 4096, LINUX_O_RDONLY, 0, 0),
  );
  return error < 0 ? error : payload.byteLength;
}

test('an OPEN of a table stores its last byte; the size is shown while it is open', () => {
  const table = walk(client, 'info/pipes');
  expect(getattr(table)['size']).toBe(0);
  const handle = openHandle(client, table, LINUX_O_RDONLY);
  const [store] = stores();
  expect(store).toMatchObject({ nodeid: table, length: 1 });
  expect(getattr(table)['size']).toBe(store!.end);
  // Through /proc/PID/fd, of another length: pages of the cache are of the first.
  makePipe(client, 'a');
  const again = openHandle(client, table, LINUX_O_RDONLY);
  expect(stores().filter(({ nodeid }) => nodeid === table)).toEqual([]);
  expect(fillPage(table, again)).toBe(EINVAL);
  expect(fillPage(table, handle)).toBe(store!.end);
  client.request(Opcode.RELEASE, table, releaseBody(handle));
  expect(getattr(table)['size']).toBe(store!.end);
  client.request(Opcode.RELEASE, table, releaseBody(again));
  expect(getattr(table)['size']).toBe(0);
});

test('P108: a GETATTR of an open pipe says 0, and is not stored; of another nodeid it says what is queued', () => {
  const nodeid = makePipe(client, 'a');
  const handle = openHandle(client, nodeid, LINUX_O_RDWR);
  client.request(Opcode.WRITE, 0, writeBody(handle, bytesOf('hello'), LINUX_O_RDWR));
  const path = walk(client, 'pipes/a');
  stores();
  expect(getattr(path)).toMatchObject({ size: 5, blocks: 1 });
  expect(stores()).toEqual([]);
  expect(getattr(nodeid)).toMatchObject({ size: 0, blocks: 0 });
  const [notice, ...others] = stores();
  // No bytes: so no page is locked. Beyond the size, or the kernel would not take note.
  expect([notice?.nodeid, notice?.length, notice?.at, others]).toEqual([nodeid, 0, 0, []]);
  expect(notice!.end).toBeGreaterThan(ENDLESS_BYTES);
  client.fileSystem.fstatSize.isShown = true;
  expect(getattr(nodeid)).toMatchObject({ size: 5, blocks: 1 });
  expect(stores().length).toBe(1);
  client.request(Opcode.RELEASE, 0, releaseBody(handle));
  client.fileSystem.fstatSize.isShown = false;
  expect(getattr(nodeid)['size']).toBe(0);
  expect(stores()).toEqual([]);
  openHandle(client, nodeid, LINUX_O_RDWR);
  expect(stores().map(({ length }) => length)).toEqual([1]);
});

test('K3: a GETATTR of an open kqueue says how many events are pending', () => {
  const made = client.request(Opcode.CREATE, walk(client, 'kqueues'), createBody('q', LINUX_O_RDWR));
  const change = bytesOf('add user 1\nmodify user 1 trigger\n');
  client.request(Opcode.WRITE, 0, writeBody(handleOf(made, 128), change, LINUX_O_RDWR));
  expect(getattr(nodeidOf(made))['size']).toBe(1);
});

test('the answer to a SETATTR of an open stream has the size that the kernel is to keep', () => {
  const nodeid = makePipe(client, 'a');
  expect(setattr(nodeid, FATTR_MODE, { mode: 0o600 })).toBe(0);
  openHandle(client, nodeid, LINUX_O_RDWR);
  expect(setattr(nodeid, FATTR_MODE, { mode: 0o640 })).toBe(ENDLESS_BYTES);
  expect(setattr(nodeid, FATTR_SIZE | FATTR_FH, { size: 7 })).toBe(ENDLESS_BYTES);
  expect(getattr(nodeid)['mode']).toBe(0o100640);
});

test('the answer to a CREATE has it too: the kernel knows no inode before', () => {
  const pipes = walk(client, 'pipes');
  const made = client.request(Opcode.CREATE, pipes, createBody('a', LINUX_O_RDWR));
  expect(attrOf(made, 40)['size']).toBe(ENDLESS_BYTES);
  const appended = client.request(Opcode.CREATE, pipes, createBody('b', LINUX_O_WRONLY | LINUX_O_APPEND));
  expect(attrOf(appended, 40)['size']).toBe(0);
  expect(stores()).toEqual([]);
  expect(getattr(nodeidOf(made))['size']).toBe(0);
  expect(stores().length).toBe(1);
});

test('an open that only appends changes no size, nor does one beside it', () => {
  const nodeid = makePipe(client, 'a');
  openHandle(client, walk(client, 'pipes/a'), LINUX_O_RDWR);
  stores();
  const appender = openHandle(client, nodeid, LINUX_O_WRONLY | LINUX_O_APPEND);
  getattr(nodeid);
  // Through /proc/PID/fd: now a process could hold the page.
  const other = openHandle(client, nodeid, LINUX_O_RDWR);
  expect(stores()).toEqual([]);
  for (const handle of [appender, other]) client.request(Opcode.RELEASE, 0, releaseBody(handle));
  openHandle(client, nodeid, LINUX_O_RDWR | LINUX_O_APPEND);
  openHandle(client, nodeid, LINUX_O_RDWR);
  expect(stores().map(({ length }) => length)).toEqual([1]);
});

test('the SETATTR of an open with O_TRUNC changes nothing; that of truncate does what it says', () => {
  const nodeid = makePipe(client, 'a');
  const segment = client.request(Opcode.CREATE, walk(client, 'shm'), createBody('1', LINUX_O_RDWR));
  expect(setattr(nodeidOf(segment), FATTR_SIZE | FATTR_FH, { size: 4096 })).toBe(4096);
  const before = getattr(nodeidOf(segment));
  expect(setattr(nodeidOf(segment), O_TRUNC_SETS)).toBe(4096);
  expect(getattr(nodeidOf(segment))).toEqual(before);
  // truncate(2) to 0 by path looks the same to the server as what Linux sends for O_TRUNC.
  expect(setattr(nodeidOf(segment), FATTR_SIZE)).toBe(4096);
  expect(setattr(nodeidOf(segment), FATTR_SIZE | FATTR_FH, { size: 1 })).toBe(-22);
  openHandle(client, nodeid, LINUX_O_RDWR);
  expect(setattr(nodeid, O_TRUNC_SETS)).toBe(ENDLESS_BYTES);
  // Files that have no size to set take it as well: `>` opens them so.
  for (const path of ['kqueue', 'shm/ctl', 'info/pipes']) {
    expect([path, setattr(walk(client, path), O_TRUNC_SETS)]).toEqual([path, 0]);
  }
});

test('an open of an open file through /proc is checked here: the kernel has kept the mode of the first', () => {
  const somebody = { uid: 1001, gid: 1001, pid: 701 };
  const nodeid = makePipe(client, 'a');
  const node = walk(client, 'pipes/a');
  const flags = LINUX_O_RDWR | LINUX_O_NONBLOCK;
  openHandle(client, nodeid, flags);
  expect(client.error(Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY), somebody)).toBe(0);
  setattr(node, FATTR_MODE, { mode: 0o600 });
  expect(client.error(Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY), somebody)).toBe(EACCES);
  expect(client.error(Opcode.OPEN, nodeid, openBody(flags))).toBe(0);
  setattr(node, FATTR_MODE, { mode: 0o604 });
  expect(client.error(Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY), somebody)).toBe(0);
  expect(client.error(Opcode.OPEN, nodeid, openBody(flags), somebody)).toBe(EACCES);
});

test('a kernel before Linux 6.2, where writers exclude each other in any case, is told nothing', () => {
  client = new FuseClient({ agrees: false });
  client.request(Opcode.INIT, 0, initBody(7, 37));
  const nodeid = makePipe(client, 'a');
  openHandle(client, nodeid, LINUX_O_RDWR);
  getattr(nodeid);
  const made = client.request(Opcode.CREATE, walk(client, 'pipes'), createBody('b', LINUX_O_RDWR));
  expect(attrOf(made, 40)['size']).toBe(0);
  expect(handleOf(made, 128)).toBeGreaterThan(0);
  expect(stores()).toEqual([]);
});
