import { assert } from '../../src/kern/assert.ts';
import { FOPEN_NOFLUSH, Opcode, READ_LOCKOWNER } from '../../src/transports/raw/protocol/constants.ts';
import { Attr, EntryOut, OpenOut } from '../../src/transports/raw/protocol/layouts.ts';
import type { Random } from '../support/random.ts';
import type { Answer, Call, FileKind, KernelFile, KernelNode } from './kernel.ts';
import type { Program, SimulatedThread } from './processes.ts';
import type { World } from './world.ts';

/** Parts of programs: calls that return something. */
export type Steps<T> = Generator<Call, T, Answer>;

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
const ENOENT = -2;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** What a program works with. */
export interface Context {
  readonly world: World;
  readonly thread: SimulatedThread;
  readonly random: Random;
}

function nodeidAt(answer: Answer): number {
  return answer.view.getUint32(0, true) + answer.view.getUint32(4, true) * 2 ** 32;
}

function modeAt(answer: Answer): number {
  return answer.view.getUint32(EntryOut.attr + Attr.mode, true);
}

function sizeAt({ view }: Answer): number {
  const at = EntryOut.attr + Attr.size;
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** Makes a call whose answer shows a node; the node, or a negative errno. Refused answers are errors of the caller's. */
export function* entryCall({ world, thread }: Context, call: Call): Steps<KernelNode | number> {
  const answer = yield call;
  if (answer.error !== 0) return answer.error;
  assert(answer.payload.length >= EntryOut.bytes, 'an entry is whole');
  const inode = answer.view.getUint32(EntryOut.attr + Attr.ino, true);
  assert(inode > 0, 'a node has an inode');
  if (answer.isRefused) return ENOENT;
  const node = world.kernel.learn(nodeidAt(answer), modeAt(answer), sizeAt(answer));
  thread.pinned.push(node);
  return node;
}

export function* lookup(context: Context, parent: KernelNode, name: string): Steps<KernelNode | number> {
  return yield* entryCall(context, {
    opcode: Opcode.LOOKUP,
    nodeid: parent.nodeid,
    body: (writer) => writer.name(name),
  });
}

interface FileShape {
  readonly kind: FileKind;
  readonly flags: number;
}

/** `openOut`: where the answer has its struct fuse_open_out. */
function newFile(
  { world, thread }: Context,
  node: KernelNode,
  { view }: Answer,
  openOut: number,
  { kind, flags }: FileShape,
): KernelFile {
  const handle = view.getUint32(openOut + OpenOut.fh, true);
  const openFlags = view.getUint32(openOut + OpenOut.openFlags, true);
  const access = flags & 3;
  const file = world.kernel.opened({
    handle,
    node,
    kind,
    isReadable: access !== O_WRONLY,
    isWritable: access !== O_RDONLY,
    isDirectory: kind === 'directory',
    isFlushed: kind !== 'directory' && (openFlags & FOPEN_NOFLUSH) === 0,
    nonBlocking: (flags & O_NONBLOCK) !== 0,
    references: 1,
    calls: 0,
    polledEvents: 0,
    polledBy: null,
    position: 0,
    flock: null,
  });
  thread.process.descriptors.push(file);
  return file;
}

/** OPEN or OPENDIR; the open file, or a negative errno. */
export function* open(context: Context, node: KernelNode, shape: FileShape): Steps<KernelFile | number> {
  // The kernel opens directories otherwise, and follows links itself.
  if (node.type !== (shape.kind === 'directory' ? S_IFDIR : S_IFREG)) return ENOENT;
  const answer = yield {
    note: `flags ${shape.flags}`,
    opcode: shape.kind === 'directory' ? Opcode.OPENDIR : Opcode.OPEN,
    nodeid: node.nodeid,
    body: (writer) => writer.u32(shape.flags).u32(0),
  };
  if (answer.error !== 0) return answer.error;
  assert(answer.payload.length === OpenOut.bytes, 'an answer to an open is whole');
  return answer.isRefused ? ENOENT : newFile(context, node, answer, 0, shape);
}

/** CREATE; the open file, or a negative errno. */
export function* create(
  context: Context,
  parent: KernelNode,
  name: string,
  shape: FileShape,
): Steps<KernelFile | number> {
  const { world, thread } = context;
  const answer = yield {
    opcode: Opcode.CREATE,
    note: `flags ${shape.flags}`,
    nodeid: parent.nodeid,
    body: (writer) => writer.u32(shape.flags).u32(0o100644).u32(0o022).u32(0).name(name),
  };
  if (answer.error !== 0) return answer.error;
  assert(answer.payload.length === EntryOut.bytes + OpenOut.bytes, 'an answer to a create is whole');
  if (answer.isRefused) return ENOENT;
  const node = world.kernel.learn(nodeidAt(answer), modeAt(answer), sizeAt(answer));
  thread.pinned.push(node);
  return newFile(context, node, answer, EntryOut.bytes, shape);
}

export function readCall(file: KernelFile, count: number, offset = 0): Call {
  return {
    opcode: Opcode.READ,
    note: `${count} bytes${file.nonBlocking ? ' nonblocking' : ''}`,
    nodeid: file.node.nodeid,
    file,
    body: (writer) =>
      writer
        .u64(file.handle)
        .u64(offset)
        .u32(count)
        .u32(READ_LOCKOWNER)
        .u64(0)
        .u32(file.nonBlocking ? O_NONBLOCK : 0)
        .u32(0),
  };
}

/** `data` is asked for when the request goes out. */
export function writeCall(file: KernelFile, data: () => Uint8Array, offset = 0): Call {
  return {
    opcode: Opcode.WRITE,
    note: file.nonBlocking ? 'nonblocking' : '',
    nodeid: file.node.nodeid,
    file,
    body: (writer) => {
      const bytes = data();
      writer
        .u64(file.handle)
        .u64(offset)
        .u32(bytes.length)
        .u32(0)
        .u64(0)
        .u32(file.nonBlocking ? O_NONBLOCK : 0)
        .u32(0)
        .bytes(bytes);
    },
  };
}

/** What a write of `asked` bytes has written, or a negative errno. */
export function writeResult(answer: Answer, asked: number): number {
  if (answer.error !== 0) return answer.error;
  assert(answer.payload.length === 8, 'an answer to a write is whole');
  const count = answer.view.getUint32(0, true);
  assert(count <= asked, 'a write writes no more than it was given');
  return count;
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** An open file of this process of one of these kinds, or null. */
export function pickFile({ thread, random }: Context, ...kinds: FileKind[]): KernelFile | null {
  const files = thread.process.descriptors.filter(({ kind }) => kinds.includes(kind));
  return files.length === 0 ? null : random.pick(files);
}

/** One call whose answer only has to be well-formed. */
export function* simply(call: Call): Program {
  yield call;
}
