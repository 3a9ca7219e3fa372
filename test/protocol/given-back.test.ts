import { describe, expect, test } from 'vitest';
import { type Account, Resource, resources } from '../../src/kern/accounting.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf, pattern } from '../support/engine.ts';
import {
  createBody,
  LINUX_O_NONBLOCK,
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  lookup,
  makePipe,
  mknodBody,
  openBody,
  openHandle,
  openPipe,
  readBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, FuseClient, handleOf } from '../support/fuse-client.ts';

const caller = { uid: 1000, gid: 1000, pid: 800 };
const EPIPE = -32;
const LINUX_O_APPEND = 0o2000;
const LINUX_O_CREAT = 0o100;
/** No call asks for memory more often. */
const MOST_REQUESTS = 20;

/** A call, after whatever it needs: the error it is answered with, 0 or less. Null while it sleeps. */
type Try = (client: FuseClient) => () => number | null;

function answer(client: FuseClient, opcode: number, nodeid: number, body: Body): number | null {
  const [first] = client.answers(client.send(opcode, nodeid, body, caller));
  return first === undefined ? null : first.error;
}

const mkdirBody = (name: string): Body => new Body().u32(0o755).u32(0).name(name);

function opened(client: FuseClient, path: string, flags: number): number {
  return handleOf(client.request(Opcode.OPEN, walk(client, path), openBody(flags), caller));
}

/** Every kind of call that takes something for its caller. */
const calls: Record<string, Try> = {
  'mkfifo in pipes/': (client) => {
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.MKNOD, nodeid, mknodBody('made', 0o010644));
  },
  'an open that makes a pipe': (client) => {
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.CREATE, nodeid, createBody('made', LINUX_O_RDWR));
  },
  'mkdir in pipes/': (client) => {
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.MKDIR, nodeid, mkdirBody('made'));
  },
  'mkdir in pairs/': (client) => {
    const nodeid = walk(client, 'pairs');
    return () => answer(client, Opcode.MKDIR, nodeid, mkdirBody('made'));
  },
  'a symbolic link': (client) => {
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.SYMLINK, nodeid, new Body().name('made').name('target'));
  },
  'a link': (client) => {
    const node = makePipe(client, 'a');
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.LINK, nodeid, new Body().u64(node).name('made'));
  },
  'touch in kqueues/': (client) => {
    const nodeid = walk(client, 'kqueues');
    return () => answer(client, Opcode.MKNOD, nodeid, mknodBody('made', 0o100644));
  },
  'an open of a pipe': (client) => {
    const nodeid = makePipe(client, 'a');
    return () => answer(client, Opcode.OPEN, nodeid, openBody(LINUX_O_RDWR));
  },
  'an open that waits for a writer': (client) => {
    const nodeid = makePipe(client, 'a');
    return () => answer(client, Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY));
  },
  'an open of kqueue': (client) => {
    const nodeid = walk(client, 'kqueue');
    return () => answer(client, Opcode.OPEN, nodeid, openBody(LINUX_O_RDWR));
  },
  'an open of a table': (client) => {
    makePipe(client, 'a');
    const nodeid = walk(client, 'info/pipes');
    return () => answer(client, Opcode.OPEN, nodeid, openBody(LINUX_O_RDONLY));
  },
  'a listing': (client) => {
    const nodeid = walk(client, 'pipes');
    return () => answer(client, Opcode.OPENDIR, nodeid, openBody(LINUX_O_RDONLY));
  },
  'a registration with a token': (client) => {
    const handle = opened(client, 'kqueue', LINUX_O_WRONLY);
    const text = bytesOf('add timer 1 data=100000 udata=token\n');
    return () => answer(client, Opcode.WRITE, 0, writeBody(handle, text));
  },
  'the beginning of a line': (client) => {
    const handle = opened(client, 'kqueue', LINUX_O_WRONLY);
    return () => answer(client, Opcode.WRITE, 0, writeBody(handle, bytesOf('add timer')));
  },
  'a read that waits': (client) => {
    const nodeid = makePipe(client, 'a');
    const handle = handleOf(client.request(Opcode.OPEN, nodeid, openBody(LINUX_O_RDWR), caller));
    return () => answer(client, Opcode.READ, 0, readBody(handle, 10, LINUX_O_RDWR));
  },
  'a write that waits': (client) => {
    const nodeid = makePipe(client, 'a');
    const handle = handleOf(client.request(Opcode.OPEN, nodeid, openBody(LINUX_O_RDWR), caller));
    return () => answer(client, Opcode.WRITE, 0, writeBody(handle, pattern(200_000), LINUX_O_RDWR));
  },
  'a new segment': (client) => {
    const nodeid = walk(client, 'shm');
    return () => answer(client, Opcode.CREATE, nodeid, createBody('0x77', LINUX_O_RDWR | LINUX_O_CREAT));
  },
  'bytes of a new segment': (client) => {
    const made = client.request(Opcode.CREATE, walk(client, 'shm'), createBody('0x77', LINUX_O_RDWR), caller);
    const handle = handleOf(made, 128);
    return () => answer(client, Opcode.WRITE, 0, writeBody(handle, pattern(10_000), LINUX_O_RDWR));
  },
  'requests of shm/ctl': (client) => {
    const handle = opened(client, 'shm/ctl', LINUX_O_RDWR);
    return () =>
      answer(client, Opcode.WRITE, 0, writeBody(handle, bytesOf('get 0x77 10000 create\n'), LINUX_O_RDWR));
  },
};

