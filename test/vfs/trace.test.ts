import { beforeEach, expect, test } from 'vitest';
import { Resource } from '../../src/kern/accounting.ts';
import { EAGAIN, EINVAL, ENOMEM } from '../../src/kern/errno.ts';
import { ThreadState } from '../../src/kern/scheduler.ts';
import { Opcode } from '../../src/transports/raw/protocol/constants.ts';
import { bytesOf, pattern } from '../support/engine.ts';
import {
  LINUX_O_RDONLY,
  LINUX_O_RDWR,
  LINUX_O_WRONLY,
  lookup,
  mknodBody,
  openBody,
  openHandle,
  openPipe,
  readBody,
  walk,
  writeBody,
} from '../support/fuse-calls.ts';
import { Body, type Caller, FuseClient, nodeidOf, textOf } from '../support/fuse-client.ts';
import { root, TraceClient } from '../support/trace-client.ts';

const alice: Caller = { uid: 1001, gid: 1001, pid: 701 };
const bob: Caller = { uid: 1002, gid: 1002, pid: 702 };
const DEFAULT_BYTES = 8 * 1024 ** 2;
const LEAST_BYTES = 65_536;
const S_IFREG = 0o100000;

let client: FuseClient;
beforeEach(() => {
  client = new FuseClient();
});

function setTraceBytes(value: number): void {
  expect(client.fileSystem.kernel.sysctls.get('ipcfs.trace_bytes')!.set!(value)).toBe(0);
}

function write(handle: number, bytes: Uint8Array, caller = root): number {
  return client.send(Opcode.WRITE, 0, writeBody(handle, bytes), caller);
}

function read(handle: number, count: number, caller = root): number {
  return client.send(Opcode.READ, 0, readBody(handle, count), caller);
}

/** A call that the trace shows, and nothing else. */
function stat(): void {
  client.request(Opcode.GETATTR, 1, new Body().bytes(new Uint8Array(16)));
}

function held({ uid }: Caller): number {
  return client.fileSystem.kernel.accounts.of(uid).used(Resource.HeldBytes);
}

test('each open reads what happens after it', () => {
  const { reader, writer } = openPipe(client, 'a');
  write(writer, bytesOf('before'));
  const first = new TraceClient(client, 'trace.json');
  read(reader, 100);
  const second = new TraceClient(client, 'trace.json');
  write(writer, bytesOf('after'));
  expect(first.fields().map(({ call, result }) => [call, result])).toEqual([
    ['read', 6],
    ['write', 5],
  ]);
  expect(second.fields().map(({ call }) => call)).toEqual(['write']);
  expect(second.read()).toBe(-EAGAIN);
});

test('nothing is recorded while nobody reads, and the memory of a trace goes with its last reader', () => {
  const { trace, kernel, kqueues } = client.fileSystem;
  expect([trace.isActive, kernel.scheduler.onSleep, kqueues.onDelivered]).toEqual([false, null, null]);
  const one = new TraceClient(client, 'trace', alice);
  const other = new TraceClient(client);
  expect(trace.isActive).toBe(true);
  expect(held(alice)).toBeGreaterThanOrEqual(DEFAULT_BYTES);
  one.close();
  expect(held(alice)).toBe(0);
  expect(trace.isActive).toBe(true);
  other.close();
  expect([trace.isActive, kernel.scheduler.onSleep, kqueues.onDelivered]).toEqual([false, null, null]);
});

