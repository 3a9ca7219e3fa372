import { beforeEach, describe, expect, test } from 'vitest';
import { type Credentials, rootCredentials } from '../../src/kern/credentials.ts';
import { EAGAIN, EDQUOT, EINTR, EIO, EMFILE, ENOSPC, EPIPE } from '../../src/kern/errno.ts';
import { Ioctl } from '../../src/kern/file.ts';
import { Kernel } from '../../src/kern/kernel.ts';
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, Poller } from '../../src/kern/poll.ts';
import { MemoryReadUio, WriteUio } from '../../src/kern/uio.ts';
import { createAndOpen } from '../../src/transports/common/create.ts';
import { FileSystem } from '../../src/tree/file-system.ts';
import * as calls from '../../src/vfs/calls.ts';
import { Directory } from '../../src/vfs/directory.ts';
import type { Node } from '../../src/vfs/node.ts';
import type { OpenFile } from '../../src/vfs/open-file.ts';
import { bytesOf, Call, FakeHost, openFlags, pattern, ReadCall, user } from '../support/engine.ts';

const other: Credentials = { uid: 1001, gid: 1001, pid: 600 };
const PIPE_BUF = 4096;

let host: FakeHost;
let kernel: Kernel;
let fileSystem: FileSystem;
beforeEach(() => {
  host = new FakeHost();
  kernel = new Kernel(host);
  fileSystem = new FileSystem(kernel, { identity: { uid: 0, gid: 0, version: '1', pid: 1 } });
  fileSystem.pipes.pipeBufBytes = PIPE_BUF;
});

function directory(name: string): Directory {
  return fileSystem.root.lookup(name) as Directory;
}

function pipe(name: string, owner = user): Node {
  return directory('pipes').makeFile(name, 0o666, owner) as Node;
}

function begin<C extends Call>(call: C): C {
  kernel.scheduler.start(call.thread);
  kernel.scheduler.run();
  return call;
}

function openCall(node: Node, mode: string, caller = user): { file: OpenFile; call: Call } {
  const file = fileSystem.openFiles.add(node, openFlags(mode), caller) as OpenFile;
  return { file, call: begin(new Call(kernel, calls.openNode(file))) };
}

function open(node: Node, mode: string, caller = user): OpenFile {
  const { file, call } = openCall(node, mode, caller);
  expect(call.result).toBe(0);
  return file;
}

function read(file: OpenFile, count: number, caller = user): ReadCall {
  const buffer = new Uint8Array(count);
  return begin(
    new ReadCall(kernel, calls.readFile(file, new MemoryReadUio([buffer]), caller, false), buffer),
  );
}

function write(file: OpenFile, data: Uint8Array | string, caller = user): Call {
  const bytes = typeof data === 'string' ? bytesOf(data) : data;
  return begin(new Call(kernel, calls.writeFile(file, new WriteUio([bytes]), caller, false)));
}

function poll(file: OpenFile, poller: Poller | null = null): number {
  return calls.pollFile(file, POLLIN | POLLRDNORM | POLLOUT, poller, user);
}

/** The answer to one request to `ctl`. */
function ask(request: string, caller: Credentials = rootCredentials): string {
  const file = open(fileSystem.control, 'rw', caller);
  expect(write(file, `${request}\n`, caller).result).toBe(request.length + 1);
  const { text } = read(file, 65_536, caller);
  begin(new Call(kernel, fileSystem.openFiles.close(file)));
  return text.trimEnd();
}

function add(fault: string, caller: Credentials = rootCredentials): number {
  const answer = ask(`fault add ${fault}`, caller);
  expect(answer).toMatch(/^ok \d+$/);
  return Number(answer.slice(3));
}

const counts = (id: number): [calls: number, hits: number] => {
  const fault = fileSystem.faults.get(id)!;
  return [fault.calls, fault.hits];
};

function advance(ms: number): void {
  host.clock.advance(ms);
  kernel.callouts.runExpired();
  kernel.scheduler.run();
}