/** What an account has. A ring that has grown for a write stays so, whatever becomes of the write. */
function usage(account: Account): number[] {
  return resources.map((_, resource) =>
    resource === Resource.PipeBytes ? 0 : account.used(resource as Resource),
  );
}

/** Calls that have no error of their own for a quota: the answer has it, or what has been written counts. */
const withoutErrors = ['requests of shm/ctl', 'a write that waits'];

describe('a call that is refused gives back everything that it had taken', () => {
  for (const [what, prepare] of Object.entries(calls)) {
    test(`${what}: whichever quota is used up`, () => {
      let refusals = 0;
      for (const resource of resources.keys()) {
        const client = new FuseClient();
        const attempt = prepare(client);
        const { accounts } = client.fileSystem.kernel;
        const account = accounts.of(caller.uid);
        const before = usage(account);
        const nodes = client.fileSystem.context.liveInodes;
        const used = account.used(resource as Resource);
        accounts.setLimit(resource as Resource, () => used);
        const error = attempt();
        client.checkInvariants();
        if (error !== null && error < 0) {
          refusals++;
          expect([resource, usage(account), client.fileSystem.context.liveInodes]).toEqual([
            resource,
            before,
            nodes,
          ]);
        }
        accounts.setLimit(resource as Resource, () => Infinity);
      }
      if (!withoutErrors.includes(what)) expect(refusals).toBeGreaterThan(0);
    });

    test(`${what}: wherever memory runs out`, () => {
      for (let granted = 0; ; granted++) {
        expect(granted).toBeLessThan(MOST_REQUESTS);
        const client = new FuseClient();
        const attempt = prepare(client);
        const account = client.fileSystem.kernel.accounts.of(caller.uid);
        const before = usage(account);
        let asked = 0;
        client.host.hasMemory = () => asked++ < granted;
        const error = attempt();
        client.host.hasMemory = () => true;
        client.checkInvariants();
        if (error !== null && error < 0) expect([granted, usage(account)]).toEqual([granted, before]);
        if (asked <= granted) return;
      }
    });
  }
});

