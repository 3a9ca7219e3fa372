import { beforeEach, expect, test } from 'vitest';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { lookup, makePipe, mknodBody, openBody, walk } from '../support/fuse-calls.ts';
import { attrOf, Body, FuseClient, handleOf, nodeidOf, textOf } from '../support/fuse-client.ts';

let client: FuseClient;
let pipes: number;
beforeEach(() => {
  client = new FuseClient();
  pipes = walk(client, 'pipes');
});

interface Entry {
  readonly name: string;
  readonly next: number;
  readonly type: number;
}

/** READDIR (struct fuse_read_in) of at most `size` bytes from `offset` on. */
function readdir(handle: number, offset: number, size: number): Entry[] {
  const answer = client.request(
    Opcode.READDIR,
    0,
    new Body()
      .u64(handle) // fh
      .u64(offset) // offset
      .u32(size) // size
      .u32(0) // read_flags
      .u64(0) // lock_owner
      .u32(0) // flags
      .u32(0), // padding
  );
  expect(answer.error).toBe(0);
  expect(answer.payload.byteLength).toBeLessThanOrEqual(size);
  const entries: Entry[] = [];
  for (let at = 0; at < answer.payload.byteLength;) {
    const length = answer.payload.getUint32(at + 16, true); // namelen
    entries.push({
      next: Number(answer.payload.getBigUint64(at + 8, true)), // off
      type: answer.payload.getUint32(at + 20, true), // type
      name: textOf(answer).slice(at + 24, at + 24 + length),
    });
    at += (24 + length + 7) & ~7;
  }
  return entries;
}

/** struct fuse_setattr_in: the fields that `valid` names. */
function setattrBody(valid: number, fields: Partial<Record<string, number>>): Body {
  const field = (name: string): number => fields[name] ?? 0;
  return new Body()
    .u32(valid) // valid
    .u32(0) // padding
    .u64(0) // fh
    .u64(field('size')) // size
    .u64(0) // lock_owner
    .u64(field('atime')) // atime
    .u64(field('mtime')) // mtime
    .u64(0) // ctime
    .u32(field('atimensec')) // atimensec
    .u32(field('mtimensec')) // mtimensec
    .u32(0) // ctimensec
    .u32(field('mode')) // mode
    .u32(0) // unused4
    .u32(field('uid')) // uid
    .u32(field('gid')) // gid
    .u32(0); // unused5
}

test('READDIR in small pieces lists every name once, a pipe as a FIFO, though names go meanwhile', () => {
  const made = Array.from({ length: 20 }, (_, index) => `pipe-${index}`);
  for (const name of made) client.request(Opcode.MKNOD, pipes, mknodBody(name, 0o100644));
  const handle = handleOf(client.request(Opcode.OPENDIR, pipes, openBody(0)));
  const seen: Entry[] = [];
  for (;;) {
    const entries = readdir(handle, seen.at(-1)?.next ?? 0, 100);
    if (entries.length === 0) break;
    expect(entries.length).toBeLessThanOrEqual(3);
    seen.push(...entries);
    for (const { name } of entries) {
      if (!name.startsWith('.')) client.request(Opcode.UNLINK, pipes, new Body().name(name));
    }
  }
  expect(seen.map(({ name }) => name)).toEqual(['.', '..', ...made]);
  expect(seen.map(({ type }) => type)).toEqual([4, 4, ...made.map(() => 1)]);
  expect(readdir(handle, 0, 4096).map(({ name }) => name)).toEqual(['.', '..']);
  expect(client.error(Opcode.RELEASEDIR, 0, new Body().u64(handle).u64(0).u64(0))).toBe(0);
});

test('READDIR into a buffer that holds no entry gives none', () => {
  const handle = handleOf(client.request(Opcode.OPENDIR, pipes, openBody(0)));
  expect(readdir(handle, 0, 31)).toEqual([]);
  expect(readdir(handle, 0, 32).map(({ name }) => name)).toEqual(['.']);
});

test('SETATTR takes times before 1970 to the nanosecond', () => {
  const nodeid = makePipe(client, 'a');
  const FATTR_ATIME_MTIME = (1 << 4) | (1 << 5);
  const times = { atime: -1, atimensec: 999_999_999, mtime: -5_000_000_000, mtimensec: 1 };
  const answer = client.request(Opcode.SETATTR, nodeid, setattrBody(FATTR_ATIME_MTIME, times));
  expect(attrOf(answer, 16)).toMatchObject(times);
  expect(attrOf(lookup(client, pipes, 'a'), 40)).toMatchObject(times);
});

test('SETATTR changes only what its mask names', () => {
  const nodeid = makePipe(client, 'a');
  const all = { mode: 0o100600, uid: 7, gid: 8, size: 99 };
  expect(attrOf(client.request(Opcode.SETATTR, nodeid, setattrBody(1 << 2, all)), 16)).toMatchObject({
    mode: 0o100644,
    uid: 0,
    gid: 8,
    size: 0,
  });
  expect(attrOf(client.request(Opcode.SETATTR, nodeid, setattrBody(0b1011, all)), 16)).toMatchObject({
    mode: 0o100600,
    uid: 7,
    gid: 8,
    size: 0,
  });
});