test('calls go straight to their objects while there is no fault', () => {
  expect(fileSystem.context.faults).toBe(null);
  const id = add('pipes/* read eof');
  expect(fileSystem.context.faults).not.toBe(null);
  add('pipes/* write errno=EIO');
  expect(ask(`fault remove ${id}`)).toBe('ok');
  expect(fileSystem.context.faults).not.toBe(null);
  expect(ask('fault remove all')).toBe('ok 1');
  expect(fileSystem.context.faults).toBe(null);
});

describe('a pipe', () => {
  let node: Node;
  let file: OpenFile;
  beforeEach(() => {
    node = pipe('q');
    file = open(node, 'rw');
  });

  test('errno fails the call, and moves nothing', () => {
    write(file, 'hello');
    const id = add('pipes/q read errno=EIO count=1');
    expect(read(file, 10).result).toBe(-EIO);
    expect(read(file, 10).text).toBe('hello');
    add('pipes/q write errno=ENOSPC');
    expect(write(file, 'x').result).toBe(-ENOSPC);
    expect(node.sizeBytes).toBe(0);
    expect(counts(id)).toEqual([1, 1]);
    expect(ask('fault list')).toBe(
      'ok 2\n1 pipes/q read errno=EIO count=1 calls=1 hits=1\n2 pipes/q write errno=ENOSPC calls=1 hits=1',
    );
  });

  test('errno fails an open, also one that creates, and then leaves no name', () => {
    add('pipes/* open errno=EMFILE');
    expect(openCall(node, 'rw').call.result).toBe(-EMFILE);
    expect(createAndOpen(fileSystem, directory('pipes'), 'new', 0o600, 0o101, user)).toBe(-EMFILE);
    expect(directory('pipes').entries.has('new')).toBe(false);
    ask('fault remove all');
    expect(typeof createAndOpen(fileSystem, directory('pipes'), 'new', 0o600, 0o101, user)).toBe('object');
  });

  test('errno fails an ioctl', () => {
    add('pipes/q ioctl errno=EIO every=2');
    const argument = { value: 0 };
    const ioctl = (): number => calls.ioctlFile(file, Ioctl.FIONREAD, argument, user);
    expect([ioctl(), ioctl(), ioctl()]).toEqual([0, -EIO, 0]);
  });

  test('short limits each read, and each write of more than PIPE_BUF bytes', () => {
    write(file, 'hello');
    add('pipes/q any short=2');
    expect([1, 2, 3].map(() => read(file, 10).text)).toEqual(['he', 'll', 'o']);
    expect(write(file, pattern(PIPE_BUF)).result).toBe(PIPE_BUF);
    expect(write(file, pattern(PIPE_BUF + 1)).result).toBe(2);
    expect(node.sizeBytes).toBe(PIPE_BUF + 2);
  });

  test('split gives the bytes of a write to the readers piece by piece', () => {
    add('pipes/q write split=3000');
    const bytes = pattern(8000);
    const writing = write(file, bytes);
    expect([writing.isBlocked, writing.waitMessage]).toEqual([true, 'pipewr']);
    const got = [read(file, 10_000), read(file, 10_000), read(file, 10_000)].map((call) => call.bytes);
    expect(got.map(({ length }) => length)).toEqual([3000, 3000, 2000]);
    expect(Buffer.concat(got)).toEqual(Buffer.from(bytes));
    expect(writing.result).toBe(8000);
    // Atomic writes stay whole, and a write that may not wait is short.
    expect(write(file, pattern(PIPE_BUF)).result).toBe(PIPE_BUF);
    read(file, PIPE_BUF);
    const writer = open(node, 'wn');
    expect(write(writer, bytes).result).toBe(3000);
  });

  test('a write in pieces ends with what it has written by a signal, and at once when the fault is removed', () => {
    const id = add('pipes/q write split=1000');
    const interrupted = write(file, pattern(8000));
    read(file, 1000);
    interrupted.signal();
    expect(interrupted.result).toBe(2000);
    read(file, 1000);
    const writing = write(file, pattern(5000));
    ask(`fault remove ${id}`);
    expect(writing.isBlocked).toBe(true);
    expect(read(file, 1000).result).toBe(1000);
    expect([writing.result, node.sizeBytes]).toEqual([5000, 4000]);
  });

  test('split ends reads at each multiple of its size', () => {
    write(file, 'abcdefghij');
    add('pipes/q read split=4');
    expect([read(file, 3), read(file, 9), read(file, 9), read(file, 9)].map(({ text }) => text)).toEqual([
      'abc',
      'd',
      'efgh',
      'ij',
    ]);
  });

  test('delay holds a call for its time, until a signal, or until the fault is removed', () => {
    write(file, 'abc');
    const id = add('pipes/q any delay=500ms');
    const first = read(file, 1);
    expect([first.isBlocked, first.waitMessage]).toEqual([true, 'fault']);
    advance(499);
    expect(first.isBlocked).toBe(true);
    advance(1);
    expect(first.text).toBe('a');
    const second = read(file, 1);
    second.signal();
    expect(second.result).toBe(-EINTR);
    const third = read(file, 1);
    expect(ask(`fault remove ${id}`)).toBe('ok');
    expect(third.text).toBe('b');
    expect(counts(add('pipes/q read delay=1m'))).toEqual([0, 0]);
    // A call that may not wait is left alone.
    const reader = open(node, 'rn');
    expect(read(reader, 1).text).toBe('c');
  });

  test('stall holds calls until it is removed; those that may not wait are told EAGAIN', () => {
    write(file, 'abc');
    const id = add('pipes/q any stall');
    const opening = openCall(node, 'r').call;
    const reading = read(file, 1);
    const stopped = read(file, 1);
    expect(poll(file)).toBe(0);
    const fault = fileSystem.faults.get(id)!;
    expect([opening.waitMessage, reading.waitMessage, fault.blockedCalls]).toEqual(['fault', 'fault', 3]);
    stopped.signal();
    expect(stopped.result).toBe(-EINTR);
    const reader = open(node, 'rn');
    expect(read(reader, 1).result).toBe(-EAGAIN);
    let notices = 0;
    expect(poll(file, new Poller(() => notices++))).toBe(0);
    ask('fault remove all');
    expect([opening.result, reading.text, notices]).toEqual([0, 'a', 1]);
    expect(fault.blockedCalls).toBe(0);
    expect(poll(file)).toBe(POLLIN | POLLRDNORM | POLLOUT);
  });

  test('eof ends a read, and the bytes stay', () => {
    write(file, 'abc');
    add('pipes/q read eof when=1');
    expect(read(file, 5).result).toBe(0);
    expect(read(file, 5).text).toBe('abc');
  });

  test('hangup takes the other side from one open file, until the fault is removed', () => {
    write(file, 'abc');
    const second = open(node, 'rw');
    let notices = 0;
    poll(file, new Poller(() => notices++));
    const id = add('pipes/q read hangup when=1');
    expect(read(file, 5).result).toBe(0);
    expect(read(file, 5).result).toBe(0);
    expect(write(file, 'x').result).toBe(-EPIPE);
    expect(poll(file)).toBe(POLLIN | POLLRDNORM | POLLOUT | POLLHUP);
    expect(poll(second)).toBe(POLLIN | POLLRDNORM | POLLOUT);
    expect(write(second, 'd').result).toBe(1);
    expect(counts(id)).toEqual([1, 1]);
    ask('fault remove all');
    expect(read(file, 5).text).toBe('abcd');
  });

  test('a hangup for polls tells those that sleep in one', () => {
    const reader = open(node, 'r');
    let notices = 0;
    const poller = new Poller(() => notices++);
    reader.poller = poller;
    expect(poll(reader, poller)).toBe(0);
    add('pipes/other poll hangup');
    expect(notices).toBe(0);
    add('pipes/q poll hangup');
    expect(notices).toBe(1);
    expect(poll(reader)).toBe(POLLIN | POLLRDNORM | POLLHUP);
  });

  test('signal goes to the caller, and ends the call unless it is ignored', () => {
    write(file, 'abc');
    const id = add('pipes/q read signal=USR1');
    expect(read(file, 1, { ...user, pid: 500 }).result).toBe(-EINTR);
    expect(read(file, 1, { ...user, pid: 950 }).text).toBe('a');
    expect(host.signalled).toEqual([
      [500, 'USR1'],
      [950, 'USR1'],
    ]);
    expect(counts(id)).toEqual([2, 2]);
  });

  test('a signal that who added the fault may not send is no hit', () => {
    write(file, 'abc');
    const id = add('pipes/q read signal=KILL', user);
    expect(read(file, 1, { ...other, pid: 50 }).text).toBe('a');
    expect(host.signalled).toEqual([]);
    expect(counts(id)).toEqual([1, 0]);
  });

  test('a fault hits the calls of its process, as often as it may, and is spent then', () => {
    const id = add('pipes/q write errno=EIO pid=600 count=2');
    expect([user, other, other, other].map((caller) => write(file, 'x', caller).result)).toEqual([
      1,
      -EIO,
      -EIO,
      1,
    ]);
    expect([counts(id), fileSystem.faults.get(id)!.isSpent]).toEqual([[2, 2], true]);
  });

  test('several faults act on one call, in order, until one of them ends it', () => {
    write(file, 'abcdef');
    const ids = [
      add('pipes/q read delay=1s'),
      add('pipes/q read short=3'),
      add('pipes/q read errno=EIO when=2'),
      add('pipes/q read eof when=3'),
    ];
    const first = read(file, 9);
    advance(1000);
    expect(first.text).toBe('abc');
    const second = read(file, 9);
    advance(1000);
    expect(second.result).toBe(-EIO);
    expect(ids.map((id) => counts(id)[0])).toEqual([2, 2, 2, 1]);
  });

  test('the object is known by its first name at the time of the call', () => {
    add('pipes/moved read eof');
    const linger = { noReplace: false };
    write(file, 'ab');
    expect(read(file, 1).text).toBe('a');
    fileSystem.rename(directory('pipes'), 'q', directory('pipes'), 'moved', linger);
    expect(read(file, 1).result).toBe(0);
  });
});