test('where all users share a limit of one, a user may have that one: half of it is not nothing', () => {
  const { kernel } = new FuseClient().fileSystem;
  const root = { uid: 0, gid: 0, pid: 1 };
  expect(kernel.sysctls.write('kern.kq_calloutmax', 1, root)).toBe(0);
  expect(kernel.accounts.limitOf(Resource.Timers)).toBe(1);
  expect(kernel.sysctls.write('kern.kq_calloutmax', 3, root)).toBe(0);
  expect(kernel.accounts.limitOf(Resource.Timers)).toBe(1);
  expect(kernel.sysctls.write('kern.kq_calloutmax', 4, root)).toBe(0);
  expect(kernel.accounts.limitOf(Resource.Timers)).toBe(2);
});

test('a name beyond the quota leaves the pipe with the names that it had', () => {
  const client = new FuseClient();
  const node = makePipe(client, 'a');
  const { accounts } = client.fileSystem.kernel;
  accounts.setLimit(Resource.Names, () => 0);
  const body = new Body().u64(node).name('b');
  expect(client.error(Opcode.LINK, walk(client, 'pipes'), body, caller)).toBe(-122);
  expect(client.session.nodes.get(node)!.node.linkCount).toBe(1);
  expect(lookup(client, walk(client, 'pipes'), 'b').error).toBe(-2);
});

test('S33: a process that may not attach the segment that it would make is forgotten with its open', () => {
  const client = new FuseClient();
  const { kernel, segmentFiles } = client.fileSystem;
  expect(kernel.sysctls.write('kern.ipc.shmseg', 0, { uid: 0, gid: 0, pid: 1 })).toBe(0);
  const body = createBody('0x77', LINUX_O_RDWR | LINUX_O_CREAT);
  expect(client.error(Opcode.CREATE, walk(client, 'shm'), body, caller)).toBe(-24);
  expect([segmentFiles.processCount, client.fileSystem.shm.table.usedCount]).toEqual([0, 0]);
});

test('a write of nothing, beyond the end of a segment that is being made, is charged for nothing', () => {
  const client = new FuseClient();
  const body = createBody('0x78', LINUX_O_RDWR | LINUX_O_CREAT);
  const handle = handleOf(client.request(Opcode.CREATE, walk(client, 'shm'), body, caller), 128);
  const write = writeBody(handle, bytesOf(''), LINUX_O_RDWR, 8192);
  expect(client.request(Opcode.WRITE, 0, write, caller).error).toBe(0);
  expect(client.fileSystem.kernel.accounts.of(caller.uid).used(Resource.SegmentBytes)).toBe(0);
});

test('P52, P60: EPIPE of an O_APPEND write sends SIGPIPE whatever its offset; that of a later part of another write does not', () => {
  const client = new FuseClient();
  const { reader, writer } = openPipe(client, 'a');
  client.request(Opcode.RELEASE, 0, new Body().u64(reader).u32(0).u32(0).u64(0));
  const data = bytesOf('x');
  expect(client.error(Opcode.WRITE, 0, writeBody(writer, data, LINUX_O_WRONLY, 4096))).toBe(EPIPE);
  expect(client.host.sigpipe).toEqual([]);
  const append = writeBody(writer, data, LINUX_O_WRONLY | LINUX_O_APPEND, 4096);
  expect(client.error(Opcode.WRITE, 0, append)).toBe(EPIPE);
  expect(client.host.sigpipe).toHaveLength(1);
});

test('K31: more events than an answer has slices come in one read, each once and whole', () => {
  const client = new FuseClient();
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR | LINUX_O_NONBLOCK);
  const lines = Array.from({ length: 100 }, (_, ident) => `add user ${ident} oneshot trigger\n`).join('');
  expect(client.error(Opcode.WRITE, 0, writeBody(handle, bytesOf(lines), LINUX_O_RDWR))).toBe(0);
  const { payload, error } = client.request(
    Opcode.READ,
    0,
    readBody(handle, 65_536, LINUX_O_RDWR | LINUX_O_NONBLOCK),
  );
  expect(error).toBe(0);
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  const idents = text
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.split(' ')[1]));
  expect(idents).toEqual(Array.from({ length: 100 }, (_, ident) => ident));
});
