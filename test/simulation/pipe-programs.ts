import { assert } from '../../src/kern/assert.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { type PipeEnd } from '../../src/pipe/end.ts';
import type { KernelFile } from './kernel.ts';
import type { Program } from './processes.ts';
import {
  type Context,
  create,
  entryCall,
  lookup,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  pickFile,
  readCall,
  writeCall,
  writeResult,
} from './programs.ts';
import { LONGEST_WRITE_BYTES } from './stream.ts';

const PIPE_BUF_BYTES = 4096;
const EINTR = -4;
const EAGAIN = -11;
const ENOMEM = -12;
const ENXIO = -6;
const EPIPE = -32;

export const pipeNames = ['a', 'b', 'c', 'd'];
/** Pipes with any options: of their bytes little is certain. */
export const queueNames = ['e', 'f'];
export const pairNames = ['p', 'q'];

function sizeOf({ random }: Context): number {
  return random.pick([
    ...[1, 5, 100, 511, 512, 513, 1000, 4000, PIPE_BUF_BYTES, PIPE_BUF_BYTES + 1],
    ...[100, 200, 3000, 8191, 8192, 16_384, 20_000, random.below(6000), random.below(6000)],
    ...[random.below(20_000), random.oneIn(8) ? random.below(LONGEST_WRITE_BYTES) : random.below(9000)],
  ]);
}

/** open(2) of a pipe by name, which is made if it is not there. */
export function* openPipe(context: Context): Program {
  const { world, random } = context;
  const parent = random.oneIn(8) ? world.directories.nested : world.directories.pipes;
  const name = random.pick(random.oneIn(4) ? queueNames : pipeNames);
  const access = random.pick([O_RDONLY, O_RDONLY, O_WRONLY, O_WRONLY, O_RDWR]);
  const flags = access | (random.oneIn(4) ? O_NONBLOCK : 0);
  const shape = { kind: 'pipe', flags } as const;
  const byMknod = random.oneIn(2);
  const found = yield* lookup(context, parent, name);
  if (typeof found !== 'number') {
    const file = yield* open(context, found, shape);
    if (typeof file === 'number') world.expect(file, 'open of a pipe', EINTR, ENXIO, ENOMEM, -2);
    return;
  }
  world.expect(found, 'lookup of a pipe', -2);
  if (byMknod) {
    const made = yield* entryCall(context, {
      opcode: Opcode.MKNOD,
      nodeid: parent.nodeid,
      body: (writer) => writer.u32(0o010644).u32(0).u32(0o022).u32(0).name(name),
    });
    if (typeof made === 'number') world.expect(made, 'mknod', -17, -2);
  } else {
    const file = yield* create(context, parent, name, shape);
    if (typeof file === 'number') world.expect(file, 'create of a pipe', ENXIO, ENOMEM, -2, -13, -21);
  }
}

/** mkdir and open of the ends of a pair. */
export function* openPair(context: Context): Program {
  const { world, random } = context;
  const name = random.pick(pairNames);
  const end = random.pick(['0', '1']);
  const flags = O_RDWR | (random.oneIn(4) ? O_NONBLOCK : 0);
  let directory = yield* lookup(context, world.directories.pairs, name);
  if (typeof directory === 'number') {
    directory = yield* entryCall(context, {
      opcode: Opcode.MKDIR,
      nodeid: world.directories.pairs.nodeid,
      body: (writer) => writer.u32(0o755).u32(0).name(name),
    });
    if (typeof directory === 'number') {
      world.expect(directory, 'mkdir of a pair', -17, ENOMEM, -2);
      return;
    }
  }
  const node = yield* lookup(context, directory, end);
  if (typeof node === 'number') return;
  const file = yield* open(context, node, { kind: 'pipe', flags });
  if (typeof file === 'number') world.expect(file, 'open of an end', ENXIO, -2);
}

/** The ring that a file reads from; null when the server does not know the file. */
function readEnd(context: Context, file: KernelFile): PipeEnd | null {
  const open: OpenFile | undefined = context.world.fileSystem.openFiles.get(file.handle);
  return (open?.data as PipeEnd | undefined) ?? null;
}

export function* readPipe(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, 'pipe');
  if (file?.isReadable !== true) return;
  const end = readEnd(context, file)!;
  const count = random.oneIn(3) ? sizeOf(context) : 65_536;
  const isContinuation = random.oneIn(20);
  if (random.oneIn(10)) file.nonBlocking = !file.nonBlocking;
  const answer = yield readCall(file, count, isContinuation ? 2 ** 20 : 0);
  if (answer.error !== 0) {
    world.expect(answer.error, 'read of a pipe', EINTR, EAGAIN);
    return;
  }
  assert(answer.payload.length <= count, 'a read gets no more than it asks for');
  const stream = world.streams.get(end)!;
  if (answer.payload.length > 0) stream.consume(answer.payload);
  else
    assert(
      count === 0 || isContinuation || stream.isLoose || end.endOfFile || world.hasFaults,
      'only the end of the stream reads as nothing',
    );
}

export function* writePipe(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, 'pipe');
  if (file?.isWritable !== true) return;
  const end = readEnd(context, file)!.peer;
  const stream = world.streams.get(end)!;
  const size = sizeOf(context);
  const first = random.below(8);
  const isAtomic = size <= PIPE_BUF_BYTES;
  const isContinuation = random.oneIn(20);
  if (random.oneIn(10)) file.nonBlocking = !file.nonBlocking;
  let slot = -1;
  const data = (): Uint8Array => {
    slot = stream.freeSlot(first);
    return slot < 0 || size === 0 ? new Uint8Array(0) : stream.begin(slot, size, isAtomic);
  };
  const answer = yield {
    ...writeCall(file, data, isContinuation ? 2 ** 20 : 0),
    note: `${size} bytes${file.nonBlocking ? ' nonblocking' : ''}`,
  };
  const result = writeResult(answer, size);
  if (result < 0) world.expect(result, 'write to a pipe', EINTR, EAGAIN, EPIPE);
  if (slot >= 0 && size > 0) stream.finish(slot, result);
}