test('a call that waits has a line when it begins to wait and one when it ends', () => {
  const { reader, writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  const json = new TraceClient(client, 'trace');
  client.host.clock.advance(5);
  read(reader, 100, alice);
  client.host.clock.advance(2500);
  write(writer, bytesOf('six by'));
  const [wait, written, ended] = trace.fields();
  expect(wait).toMatchObject({
    type: 'wait',
    call: 'read',
    pid: 701,
    object: 'pipes/a',
    wait: 'piperd',
    fill: 0,
  });
  expect(written).toMatchObject({
    type: 'end',
    call: 'write',
    pid: 700,
    result: 6,
    size: 6,
    offset: 0,
    fill: 6,
  });
  expect(ended).toMatchObject({ type: 'end', call: 'read', result: 6, size: 100, offset: 0, fill: 0 });
  expect(ended).toMatchObject({ blocked: 2.5, duration: 2.5, process: 701, parent: 1, command: 'fake' });
  expect(ended!.time).toBeCloseTo(wait!.time, 6);
  expect(json.lines().map((line) => line.split(' ').slice(1))).toEqual([
    ['0.000000', '-', '701', 'fake', 'read', 'pipes/a', 'size=100,fill=0,wait=piperd', 'waits'],
    ['0.000000', '0.000000', '700', 'fake', 'write', 'pipes/a', 'size=6,offset=0,fill=6', '6'],
    ['2.500000', '2.500000', '701', 'fake', 'read', 'pipes/a', 'size=100,offset=0,fill=0', '6'],
  ]);
});

test('what is done with info/trace is left out, whoever does it', () => {
  const one = new TraceClient(client);
  const other = new TraceClient(client, 'trace.json');
  one.read();
  other.read();
  one.ask('content 5\n');
  client.request(Opcode.GETATTR, walk(client, 'info/trace'), new Body().bytes(new Uint8Array(16)));
  expect([one.all(), other.all()]).toEqual(['', '']);
});

test('[SEC-21] a slow reader loses the oldest lines, and a line says how many', () => {
  setTraceBytes(LEAST_BYTES);
  const trace = new TraceClient(client, 'trace.json');
  const calls = 1000;
  for (let count = 0; count < calls; count++) stat();
  const [lost, ...kept] = trace.fields();
  expect(lost).toMatchObject({ type: 'lost', lines: calls - kept.length });
  expect(kept.length).toBeGreaterThan(100);
  expect(kept.length * 100).toBeLessThan(LEAST_BYTES);
  stat();
  expect(trace.fields()).toMatchObject([{ type: 'end', call: 'getattr' }]);
  const text = new TraceClient(client);
  for (let count = 0; count < calls; count++) stat();
  expect(text.lines()[0]).toMatch(/^[0-9]+\.[0-9]{6} - - - - lost - - [0-9]+$/);
});

test('a reader that loses lines costs no other reader any', () => {
  setTraceBytes(LEAST_BYTES);
  const slow = new TraceClient(client, 'trace.json');
  const quick = new TraceClient(client, 'trace.json');
  let seen = 0;
  for (let count = 0; count < 1000; count++) {
    stat();
    if (count % 100 === 99) seen += quick.fields().filter(({ type }) => type === 'end').length;
  }
  expect(seen).toBe(1000);
  expect(slow.fields()[0]).toMatchObject({ type: 'lost' });
});

test('contents take half of the memory at most: the oldest lines make room for them', () => {
  setTraceBytes(LEAST_BYTES);
  const { reader, writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  trace.ask('content\n');
  for (let count = 0; count < 20; count++) {
    write(writer, pattern(4000, count));
    read(reader, 4000);
  }
  const [lost, ...kept] = trace.fields();
  expect(lost).toMatchObject({ type: 'lost', lines: 40 - kept.length });
  expect(kept.length).toBe(Math.floor(LEAST_BYTES / 2 / 4000));
  expect(Buffer.from(kept.at(-1)!.content!, 'base64')).toEqual(Buffer.from(pattern(4000, 19)));
  // Longer than all contents may be together: the line stays.
  read(reader, 40_000);
  write(writer, pattern(40_000));
  const ends = trace.fields().filter(({ type }) => type === 'end');
  expect(ends.map(({ call, result, content }) => [call, result, content])).toEqual([
    ['read', 40_000, undefined],
    ['write', 40_000, undefined],
  ]);
});

test('an open that the opener may not hold the memory of fails with ENOMEM', () => {
  const { kernel } = client.fileSystem;
  kernel.sysctls.get('ipcfs.quota.held_bytes')!.set!(DEFAULT_BYTES);
  expect(() => new TraceClient(client, 'trace', alice)).toThrow(String(-ENOMEM));
  expect(client.fileSystem.trace.isActive).toBe(false);
  client.host.isOutOfMemory = true;
  expect(() => new TraceClient(client)).toThrow(String(-ENOMEM));
});

test('bytes are shown to the owner of the pipe and to root, as long as they have asked for them', () => {
  const { reader, writer } = openPipe(client, 'a');
  const node = client.fileSystem.openFiles.get(reader)!.node;
  node.setAttributes({ uid: alice.uid });
  const traces = [root, alice, bob, root].map((caller) => new TraceClient(client, 'trace.json', caller));
  for (const trace of traces.slice(0, 3)) expect(trace.ask('content 4\n')).toBe(0);
  write(writer, bytesOf('secret'));
  read(reader, 3);
  const seen = traces.map((trace) => trace.fields().map(({ content }) => content));
  const shown = [btoa('secr'), btoa('sec')];
  const hidden = [undefined, undefined];
  expect(seen).toEqual([shown, shown, hidden, hidden]);
  // It belongs to somebody else from now on.
  node.setAttributes({ uid: bob.uid });
  traces[1]!.ask('content 0');
  write(writer, bytesOf('more'));
  expect(traces.map((trace) => trace.fields().map(({ content }) => content))).toEqual([
    [btoa('more')],
    [undefined],
    [btoa('more')],
    [undefined],
  ]);
});

test('bytes in text are one word that steers no terminal', () => {
  const { writer } = openPipe(client, 'a');
  const trace = new TraceClient(client);
  trace.ask('content');
  write(writer, bytesOf('a b\x1b[2J\xff\\'));
  expect(trace.lines()[0]!.split(' ').slice(8)).toEqual(['9', String.raw`a\040b\033[2J\377\134`]);
});

test('names in lines are escaped, in JSON too', () => {
  const name = 'x \x1b"\n\xff';
  client.request(Opcode.MKNOD, walk(client, 'pipes'), mknodBody(name, S_IFREG | 0o600));
  const text = new TraceClient(client);
  const json = new TraceClient(client, 'trace.json');
  const nodeid = nodeidOf(lookup(client, walk(client, 'pipes'), name));
  client.request(Opcode.GETATTR, nodeid, new Body().bytes(new Uint8Array(16)));
  expect(text.lines()[0]).toContain(String.raw` getattr pipes/x\040\033"\012\377 - 0`);
  const [line] = json.lines();
  expect(line).toMatch(/^[\x20-\x7e]*$/);
  expect((JSON.parse(line!) as { object: string }).object).toBe(`pipes/${name}`);
});

test('a large content is read whole, in pieces of any size', () => {
  const { reader, writer } = openPipe(client, 'a');
  for (const name of ['trace.json', 'trace']) {
    const trace = new TraceClient(client, name);
    trace.ask('content');
    read(reader, 300_000);
    write(writer, pattern(300_000));
    const lines = trace.all(10_001).split('\n').slice(0, -1);
    // Each of the two has waited.
    expect(lines).toHaveLength(4);
    if (name === 'trace.json') {
      const { content } = JSON.parse(lines[3]!) as { content: string };
      expect(Buffer.from(content, 'base64').equals(pattern(300_000))).toBe(true);
    } else {
      const word = lines[3]!.split(' ')[9]!;
      const bytes = word.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(parseInt(octal, 8)),
      );
      expect(Buffer.from(bytes, 'latin1').equals(pattern(300_000))).toBe(true);
    }
    trace.close();
  }
});

test('the offset of a write is where its first byte lies, also when it waits in between and others write', () => {
  client.fileSystem.pipes.minDirectBytes = 2 ** 30;
  const { reader, writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  const ring = 65_536;
  write(writer, pattern(ring + 10_000), alice);
  write(writer, pattern(5000), bob);
  for (let count = 0; count < 8; count++) read(reader, 10_000);
  read(reader, 10_000);
  const ends = trace.fields().filter(({ type }) => type === 'end');
  const reads = ends.filter(({ call }) => call === 'read');
  let at = 0;
  for (const { offset, result } of reads) {
    expect(offset).toBe(at);
    at += result!;
  }
  expect(at).toBe(ring + 15_000);
  const writes = ends.filter(({ call }) => call === 'write');
  expect(writes.find(({ pid }) => pid === alice.pid)).toMatchObject({ offset: 0, result: ring + 10_000 });
  const bobs = writes.find(({ pid }) => pid === bob.pid)!;
  expect(bobs.offset).toBeGreaterThan(ring - 1);
  expect(bobs.offset! + 5000).toBeLessThanOrEqual(ring + 15_000);
});

test('a write that was handed over lies where its reader has read it', () => {
  const { reader, writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  write(writer, bytesOf('ring'));
  write(writer, pattern(100_000));
  for (const count of [4, 30_000, 70_000]) read(reader, count);
  const fields = trace.fields();
  // It has waited twice: for the ring to be empty, and for its reader.
  expect(fields.filter(({ type }) => type === 'wait')).toMatchObject([{ call: 'write', wait: 'pipdwc' }]);
  const moved = fields.flatMap(({ type, call, offset, result }) =>
    type === 'end' ? [[call, offset, result]] : [],
  );
  expect(moved).toEqual([
    ['write', 0, 4],
    ['read', 0, 4],
    ['read', 4, 30_000],
    ['read', 30_004, 70_000],
    ['write', 4, 100_000],
  ]);
});

test('a write that waits for its reader says where its bytes lie as soon as it waits', () => {
  const { reader, writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  write(writer, bytesOf('four'));
  read(reader, 4);
  write(writer, pattern(100_000));
  expect(trace.fields().at(-1)).toMatchObject({ type: 'wait', wait: 'pipdwt', offset: 4, fill: 100_000 });
});

test('a write that slept before the trace began has no offset that is only guessed', () => {
  const { reader, writer } = openPipe(client, 'a');
  write(writer, pattern(100_000));
  client.host.clock.advance(1);
  const trace = new TraceClient(client, 'trace.json');
  read(reader, 100_000);
  const ended = trace.fields().find(({ call }) => call === 'write')!;
  expect(ended.result).toBe(100_000);
  expect(ended.offset).toBeUndefined();
});

test('names that calls make, move and remove are those of the call', () => {
  const pipes = walk(client, 'pipes');
  const trace = new TraceClient(client);
  client.request(Opcode.MKNOD, pipes, mknodBody('a', S_IFREG | 0o600));
  const made = walk(client, 'pipes/a');
  client.request(Opcode.GETATTR, made, new Body().bytes(new Uint8Array(16)));
  client.request(Opcode.RENAME, pipes, new Body().u64(pipes).name('a').name('b'));
  client.request(Opcode.GETATTR, made, new Body().bytes(new Uint8Array(16)));
  client.error(Opcode.UNLINK, pipes, new Body().name('nothing'));
  client.request(Opcode.UNLINK, pipes, new Body().name('b'));
  expect(trace.lines().map((line) => line.split(' ').slice(5).join(' '))).toEqual([
    'mknod pipes/a mode=0600 0',
    'getattr pipes/a - 0',
    'rename pipes/a to=pipes/b 0',
    'getattr pipes/b - 0',
    'unlink pipes/nothing - ENOENT',
    'unlink pipes/b - 0',
  ]);
});

test('an event that a queue delivers is a line, without its token and what a USER knote carries', () => {
  const handle = openHandle(client, walk(client, 'kqueue'), LINUX_O_RDWR);
  const trace = new TraceClient(client, 'trace.json');
  const changes = 'add user 1 clear data=4711 udata=secret\nmodify user 1 trigger fflags=0x77 data=4711\n';
  write(handle, bytesOf(changes));
  read(handle, 4096);
  const fields = trace.fields();
  expect(fields.map(({ call }) => call)).toEqual(['write', 'event', 'read']);
  expect(fields[1]).toMatchObject({ type: 'event', object: 'kqueue', event: 'user 1 flags=clear', pid: 700 });
  expect(JSON.stringify(fields)).not.toMatch(/4711|secret|0x77/);
});

test('a fault on demand that hits a call is a line before those of the call', () => {
  const { writer, reader } = openPipe(client, 'a');
  const control = openHandle(client, walk(client, 'ctl'), LINUX_O_RDWR);
  write(control, bytesOf('fault add pipes/* read short=1\n'));
  const trace = new TraceClient(client, 'trace.json');
  const text = new TraceClient(client, 'trace');
  write(writer, bytesOf('two'), alice);
  read(reader, 100, alice);
  const fields = trace.fields();
  expect(fields.map(({ call, result }) => [call, result])).toEqual([
    ['write', 3],
    ['fault', undefined],
    ['read', 1],
  ]);
  expect(fields[1]).toMatchObject({ type: 'event', object: 'pipes/a', event: '1 read short=1', pid: 701 });
  expect(text.read()).toMatch(/ fault pipes\/a 1,read,short=1 -\n/);
});

test('content, a number and end are what can be written; anything else is EINVAL and changes nothing', () => {
  const { writer } = openPipe(client, 'a');
  const trace = new TraceClient(client, 'trace.json');
  for (const line of [
    'contents 5\n',
    'content -1\n',
    'end now\n',
    'content 5\nnonsense\n',
    'x'.repeat(5000),
  ]) {
    expect([line, trace.ask(line)]).toEqual([line, -EINVAL]);
  }
  write(writer, bytesOf('hidden'));
  expect(trace.fields()[0]!.content).toBeUndefined();
  expect(client.error(Opcode.OPEN, walk(client, 'info/trace'), openBody(LINUX_O_WRONLY))).toBe(-EINVAL);
});

test('end: the reader gets what has happened until then, and end-of-file', () => {
  const trace = new TraceClient(client);
  stat();
  expect(trace.ask('end\n')).toBe(0);
  stat();
  expect(trace.lines()).toHaveLength(1);
  expect(trace.read()).toBe('');
  expect(trace.read()).toBe('');
});

test('a reader that waits sleeps until a line comes, for some milliseconds more, and a signal ends it', () => {
  const { session, fileSystem, host } = client;
  const blocking = openHandle(client, walk(client, 'info/trace'), LINUX_O_RDONLY);
  const reading = read(blocking, 4096);
  expect([...fileSystem.transport.blockedCalls()]).toMatchObject([{ call: 'read' }]);
  stat();
  stat();
  expect(client.answers(reading)).toHaveLength(0);
  host.clock.advance(10);
  fileSystem.kernel.callouts.runExpired();
  session.settle();
  expect(textOf(client.answers(reading)[0]!).split('\n')).toHaveLength(3);
  const next = read(blocking, 4096);
  client.send(Opcode.INTERRUPT, 0, new Body().u64(next));
  expect(client.answers(next)[0]!.error).toBe(-4);
  expect([...session.requests.all()].filter(({ state }) => state === ThreadState.Sleeping)).toEqual([]);
});

test('poll says when a line can be read, and notifies', () => {
  const { session, fileSystem, host } = client;
  const handle = openHandle(client, walk(client, 'info/trace'), LINUX_O_RDONLY);
  const poll = (): number => {
    const body = new Body().u64(handle).u64(77).u32(1).u32(1);
    return client.request(Opcode.POLL, 0, body).payload.getUint32(0, true);
  };
  expect(poll()).toBe(0);
  stat();
  host.clock.advance(10);
  fileSystem.kernel.callouts.runExpired();
  session.settle();
  expect(client.notifiedPolls).toEqual([77]);
  expect(poll()).toBe(1);
});