test('10,000 stalled calls go on when their fault is removed', () => {
  const file = open(pipe('q'), 'rw');
  const id = add('pipes/* read stall');
  const reads = Array.from({ length: 10_000 }, () => read(file, 1));
  expect(fileSystem.faults.get(id)!.blockedCalls).toBe(10_000);
  for (const part of [5000, 5000]) expect(write(file, pattern(part)).result).toBe(part);
  expect(ask(`fault remove ${id}`)).toBe('ok');
  expect(reads.every(({ result }) => result === 1)).toBe(true);
});

test('a pair and a kqueue are broken as well', () => {
  const pair = directory('pairs').makeDirectory('p', 0o777, user) as Directory;
  const [left, right] = ['0', '1'].map((name) => open(pair.lookup(name) as Node, 'rw'));
  add('pairs/p/0 write split=3000');
  const writing = write(left!, pattern(6000));
  expect([read(right!, 9000).result, read(right!, 9000).result, writing.result]).toEqual([3000, 3000, 6000]);
  add('pairs/*/1 read eof');
  expect(read(right!, 1).result).toBe(0);
  const queue = open(directory('kqueues').createFile('k', 0o666, user) as Node, 'rw');
  add('kqueues/k read stall when=1');
  const stalled = read(queue, 100);
  expect(stalled.waitMessage).toBe('fault');
  add('** write errno=EIO');
  expect(write(queue, 'add user 1\n').result).toBe(-EIO);
});

