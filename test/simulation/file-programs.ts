import { assert } from '../../src/kern/assert.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import type { KernelFile, KernelNode } from './kernel.ts';
import type { Program } from './processes.ts';
import { pairNames, pipeNames } from './pipe-programs.ts';
import {
  bytesOf,
  type Context,
  entryCall,
  lookup,
  O_RDONLY,
  O_WRONLY,
  open,
  pickFile,
  readCall,
  simply,
  writeCall,
} from './programs.ts';

const queueNames = ['q', 'r'];
const keys = ['0x1', '0x2', '0x3'];

export function* changeNames(context: Context): Program {
  const { world, random } = context;
  const { pipes, nested, pairs, kqueues, shm } = world.directories;
  const [from, to] = [random.pick([pipes, nested]), random.pick([pipes, nested])];
  const [name, other] = [random.pick(pipeNames), random.pick(pipeNames)];
  const named = (opcode: number, parent: { nodeid: number }, word: string): Program =>
    simply({ opcode, nodeid: parent.nodeid, body: (writer) => writer.name(word) });
  switch (random.below(10)) {
    case 0:
      return yield* named(Opcode.UNLINK, from, name);
    case 1:
      return yield* named(Opcode.UNLINK, kqueues, random.pick(queueNames));
    case 2:
      return yield* named(Opcode.UNLINK, shm, random.pick(keys));
    case 3:
      return yield* named(Opcode.RMDIR, pairs, random.pick(pairNames));
    case 4:
      return yield* named(Opcode.RMDIR, pipes, random.pick(['d', 'sub']));
    case 5:
      return yield* simply({
        opcode: Opcode.RENAME2,
        nodeid: from.nodeid,
        body: (writer) => writer.u64(to.nodeid).u32(random.below(3)).u32(0).name(name).name(other),
      });
    case 6:
      return yield* simply({
        opcode: Opcode.RENAME,
        nodeid: from.nodeid,
        body: (writer) => writer.u64(to.nodeid).name(name).name(other),
      });
    case 7: {
      const node = yield* lookup(context, from, name);
      if (typeof node === 'number') return;
      yield* entryCall(context, {
        opcode: Opcode.LINK,
        nodeid: to.nodeid,
        body: (writer) => writer.u64(node.nodeid).name(other),
      });
      return;
    }
    case 8: {
      const node = yield* entryCall(context, {
        opcode: Opcode.SYMLINK,
        nodeid: from.nodeid,
        body: (writer) => writer.name(other).name('target'),
      });
      if (typeof node === 'number') return;
      const answer = yield { opcode: Opcode.READLINK, nodeid: node.nodeid };
      assert(
        Buffer.from(answer.payload).toString() === 'target',
        'a symbolic link leads where it was made to',
      );
      return;
    }
    default:
      yield* entryCall(context, {
        opcode: Opcode.MKDIR,
        nodeid: pipes.nodeid,
        body: (writer) => writer.u32(0o755).u32(0).name('d'),
      });
  }
}

export function* readDirectory(context: Context): Program {
  const { world, random } = context;
  const node = random.pick<KernelNode>(Object.values(world.directories) as KernelNode[]);
  const file = yield* open(context, node, { kind: 'directory', flags: O_RDONLY });
  if (typeof file === 'number') return;
  for (let offset = 0, turns = 0; turns < 3; turns++) {
    const answer = yield { ...readCall(file, 200, offset), opcode: Opcode.READDIR };
    if (answer.error !== 0 || answer.payload.length === 0) break;
    for (let at = 0; at < answer.payload.length;) {
      const next = answer.view.getUint32(at + 8, true);
      assert(next === offset + 1, 'entries are numbered');
      offset = next;
      at += (24 + answer.view.getUint32(at + 16, true) + 7) & ~7;
    }
  }
  closeFile(context, file);
}

export function* readTable(context: Context): Program {
  const { world, random } = context;
  const tables = ['pipes', 'shm', 'kqueues', 'knotes', 'handles', 'locks', 'waits', 'transport', 'version'];
  const name = random.pick(tables) + random.pick(['', '.json']);
  const node = yield* lookup(context, world.directories.info, name);
  if (typeof node === 'number') return;
  const file = yield* open(context, node, { kind: 'text', flags: O_RDONLY });
  if (typeof file === 'number') {
    world.expect(file, 'open of a table', -4, -2);
    return;
  }
  const answer = yield readCall(file, 65_536);
  if (answer.error !== 0) {
    world.expect(answer.error, 'read of a table', -4);
    return;
  }
  const text = Buffer.from(answer.payload).toString('latin1');
  assert(text.endsWith('\n'), 'a table is whole lines');
  if (name.endsWith('.json')) JSON.parse(text);
  closeFile(context, file);
}

type Tunable = readonly [name: string, values: readonly string[]];

