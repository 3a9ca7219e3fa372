import { beforeEach, expect, test } from 'vitest';
import { EBADF } from '../../src/kern/errno.ts';
import { type File, FREAD, FWRITE } from '../../src/kern/file.ts';
import { NO_IDENTITY, UNKNOWN_IDENTITY } from '../../src/kern/host.ts';
import { EVFILT_READ } from '../../src/kern/klist.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import type { Operation } from '../../src/kern/operation.ts';
import { ELSEWHERE, UNDECIDED } from '../../src/kqueue/resolver.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { TreeResolver } from '../../src/tree/ident-resolver.ts';
import { noTransport } from '../../src/vfs/transport.ts';
import { FakeHost, user } from '../support/engine.ts';

const DESCRIPTOR = 5;
const other = { ...user, pid: 501 };

let fileSystem: FileSystem;
/** What the host says of every descriptor. */
let described: { identity: number; inode: number; isReadable: boolean; isWritable: boolean } | null;
/** The handle that asking the descriptor gives; null when the host cannot ask. */
let asked: number | null;

beforeEach(() => {
  const host = new FakeHost();
  fileSystem = new FileSystem(new Kernel(Object.assign(host, { describeDescriptor: () => described })), {
    identity: { uid: 0, gid: 0, version: '0', pid: 1 },
  });
  described = null;
  asked = null;
});

function open(identity: number, flags: number, credentials = user): OpenFile {
  const file = fileSystem.openFiles.add(fileSystem.root.entries.get('kqueue')!, flags, credentials);
  if (typeof file === 'number') throw new Error(`errno ${file}`);
  if (identity !== NO_IDENTITY) fileSystem.openFiles.identify(file, identity);
  return file;
}

function find(): File | number {
  function* ask(): Operation<number> {
    return asked!;
  }
  const transport = { ...noTransport, findHandle: asked === null ? null : ask };
  const resolver = new TreeResolver(fileSystem.root, fileSystem.openFiles, transport);
  const resolve = () => resolver.resolve(null!, DESCRIPTOR, EVFILT_READ, user, null);
  const first = resolve();
  if (first !== UNDECIDED) return first;
  expect(resolver.decide(DESCRIPTOR, user).next().done).toBe(true);
  return resolve();
}

function says(identity: number, isWritable = true): void {
  described = { identity, inode: fileSystem.root.entries.get('kqueue')!.inode, isReadable: true, isWritable };
}

test('a descriptor is the open file of its identity and access mode', () => {
  const [one, two] = [open(7, FREAD | FWRITE), open(8, FREAD | FWRITE)];
  const reader = open(8, FREAD);
  says(7);
  expect(find()).toBe(one);
  says(8);
  expect(find()).toBe(two);
  says(8, false);
  expect(find()).toBe(reader);
  says(9);
  expect(find()).toBe(-EBADF);
  described = null;
  expect(find()).toBe(ELSEWHERE);
});

test('files that have been closed are not found, in whatever order they went', () => {
  const files = [open(7, FREAD), open(7, FREAD), open(7, FREAD)];
  says(7, false);
  for (const [closed, left] of [
    [1, 2],
    [2, 0],
  ] as const) {
    fileSystem.openFiles.drop(files[closed]!);
    expect(find()).toBe(files[left]);
  }
  fileSystem.openFiles.drop(files[0]!);
  expect(find()).toBe(-EBADF);
});

test('of several that look alike the descriptor is asked', () => {
  const files = [open(7, FREAD), open(7, FREAD), open(7, FREAD)];
  says(7, false);
  for (const file of files) {
    asked = file.handle;
    expect(find()).toBe(file);
  }
});

test('where it cannot be asked, the latest that the process itself has opened is taken, or else the latest', () => {
  const own = open(7, FREAD);
  open(7, FREAD, other);
  const latest = open(7, FREAD, other);
  says(7, false);
  for (asked of [null, 0]) expect(find()).toBe(own);
  fileSystem.openFiles.drop(own);
  for (asked of [null, 0]) expect(find()).toBe(latest);
});

test('where the identity is not known either, the inode has to do', () => {
  open(0, FREAD, other);
  const own = open(0, FREAD);
  open(0, FREAD | FWRITE);
  says(UNKNOWN_IDENTITY, false);
  asked = 0;
  expect(find()).toBe(own);
});
