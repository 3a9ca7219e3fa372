import { assert } from '../../src/kern/assert.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { Segment } from '../../src/shm/segment.ts';
import { SegmentNode } from '../../src/tree/segments/segment-node.ts';
import type { KernelFile } from './kernel.ts';
import type { Program } from './processes.ts';
import { pipeNames } from './pipe-programs.ts';
import {
  bytesOf,
  type Context,
  create,
  lookup,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  open,
  pickFile,
  readCall,
  writeCall,
  writeResult,
} from './programs.ts';

const EVENT_LINE =
  /^((read|write|vnode|except|proc|signal|timer|user) \S+ data=\S+ flags=\S+ fflags=\S+ udata=\S+|error .*)$/;
const SHM_ERRORS = [-1, -2, -4, -11, -12, -13, -16, -17, -22, -24, -28];
const queueNames = ['q', 'r'];
const keys = ['0x1', '0x2', '0x3'];

export function* openKqueue(context: Context): Program {
  const { world, random } = context;
  const flags = O_RDWR | (random.oneIn(3) ? O_NONBLOCK : 0);
  const kind = random.pick(['kqueue', 'kqueue.bin', 'named'] as const);
  if (kind !== 'named') {
    const node = yield* lookup(context, world.directories.root, kind);
    if (typeof node !== 'number') yield* open(context, node, { kind, flags });
    return;
  }
  const name = random.pick(queueNames);
  const node = yield* lookup(context, world.directories.kqueues, name);
  if (typeof node === 'number')
    yield* create(context, world.directories.kqueues, name, { kind: 'kqueue', flags });
  else yield* open(context, node, { kind: 'kqueue', flags });
}

function changeLine({ random, world, thread }: Context): string {
  const verb = random.pick(['add', 'add', 'add', 'add', 'delete', 'enable', 'disable', 'modify']);
  const options = random.pick([
    '',
    '',
    ' clear',
    ' oneshot',
    ' dispatch',
    ' receipt',
    ' disable',
    ' udata=x',
  ]);
  const path = random.pick([
    ...pipeNames.map((name) => `pipes/${name}`),
    ...[
      'kqueues/q',
      'kqueues/r',
      'shm/0x1',
      'pipes',
      'pairs/p/0',
      'pairs/q/1',
      'fd:0',
      'fd:1',
      'fd:2',
      'fd:3',
    ],
  ]);
  const pid = random.pick(world.table.processes).pid;
  switch (random.below(6)) {
    case 0:
      return `${verb} user ${random.below(4)} ${random.oneIn(2) ? 'trigger' : 'ffor=3'}${options}`;
    case 1:
      return `${verb} timer ${random.below(3)} data=${random.pick([1, 5, 50, 100_000])}${options}`;
    case 2:
      return `${verb} proc ${random.oneIn(9) ? 1 : pid} ${random.pick(['exit', 'fork', 'exit fork exec track'])}${options}`;
    case 3:
      return `${verb} signal ${random.pick(['USR1', 'TERM'])}${options}`;
    case 4:
      return `${verb} vnode ${path} write delete rename attrib link${options}`;
    default:
      assert(thread.process.pid > 0, 'a process has a number');
      return `${verb} ${random.pick(['read', 'write'])} ${path}${options}`;
  }
}

function changeRecord({ random }: Context): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, random.below(5), true);
  view.setInt16(8, random.pick([-1, -2, -3, -4, -7, -7, -9, -9, -9]), true);
  view.setUint16(10, random.pick([1, 1, 1, 1, 2, 4, 8, 0x21, 0x11, 0x81, 0x41, 0x45]), true);
  view.setUint32(12, random.pick([0, 0x0100_0000, 0xff, 0x8000_0001]), true);
  view.setUint32(16, random.pick([0, 5, 50]), true);
  return bytes;
}

export function* writeKqueue(context: Context): Program {
  const { random } = context;
  const file = pickFile(context, 'kqueue', 'kqueue.bin');
  if (file === null) return;
  const count = random.between(1, 3);
  const parts = Array.from({ length: count }, () =>
    file.kind === 'kqueue' ? bytesOf(`${changeLine(context)}\n`) : changeRecord(context),
  );
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const answer = yield writeCall(file, () => bytes);
  const result = writeResult(answer, bytes.length);
  assert(result < 0 || result === bytes.length, 'changes are taken whole');
}