test('a segment is broken by attach and size, through its file and through shm/ctl', () => {
  const segments = directory('shm');
  const made = createAndOpen(fileSystem, segments, '0x12', 0o666, 0o102, user) as OpenFile;
  const setSize = (sizeBytes: number): number => calls.setNodeAttributes(made.node, { sizeBytes }, user);
  add('shm/* size errno=ENOSPC count=1');
  expect([setSize(4096), setSize(4096)]).toEqual([-ENOSPC, 0]);
  expect(calls.setNodeAttributes(made.node, { mode: 0o600 }, user)).toBe(0);
  // An open that creates holds a lock of Linux, and does not wait.
  const stall = add('shm/* any stall');
  const again = createAndOpen(fileSystem, segments, '0x12', 0o666, 0o102, user) as OpenFile;
  begin(new Call(kernel, fileSystem.openFiles.close(again)));
  expect(openCall(segments.lookup('0x12') as Node, 'r').call.waitMessage).toBe('fault');
  expect(counts(stall)).toEqual([1, 1]);
  ask(`fault remove ${stall}`);
  const id = add('shm/0x00000012 attach errno=EMFILE');
  expect(openCall(segments.lookup('0x12') as Node, 'r').call.result).toBe(-EMFILE);
  const control = open(segments.lookup('ctl') as Node, 'rw');
  const { segment } = made.node as unknown as { segment: { id: number } };
  write(control, `attach ${segment.id}\n`);
  expect(read(control, 99).text).toBe('error EMFILE\n');
  expect(counts(id)).toEqual([2, 2]);
  ask('fault remove all');
  write(control, `attach ${segment.id}\n`);
  expect(read(control, 99).text).toBe('ok\n');
});

