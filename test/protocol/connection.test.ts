import { expect, test } from 'vitest';
import { InitFlag, Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { lookup, mknodBody, walk } from '../support/fuse-calls.ts';
import { type Answer, Body, FuseClient, initBody, nodeidOf } from '../support/fuse-client.ts';

const EPROTO = -71;

function version({ payload }: Answer): [number, number] {
  return [payload.getUint32(0, true), payload.getUint32(4, true)];
}

/** struct fuse_forget_in. */
function forget(client: FuseClient, nodeid: number, count: number): void {
  expect(client.answers(client.send(Opcode.FORGET, nodeid, new Body().u64(count)))).toEqual([]);
}

test('INIT agrees on what both sides know', () => {
  const client = new FuseClient({ agrees: false });
  const answer = client.request(Opcode.INIT, 0, initBody(7, 99));
  expect(answer.error).toBe(0);
  expect(answer.payload.byteLength).toBe(64);
  expect(version(answer)).toEqual([7, 45]);
  expect(client.session.agreement.minor).toBe(45);
  expect(answer.payload.getUint32(8, true)).toBe(131072); // max_readahead
  const flags = answer.payload.getUint32(12, true);
  expect(flags & (1 << 3)).toBe(0); // ATOMIC_O_TRUNC was offered: a size that the kernel sets by itself is none of ours
  expect(flags & InitFlag.MAX_PAGES).not.toBe(0);
  expect(flags & (1 << 27)).toBe(0); // NO_OPENDIR_SUPPORT was offered and is not wanted
  expect(answer.payload.getUint16(16, true)).toBe(2048); // max_background
  expect(answer.payload.getUint32(20, true)).toBe(1024 * 1024); // max_write
  expect(answer.payload.getUint16(28, true)).toBe(256); // max_pages
});

test('INIT asks for nothing that the kernel does not offer', () => {
  const client = new FuseClient({ agrees: false });
  const answer = client.request(Opcode.INIT, 0, initBody(7, 38, InitFlag.BIG_WRITES));
  expect(answer.payload.getUint32(12, true)).toBe(InitFlag.BIG_WRITES);
  expect(client.session.agreement.minor).toBe(38);
});

test.each([
  [6, 45],
  [7, 30],
])('INIT of version %i.%i, which lays messages out differently, is EPROTO', (major, minor) => {
  const client = new FuseClient({ agrees: false });
  expect(client.error(Opcode.INIT, 0, initBody(major, minor))).toBe(EPROTO);
  expect(client.session.agreement.minor).toBeNull();
});

test('INIT of a newer major version is answered with ours, and not agreed until it comes again', () => {
  const client = new FuseClient({ agrees: false });
  expect(version(client.request(Opcode.INIT, 0, initBody(8, 0)))).toEqual([7, 45]);
  expect(client.session.agreement.minor).toBeNull();
  expect(client.error(Opcode.INIT, 0, initBody(7, 45))).toBe(0);
  expect(client.session.agreement.minor).not.toBeNull();
});

test('FORGET of every lookup empties the table of nodes', () => {
  const client = new FuseClient();
  const { nodes } = client.session;
  const start = nodes.size;
  const pipes = walk(client, 'pipes');
  expect(walk(client, 'pipes')).toBe(pipes);
  const info = walk(client, 'info');
  expect(nodes.size).toBe(start + 2);
  forget(client, pipes, 1);
  expect(nodes.get(pipes)).toBeDefined();
  forget(client, pipes, 1);
  expect(nodes.get(pipes)).toBeUndefined();
  forget(client, info, 1);
  expect(nodes.size).toBe(start);
  expect(client.error(Opcode.LOOKUP, pipes, new Body().name('a'))).toBe(-2);
  expect(walk(client, 'pipes')).not.toBe(pipes);
});

test('BATCH_FORGET gives back many at once, and only as many as its body holds', () => {
  const client = new FuseClient();
  const { nodes } = client.session;
  const pipes = walk(client, 'pipes');
  const pairs = walk(client, 'pairs');
  walk(client, 'pairs');
  const start = nodes.size;
  const body = new Body()
    .u32(9) // count: more than there are
    .u32(0) // dummy
    .u64(pipes) // nodeid
    .u64(1) // nlookup
    .u64(pairs) // nodeid
    .u64(2); // nlookup
  expect(client.answers(client.send(Opcode.BATCH_FORGET, 0, body))).toEqual([]);
  expect(nodes.size).toBe(start - 2);
});

test('T2: LOOKUPs of a pipe by several threads show nodeids of one inode, and none is given twice', () => {
  const client = new FuseClient();
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o100644));
  const start = client.session.nodes.size;
  const answers = [1, 2, 3].map((pid) => lookup(client, pipes, 'a', { uid: 0, gid: 0, pid }));
  const nodeids = answers.map(nodeidOf);
  expect(new Set(nodeids).size).toBe(3);
  expect(new Set(answers.map(({ payload }) => payload.getBigUint64(40, true))).size).toBe(1);
  for (const { payload } of answers) expect(payload.getBigUint64(16, true)).toBe(0n); // entry_valid
  for (const nodeid of nodeids) forget(client, nodeid, 1);
  expect(client.session.nodes.size).toBe(start);
  expect(nodeids).not.toContain(nodeidOf(lookup(client, pipes, 'a')));
});

test('T2: two LOOKUPs in a row by one thread show one nodeid, until it asks for something else', () => {
  const client = new FuseClient();
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o100644));
  const ask = (): number => nodeidOf(lookup(client, pipes, 'a'));
  const first = ask();
  expect(ask()).toBe(first);
  client.request(Opcode.OPEN, first, new Body().u32(2).u32(0)); // O_RDWR
  const second = ask();
  expect(second).not.toBe(first);
  expect(nodeidOf(lookup(client, pipes, 'a', { uid: 0, gid: 0, pid: 7 }))).not.toBe(second);
});

test('STATFS shows pipe memory as blocks and counts files', () => {
  const client = new FuseClient();
  const maximum = BigInt(client.fileSystem.pipes.budget.maximumBytes);
  const files = (): bigint => {
    const { payload } = client.request(Opcode.STATFS, 1);
    expect(payload.getBigUint64(0, true) * 4096n).toBe(maximum); // blocks
    expect(payload.getUint32(40, true)).toBe(4096); // bsize
    expect(payload.getUint32(44, true)).toBe(255); // namelen
    return payload.getBigUint64(24, true) - payload.getBigUint64(32, true); // files - ffree
  };
  const start = files();
  const pipes = walk(client, 'pipes');
  client.request(Opcode.MKNOD, pipes, mknodBody('a', 0o100644));
  expect(files()).toBe(start + 1n);
  client.request(Opcode.UNLINK, pipes, new Body().name('a'));
  expect(files()).toBe(start);
  const pairs = walk(client, 'pairs');
  client.request(Opcode.MKDIR, pairs, new Body().u32(0o755).u32(0).name('p'));
  expect(files()).toBe(start + 3n);
  client.request(Opcode.RMDIR, pairs, new Body().name('p'));
  expect(files()).toBe(start);
});

test('DESTROY is answered', () => {
  expect(new FuseClient().error(Opcode.DESTROY, 0)).toBe(0);
});