test('a name without its NUL is EINVAL, though a zero follows in the buffer', () => {
  const bare = (text: string): Body => new Body().bytes(Buffer.from(text));
  client.session.buffers.current.bytes.fill(0);
  expect(client.error(Opcode.LOOKUP, pipes, bare('abc'))).toBe(-22);
  expect(client.error(Opcode.UNLINK, pipes, bare('abc'))).toBe(-22);
  expect(client.error(Opcode.MKDIR, pipes, new Body().u32(0o755).u32(0).bytes(Buffer.from('abc')))).toBe(-22);
  expect(client.error(Opcode.SYMLINK, pipes, new Body().name('name').bytes(Buffer.from('target')))).toBe(-22);
  expect(client.error(Opcode.RENAME, pipes, new Body().u64(pipes).name('old').bytes(Buffer.from('n')))).toBe(
    -22,
  );
  expect(walkNames()).toEqual([]);
});

function walkNames(): string[] {
  const handle = handleOf(client.request(Opcode.OPENDIR, pipes, openBody(0)));
  return readdir(handle, 0, 4096)
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('.'));
}

test('names of more than 255 bytes are ENAMETOOLONG wherever they are given', () => {
  const long = 'x'.repeat(256);
  makePipe(client, 'a');
  expect(lookup(client, pipes, long).error).toBe(-36);
  expect(client.error(Opcode.MKNOD, pipes, mknodBody(long, 0o100644))).toBe(-36);
  expect(client.error(Opcode.RENAME, pipes, new Body().u64(pipes).name('a').name(long))).toBe(-36);
  expect(client.error(Opcode.RENAME, pipes, new Body().u64(pipes).name('a').name(long.slice(1)))).toBe(0);
  expect(walkNames()).toEqual([long.slice(1)]);
});

test('RENAME2 keeps what NOREPLACE protects, exchanges, and knows no other flag', () => {
  makePipe(client, 'a');
  makePipe(client, 'b');
  const inode = (name: string): number => attrOf(lookup(client, pipes, name), 40)['ino']!;
  const [a, b] = [inode('a'), inode('b')];
  const rename2 = (flags: number): number =>
    client.error(
      Opcode.RENAME2,
      pipes,
      new Body()
        .u64(pipes) // newdir
        .u32(flags) // flags
        .u32(0) // padding
        .name('a') // oldname
        .name('b'), // newname
    );
  expect(rename2(1)).toBe(-17);
  expect(rename2(4)).toBe(-22);
  expect(rename2(2)).toBe(0);
  expect([inode('a'), inode('b')]).toEqual([b, a]);
  expect(rename2(0)).toBe(0);
  expect(inode('b')).toBe(b);
  expect(walkNames()).toEqual(['b']);
});

test('a directory is not moved into itself, by rename or by exchange', () => {
  const mkdir = (parent: number, name: string): number =>
    nodeidOf(client.request(Opcode.MKDIR, parent, new Body().u32(0o755).u32(0).name(name)));
  const outer = mkdir(pipes, 'outer');
  const inner = mkdir(outer, 'inner');
  mkdir(inner, 'innermost');
  const move = (newParent: number, flags: number, newName: string): number =>
    client.error(
      Opcode.RENAME2,
      pipes,
      new Body().u64(newParent).u32(flags).u32(0).name('outer').name(newName),
    );
  expect(move(inner, 0, 'new')).toBe(-22);
  expect(move(outer, 0, 'new')).toBe(-22);
  expect(move(inner, 2, 'innermost')).toBe(-22);
  const back = new Body().u64(pipes).u32(2).u32(0).name('innermost').name('outer');
  expect(client.error(Opcode.RENAME2, inner, back)).toBe(-22);
});

test('a removed directory that is still known takes no names', () => {
  const made = client.request(Opcode.MKDIR, pipes, new Body().u32(0o755).u32(0).name('d'));
  const removed = nodeidOf(made);
  makePipe(client, 'a');
  expect(client.error(Opcode.RMDIR, pipes, new Body().name('d'))).toBe(0);
  expect(client.error(Opcode.MKNOD, removed, mknodBody('x', 0o100644))).toBe(-2);
  expect(client.error(Opcode.MKDIR, removed, new Body().u32(0o755).u32(0).name('x'))).toBe(-2);
  expect(client.error(Opcode.RENAME, pipes, new Body().u64(removed).name('a').name('x'))).toBe(-2);
  expect(walkNames()).toEqual(['a']);
});

test('a named kqueue that is removed between its lookup and its open is ENOENT (simulation, seed 52)', () => {
  const kqueues = walk(client, 'kqueues');
  client.request(Opcode.MKNOD, kqueues, mknodBody('q', 0o100644));
  const found = nodeidOf(lookup(client, kqueues, 'q'));
  client.request(Opcode.UNLINK, kqueues, new Body().name('q'));
  expect(client.error(Opcode.OPEN, found, openBody(2))).toBe(-2);
  expect(client.host.logged).toEqual([]);
});