export function* readKqueue(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, 'kqueue', 'kqueue.bin');
  if (file === null) return;
  if (random.oneIn(5)) file.nonBlocking = !file.nonBlocking;
  const count = random.pick([32, 64, 4096, 4096, file.kind === 'kqueue' ? 7 : 31]);
  const answer = yield readCall(file, count);
  if (answer.error !== 0) {
    world.expect(answer.error, 'read of a kqueue', -4, -11, -22);
    return;
  }
  if (file.kind === 'kqueue.bin') {
    assert(answer.payload.length % 32 === 0, 'records are whole');
  } else if (count === 4096) {
    const lines = Buffer.from(answer.payload).toString('latin1').split('\n');
    // The first may be the rest of a line begun by a short read.
    const bad = lines.slice(1, -1).find((line) => !EVENT_LINE.test(line));
    assert(bad === undefined, `lines of events are whole: ${bad ?? ''}`);
  }
}

// Shared memory.

function segmentOf({ world }: Context, file: KernelFile): Segment | null {
  const node = world.fileSystem.openFiles.get(file.handle)?.node;
  return node instanceof SegmentNode ? node.segment : null;
}

export function* openSegment(context: Context): Program {
  const { world, random } = context;
  const name = random.pick(keys);
  const flags = random.pick([O_RDONLY, O_RDWR, O_RDWR]);
  const sizeBytes = random.pick([1, 100, 4096, 5000, 0]);
  const shape = { kind: 'segment', flags } as const;
  const found = yield* lookup(context, world.directories.shm, name);
  if (typeof found !== 'number') {
    const file = yield* open(context, found, shape);
    if (typeof file === 'number') world.expect(file, 'open of a segment', ...SHM_ERRORS);
    return;
  }
  const file = yield* create(context, world.directories.shm, name, shape);
  if (typeof file === 'number') {
    world.expect(file, 'create of a segment', ...SHM_ERRORS);
    return;
  }
  if (sizeBytes === 0) return;
  const { error } = yield {
    opcode: Opcode.SETATTR,
    nodeid: file.node.nodeid,
    body: (writer) => writer.u32(8).u32(0).u64(0).u64(sizeBytes).bytes(new Uint8Array(64)),
  };
  if (error !== 0) world.expect(error, 'size of a segment', ...SHM_ERRORS);
}

export function* useSegment(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, 'segment');
  if (file === null) return;
  const segment = segmentOf(context, file);
  if (segment === null) return;
  const memory = world.shadowOf(segment);
  const offset = random.pick([0, 10, 4000, 4096, 9000]);
  const count = random.pick([1, 96, 500, 4096]);
  if (random.oneIn(2) && file.isReadable) {
    const answer = yield readCall(file, count, offset);
    if (answer.error !== 0) {
      world.expect(answer.error, 'read of a segment', -4);
      return;
    }
    const expected = memory.bytes.subarray(offset, offset + answer.payload.length);
    assert(Buffer.compare(expected, answer.payload) === 0, 'a segment holds what was written to it');
  } else if (file.isWritable) {
    const data = new Uint8Array(count).fill(random.below(256));
    const result = writeResult(yield writeCall(file, () => data, offset), count);
    if (result < 0) {
      world.expect(result, 'write to a segment', ...SHM_ERRORS);
      return;
    }
    memory.bytes.set(data.subarray(0, result), offset);
  }
}

export function* controlSegments(context: Context): Program {
  const { world, random } = context;
  let file = pickFile(context, 'control');
  if (file === null) {
    const node = yield* lookup(context, world.directories.shm, 'ctl');
    if (typeof node === 'number') return;
    const opened = yield* open(context, node, { kind: 'control', flags: O_RDWR });
    if (typeof opened === 'number') return;
    file = opened;
  }
  const ids = [...world.fileSystem.shm.table.segments()].map(({ id }) => id);
  const id = ids.length === 0 ? 7 : random.pick(ids);
  const line = random.pick([
    `get ${random.pick(['private', ...keys])} ${random.pick(['1', '4K', '9000'])} create ${random.pick(['', 'excl', 'linger', '0644'])}`,
    ...[`stat ${id}`, `rmid ${id}`, `attach ${id}`, `attach ${id} rdonly`, `detach ${id}`, `lock ${id}`],
    ...[`unlock ${id}`, `set ${id} mode=0666`, 'frob', `attach ${id}`, `attach ${id}`],
  ]);
  const result = writeResult(yield writeCall(file, () => bytesOf(`${line}\n`)), line.length + 1);
  if (result < 0) world.expect(result, 'write to the control file', -4, -11);
  const answer = yield readCall(file, 4096);
  if (answer.error !== 0) world.expect(answer.error, 'read of the control file', -4);
}