const tableSize: Tunable = ['shmmni', ['4', '8', '1', '16']];
const tunables: readonly Tunable[] = [
  ['pipe_mindirect', ['8192', '5000', '100000', '1']],
  ['pipe_direct_max', ['65536', '3000', '1M']],
  ['piperesizeallowed', ['1', '0', '1']],
  tableSize,
  ['shmseg', ['2', '8', '128']],
  ['shmmax', ['8K', '64K', '256K']],
  ['shm_use_phys', ['0', '1']],
  ['pipekva', ['1']],
];

export function* writeTunable(context: Context): Program {
  const { world, random } = context;
  // A table of segments that is changed while one is made waits: now or never.
  const isMaking = world.memory.isSlow && !random.oneIn(4);
  const [name, values] = isMaking ? tableSize : random.pick(tunables);
  const value = `${random.pick(values)}\n`;
  const node = yield* lookup(context, world.directories.tunables, name);
  if (typeof node === 'number') return;
  const file = yield* open(context, node, { kind: 'text', flags: O_WRONLY });
  if (typeof file === 'number') return;
  yield writeCall(file, () => bytesOf(value));
  closeFile(context, file);
}

export function* attributes(context: Context): Program {
  const { world, random } = context;
  const nodes = [...world.kernel.nodes.values()];
  const file = pickFile(context, 'pipe', 'segment', 'kqueue');
  const nodeid = file !== null && random.oneIn(2) ? file.node.nodeid : random.pick(nodes).nodeid;
  const node = world.kernel.nodes.get(nodeid)!;
  node.pins++;
  context.thread.pinned.push(node);
  switch (random.below(4)) {
    case 0:
      yield { opcode: Opcode.STATFS, nodeid };
      return;
    case 1:
      yield {
        opcode: Opcode.SETATTR,
        nodeid,
        // Mode, owner, and both times: one now, one given.
        body: (writer) =>
          writer
            .u32(0b1_0011_0001)
            .u32(0)
            .u64(0)
            .u64(0)
            .u64(0)
            .u64(5)
            .u64(5)
            .bytes(new Uint8Array(20))
            .u32(0o777)
            .bytes(new Uint8Array(16)),
      };
      return;
    default: {
      const answer = yield { opcode: Opcode.GETATTR, nodeid, body: (writer) => writer.u64(0).u64(0) };
      assert(answer.error === 0 && answer.payload.length === 104, 'a node that is known has attributes');
    }
  }
}

// Files of any kind.

export function closeFile({ world, thread }: Context, file: KernelFile): void {
  const index = thread.process.descriptors.indexOf(file);
  if (index < 0) return;
  thread.process.descriptors.splice(index, 1);
  world.kernel.close(file, thread.process.pid);
}

const POLLIN = 1;
const POLLOUT = 4;

export function* poll(context: Context): Program {
  const { random } = context;
  const file = pickFile(context, 'pipe', 'kqueue', 'kqueue.bin', 'control', 'faults', 'segment', 'text');
  if (file === null) return;
  const events = random.pick([POLLIN, POLLOUT, POLLIN | POLLOUT]);
  const waits = !random.oneIn(3);
  const answer = yield {
    opcode: Opcode.POLL,
    note: `for ${events}`,
    nodeid: file.node.nodeid,
    file,
    body: (writer) =>
      writer
        .u64(file.handle)
        .u64(file.handle)
        .u32(waits ? 1 : 0)
        .u32(events),
  };
  if (answer.error !== 0 || answer.isRefused) return;
  const ready = answer.view.getUint32(0, true);
  if (!waits || ready !== 0) return;
  file.polledEvents = events;
  file.polledBy = context.thread.caller;
}

const FIONREAD = 0x8004667f;
const FIOASYNC = 0x4004667d;
const FIOSETOWN = 0x4004667c;
const FIOGETOWN = 0x8004667b;
const GET_HANDLE = 0x80084b01;

export function* ioctl(context: Context): Program {
  const { world, random } = context;
  const file = pickFile(context, 'pipe', 'kqueue', 'segment', 'text');
  if (file === null) return;
  const command = random.pick([FIONREAD, FIOASYNC, FIOSETOWN, FIOGETOWN, GET_HANDLE, 0x5401]);
  const value =
    command === FIOSETOWN ? random.pick([0, 1, random.pick(world.table.processes).pid]) : random.below(2);
  const answer = yield {
    opcode: Opcode.IOCTL,
    nodeid: file.node.nodeid,
    file,
    body: (writer) => writer.u64(file.handle).u32(0).u32(command).u64(0).u32(4).u32(8).u32(value),
  };
  if (answer.error !== 0) {
    world.expect(answer.error, 'ioctl', -25, -3, -1, -22);
    return;
  }
  if (command === GET_HANDLE)
    assert(answer.view.getUint32(16, true) === file.handle, 'a handle is what it is');
}

/** Requests that this server has no use for. */
export function* odd(context: Context): Program {
  const { GETLK, SETLK, SETLKW, FLUSH } = Opcode;
  const opcode = context.random.pick([GETLK, SETLK, SETLKW, FLUSH, 20, 34, 4095]);
  const { error } = yield { opcode, nodeid: 1, body: (writer) => writer.bytes(new Uint8Array(48)) };
  context.world.expect(error, 'a request that is not served', -9, -38);
}