describe('users', () => {
  test('[SEC-22] a fault hits objects of its own user only; root breaks all', () => {
    const mine = open(pipe('mine', user), 'rw');
    const theirs = open(pipe('theirs', other), 'rw', other);
    expect(ask('fault add pipes/theirs write errno=EIO', user)).toBe(
      'error EPERM pipes/theirs belongs to user 1001: only its owner and root may break it',
    );
    add('pipes/* write errno=EIO', user);
    expect(write(mine, 'x').result).toBe(-EIO);
    expect(write(theirs, 'x', other).result).toBe(1);
    add('** write errno=ENOSPC');
    expect([write(mine, 'x').result, write(theirs, 'x', other).result]).toEqual([-ENOSPC, -ENOSPC]);
  });

  test('[SEC-22] only who added a fault and root see it in their list, and remove it', () => {
    const id = add('pipes/* read eof', user);
    expect(ask('fault list', other)).toBe('ok 0');
    expect(ask(`fault remove ${id}`, other)).toBe(
      `error EPERM user 1000 has added fault ${id}: only that user and root may remove it`,
    );
    expect(ask('fault remove all', other)).toBe('ok 0');
    expect(ask(`fault remove ${id}`, user)).toBe('ok');
    expect(ask('fault remove all')).toBe('ok 0');
    expect(ask(`fault remove ${id}`)).toBe(`error ENOENT there is no fault ${id}: read info/faults`);
  });

  test('[SEC-13] a user who has reached the quota adds no more, until one is removed', () => {
    for (let number = 0; number < 32; number++) add('pipes/* read eof', user);
    expect(ask('fault add pipes/* read eof', user)).toBe('error EDQUOT');
    expect(kernel.accounts.of(user.uid).charge(13)).toBe(-EDQUOT);
    add('pipes/* read eof', other);
    ask('fault remove 1', user);
    add('pipes/* read eof', user);
    // The longest that there can be fit an answer.
    ask('fault remove all', user);
    const long = `pipes/${'*'.padEnd(249, 'x')} write errno=ENOBUFS p=0.123456789012345 seed=4294967295 pid=4294967295 count=4294967295`;
    for (let number = 0; number < 32; number++) add(long, user);
    expect(ask('fault list', user).split('\n')).toHaveLength(33);
  });

  test('the rest of a request may come later, and what is none says what one begins with', () => {
    expect(ask('frob')).toBe(
      'error EINVAL unknown word "frob": a request begins with fault, set, unset, get',
    );
    expect(ask('fault')).toBe('error EINVAL unknown word "": use fault add, fault list or fault remove');
    const control = open(fileSystem.control, 'rw');
    write(control, 'fault li');
    expect(read(control, 99).result).toBe(0);
    write(control, 'st\n# a comment\nfault list\n');
    expect(read(control, 99).text).toBe('ok 0\nok 0\n');
  });
});
