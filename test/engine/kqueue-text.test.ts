import { describe, expect, test } from 'vitest';

import { EAGAIN, EBADF, EFAULT, EINTR, EINVAL, ENOENT } from '../../src/kern/errno.ts';
import { type File, FNONBLOCK } from '../../src/kern/file.ts';
import { EV_ONESHOT, EVFILT_TIMER, EVFILT_USER } from '../../src/kern/klist.ts';
import { POLLIN, Poller } from '../../src/kern/poll.ts';
import { EV_ADD, EV_CLEAR, NOTE_TRIGGER } from '../../src/kqueue/kevent.ts';
import { isProblem, parseChange } from '../../src/kqueue/text.ts';
import { bytesOf, ReadCall, user } from '../support/engine.ts';
import { MemoryReadUio } from '../../src/kern/uio.ts';
import { change, kqueueOf, KqueueWorld } from '../support/kqueue.ts';

function setUp(mode = 'rwn'): {
  world: KqueueWorld;
  kq: File;
  say: (text: string) => number;
  hear: (count?: number) => string;
} {
  const world = new KqueueWorld();
  const kq = world.textFile(mode);
  return {
    world,
    kq,
    say: (text) => world.write(kq, text).result!,
    hear: (count = 65_536) => {
      const call = world.read(kq, count);
      if (call.result === null || call.result < 0) return `${call.result}`;
      return call.text;
    },
  };
}

const nothing = `${-EAGAIN}`;

test('K113: add without notes watches for all of them, as it could never fire otherwise', () => {
  const fflagsOf = (line: string): unknown => (parseChange(line) as { fflags: number }).fflags;
  expect(fflagsOf('add vnode pipes')).toBe(
    fflagsOf('add vnode pipes delete write extend attrib link rename revoke'),
  );
  expect(fflagsOf('add vnode pipes write')).not.toBe(fflagsOf('add vnode pipes'));
  expect(fflagsOf('add vnode pipes fflags=0')).toBe(0);
  expect(fflagsOf('modify vnode pipes udata=x')).toBe(0);
  expect(fflagsOf('add read pipes')).toBe(0);
});

describe('events as lines', () => {
  test('K46: fields come in one order, and action bits are not shown', () => {
    const { world, say, hear } = setUp();
    const [near, far] = world.pair();
    world.paths.set('pipes/jobs', near);
    say('add read pipes/jobs clear receipt udata=j1\n');
    expect(hear()).toBe('error read pipes/jobs errno=0 udata=j1\n');
    world.write(far, 'abcdef');
    expect(hear()).toBe('read pipes/jobs data=6 flags=clear fflags=0 udata=j1\n');
    expect(hear()).toBe(nothing);
  });

  test('K104: an exit shows its wait status in hexadecimal', () => {
    const { world, say, hear } = setUp();
    world.processes.alive.add(4711).add(4712);
    say('add proc 4711 exit\nadd proc 4712 exit fork track\n');
    world.processes.exit(4711, 0x300);
    expect(hear()).toBe('proc 4711 data=0x300 flags=clear,eof,nodata,oneshot fflags=exit udata=-\n');
    world.processes.fork(4712, 4713);
    world.processes.exit(4713, 0);
    expect(hear()).toBe(
      'proc 4713 data=0 flags=clear,eof,nodata,oneshot fflags=child,exit udata=-\n' +
        'proc 4712 data=0 flags=clear fflags=fork udata=-\n',
    );
  });

  test('K15: a change that fails is an error line, and the next one is applied', () => {
    const { say, hear } = setUp();
    expect(say('add read pipes/none\nadd aio 7 udata=x\nadd user 1 trigger oneshot\n')).toBe(65);
    expect(hear()).toBe('error read pipes/none errno=ENOENT udata=-\nerror aio 7 errno=ENXIO udata=x\n');
    expect(hear()).toBe('user 1 data=0 flags=oneshot fflags=0 udata=-\n');
  });

  test('K95: each filter has its words', () => {
    const { world, kq, say, hear } = setUp();
    say('add user 0x10 trigger ffcopy=0x12 data=-5 clear\n');
    expect(hear()).toBe('user 0x10 data=-5 flags=clear fflags=0x12 udata=-\n');
    say('add timer 3 data=2s\nadd signal SIGUSR1\nadd signal 12 udata=two\n');
    world.advance(4000);
    world.processes.signal(500, 10);
    world.processes.signal(500, 12);
    expect(hear()).toBe(
      'timer 3 data=2 flags=clear fflags=0 udata=-\nsignal SIGUSR1 data=1 flags=clear fflags=0 udata=-\n' +
        'signal 12 data=1 flags=clear fflags=0 udata=two\n',
    );
    world.must(kq, change(EVFILT_USER, 2n ** 63n, EV_ADD | EV_ONESHOT, { fflags: NOTE_TRIGGER, udata: 255 }));
    expect(hear()).toBe('user 9223372036854775808 data=0 flags=oneshot fflags=0 udata=0xff\n');
  });

  test('K125: fd:N is a descriptor of the writing process', () => {
    const { world, say, hear } = setUp();
    const [near, far] = world.pair();
    const fd = world.descriptor(near);
    world.write(far, 'x');
    say(`add read fd:${fd} oneshot\nadd read fd:99\nadd read fd:99999999999\n`);
    expect(hear()).toBe(
      'error read fd:99 errno=EBADF udata=-\nerror read fd:99999999999 errno=EBADF udata=-\n',
    );
    expect(hear()).toBe(`read fd:${fd} data=1 flags=oneshot fflags=0 udata=-\n`);
  });

  test('K68, K67: several lines come in one read, oldest first, as many as fit', () => {
    const { say, hear } = setUp();
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\nadd user 3 trigger oneshot\n');
    const line = (ident: number) => `user ${ident} data=0 flags=oneshot fflags=0 udata=-\n`;
    expect(hear(line(1).length * 2 + 5)).toBe(line(1) + line(2));
    expect(hear()).toBe(line(3));
    expect(hear()).toBe(nothing);
  });

  test('K31: a long queue comes in order through a buffer of any size', () => {
    const { world, kq, hear } = setUp();
    for (let ident = 0; ident < 40; ident++) {
      world.must(kq, change(EVFILT_USER, ident, EV_ADD | EV_CLEAR, { fflags: NOTE_TRIGGER }));
    }
    let text = '';
    for (let size = 39; ; size += 50) {
      const piece = hear(size);
      if (piece === nothing) break;
      text += piece;
      kqueueOf(kq).checkInvariants();
    }
    expect([...text.matchAll(/^user (\d+) /gm)].map((match) => Number(match[1]))).toEqual(
      Array.from({ length: 40 }, (_, index) => index),
    );
  });
});

describe('reading', () => {
  /** What a thread reads when it asks for one byte. */
  function byteFor(world: KqueueWorld, kq: File, pid: number): string {
    const buffer = new Uint8Array(1);
    const uio = new MemoryReadUio([buffer]);
    const call = new ReadCall(world.kernel, kq.ops.read(kq, uio, { ...user, pid }), buffer);
    return world.startCall(call).text;
  }

  test('K32: a reader gets a line byte by byte, and another reader gets another line meanwhile', () => {
    const { world, kq, say } = setUp();
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\n');
    let first = '';
    let second = '';
    while (!first.endsWith('\n') || !second.endsWith('\n')) {
      if (!first.endsWith('\n')) first += byteFor(world, kq, 1);
      if (!second.endsWith('\n')) second += byteFor(world, kq, 2);
    }
    expect([first, second]).toEqual([
      'user 1 data=0 flags=oneshot fflags=0 udata=-\n',
      'user 2 data=0 flags=oneshot fflags=0 udata=-\n',
    ]);
  });

  test('K32: threads of one process go on with one line, and another process has its own', () => {
    const { world, kq, say } = setUp();
    world.threads.set(11, 10);
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\n');
    const readers = [10, 11, 20];
    const texts = new Map([10, 20].map((process) => [process, '']));
    for (let turn = 0; [...texts.values()].some((text) => !text.endsWith('\n')); turn++) {
      const thread = readers[turn % readers.length]!;
      const process = thread === 20 ? 20 : 10;
      if (!texts.get(process)!.endsWith('\n'))
        texts.set(process, texts.get(process)! + byteFor(world, kq, thread));
    }
    expect([...texts.values()]).toEqual([
      'user 1 data=0 flags=oneshot fflags=0 udata=-\n',
      'user 2 data=0 flags=oneshot fflags=0 udata=-\n',
    ]);
  });

  test('K32: who reads byte by byte is looked up once a line, and again for the next', () => {
    const { world, kq, say } = setUp();
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\n');
    const readLine = (): string => {
      let line = '';
      while (!line.endsWith('\n')) line += byteFor(world, kq, 7);
      return line;
    };
    const before = world.processQuestions;
    expect(readLine()).toMatch(/^user 1 /);
    expect(world.processQuestions - before).toBe(1);
    // Meanwhile the thread has become another process's.
    world.threads.set(7, 8);
    expect(readLine()).toMatch(/^user 2 /);
    expect(world.processQuestions - before).toBe(2);
  });

  test('K34: poll tells the reader in the middle of a line, and nobody else, that there is more', () => {
    const { world, kq, say, hear } = setUp();
    say('add user 1 trigger oneshot\n');
    expect(hear(4)).toBe('user');
    expect(world.poll(kq, POLLIN)).toBe(POLLIN);
    expect(kq.ops.poll(kq, POLLIN, null, { ...user, pid: 77 })).toBe(0);
    expect(hear()).toBe(' 1 data=0 flags=oneshot fflags=0 udata=-\n');
    expect(world.poll(kq, POLLIN)).toBe(0);
    say('nonsense\n');
    expect(world.poll(kq, POLLIN)).toBe(POLLIN);
  });

  test('K24, K29: a blocking read waits for an event, a line about a change, or a signal', () => {
    const { world, kq, say } = setUp('rw');
    const event = world.read(kq, 100);
    expect([event.isBlocked, event.waitMessage]).toEqual([true, 'kqread']);
    say('add user 1 trigger oneshot\n');
    expect(event.text).toBe('user 1 data=0 flags=oneshot fflags=0 udata=-\n');
    const complaint = world.read(kq, 100);
    const other = world.read(kq, 100);
    expect(say('add user\n')).toBe(-EINVAL);
    expect(complaint.text).toBe('error line=1 errno=EINVAL no ident\n');
    expect(other.isBlocked).toBe(true);
    other.signal();
    expect(other.result).toBe(-EINTR);
  });

  test('K24: a read that is made non-blocking while it waits still gets a line about a change', () => {
    const { world, kq, say } = setUp('rw');
    const call = world.read(kq, 100);
    kq.flags |= FNONBLOCK;
    say('delete user 1\n');
    expect(call.text).toBe('error user 1 errno=ENOENT udata=-\n');
  });

  test('K7: a poller hears of a line about a change', () => {
    const { world, kq, say } = setUp();
    let heard = 0;
    world.poll(kq, POLLIN, new Poller(() => heard++));
    say('nonsense\n');
    expect(heard).toBe(1);
  });

  test('K32: the rests of 256 readers are remembered, of more the newest', () => {
    const { world, kq, say } = setUp();
    say('add user 1 trigger\n');
    const take = (pid: number, count: number): string => {
      const buffer = new Uint8Array(count);
      const operation = kq.ops.read(kq, new MemoryReadUio([buffer]), { ...user, pid });
      return world.startCall(new ReadCall(world.kernel, operation, buffer)).text;
    };
    for (let pid = 1; pid <= 257; pid++) expect(take(pid, 4)).toBe('user');
    expect(take(2, 100)).toMatch(/^ 1 data/);
    expect(take(1, 100)).toMatch(/^user 1 data/);
  });

  test('K30: a line that cannot be stored is there again', () => {
    const { world, kq, say, hear } = setUp();
    say('add user 1 trigger oneshot\n');
    expect(world.readv(kq, [{ unreadableBytes: 100 }]).result).toBe(-EFAULT);
    expect(world.readv(kq, [{ unreadableBytes: 4 }]).result).toBe(-EFAULT);
    expect(hear(3)).toBe('use');
    expect(world.readv(kq, [{ unreadableBytes: 4 }]).result).toBe(-EFAULT);
    expect(hear()).toBe('r 1 data=0 flags=oneshot fflags=0 udata=-\n');
    say('delete user 5\n');
    expect(world.readv(kq, [{ unreadableBytes: 100 }]).result).toBe(-EFAULT);
    expect(hear()).toBe('error user 5 errno=ENOENT udata=-\n');
  });

  test('K30: lines before a fault are the result of the read', () => {
    const { world, kq, say, hear } = setUp();
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\n');
    const line = 'user 1 data=0 flags=oneshot fflags=0 udata=-\n';
    expect(world.readv(kq, [new Uint8Array(line.length), { unreadableBytes: 100 }]).result).toBe(line.length);
    expect(hear()).toBe(line.replace('1', '2'));
  });

  test('K2: a read of nothing is 0, and a file that is not open for reading is EBADF', () => {
    const { world, hear } = setUp();
    expect(hear(0)).toBe('');
    expect(world.read(world.textFile('w'), 10).result).toBe(-EBADF);
  });

  test('K8: unrelated files of one queue take its events in turn, and it ends with the last', () => {
    const { world, kq, say } = setUp('rw');
    const queue = kqueueOf(kq);
    const other = world.textFile('rw', queue);
    say('add user 1 trigger oneshot\nadd user 2 trigger oneshot\n');
    expect(world.read(other, 45).text).toBe('user 1 data=0 flags=oneshot fflags=0 udata=-\n');
    world.closeFile(kq);
    expect(queue.isTerminated).toBe(false);
    expect(world.read(other, 45).text).toBe('user 2 data=0 flags=oneshot fflags=0 udata=-\n');
    world.closeFile(other);
    expect(queue.isTerminated).toBe(true);
  });
});

describe('writing', () => {
  test('K13: a line may come in several writes, with comments and empty lines between', () => {
    const { kq, say, hear } = setUp();
    expect(['# all of it\n', '\n  \t\nadd us', 'er 1', ' trigger # now\nad'].map(say)).toEqual([
      12, 11, 4, 17,
    ]);
    expect(hear()).toBe('user 1 data=0 flags=- fflags=0 udata=-\n');
    expect(say('d user 2\n')).toBe(9);
    expect(kqueueOf(kq).knoteCount).toBe(2);
  });

  test('K15: a line that cannot be parsed fails its write, of which nothing is applied', () => {
    const { kq, say, hear } = setUp();
    expect(say('add user 1 trigger\nadd raed pipes/a\nadd user 2\n')).toBe(-EINVAL);
    expect(hear()).toBe('error line=2 errno=EINVAL unknown filter "raed"\n');
    expect([hear(), kqueueOf(kq).knoteCount]).toEqual([nothing, 0]);
    say('add us');
    expect(say('er\nadd user 7')).toBe(-EINVAL);
    expect(hear()).toBe('error line=1 errno=EINVAL no ident\n');
    expect(say('\nadd user 1\n')).toBe(12);
    expect(kqueueOf(kq).knoteCount).toBe(1);
  });

  test('K15: a line has 4096 bytes at most, also in pieces', () => {
    const { kq, say, hear } = setUp();
    const long = `add user 1 udata=${'x'.repeat(4096 - 17)}`;
    expect(say(`${long}\n`)).toBe(4097);
    expect(say(`${long}x\n`)).toBe(-EINVAL);
    expect(hear()).toBe('error line=1 errno=EINVAL line longer than 4096 bytes\n');
    for (let piece = 0; piece < 4; piece++) expect(say('#'.repeat(1024))).toBe(1024);
    expect(say('#')).toBe(-EINVAL);
    expect(hear()).toBe('error line=1 errno=EINVAL line longer than 4096 bytes\n');
    expect([kqueueOf(kq).knoteCount, say('delete user 1\n')]).toEqual([1, 14]);
  });

  test('K18, K19: a file that cannot be read gets its errors from the write', () => {
    const { world, kq } = setUp();
    const writer = world.textFile('w', kqueueOf(kq));
    expect(world.write(writer, 'add user 1 receipt\ndelete user 5\nadd user 2\n').result).toBe(-ENOENT);
    expect(kqueueOf(kq).knoteCount).toBe(1);
    expect(world.write(writer, 'nonsense\n').result).toBe(-EINVAL);
    expect(world.write(writer, 'add user 2\nad').result).toBe(13);
    expect(world.write(writer, 'd user 3\n').result).toBe(9);
    expect(kqueueOf(kq).knoteCount).toBe(3);
  });

  test('K13: a write that faults changes nothing', () => {
    const { world, kq } = setUp();
    expect(world.writev(kq, [bytesOf('add user 1\n'), { unreadableBytes: 5 }]).result).toBe(-EFAULT);
    expect(kqueueOf(kq).knoteCount).toBe(0);
  });

  test('K44: modify replaces the values that it gives, and those of other filters all', () => {
    const { world, say, hear } = setUp();
    say('add timer 1 data=100 udata=t\nmodify timer 1 udata=u\n');
    world.advance(250);
    expect(hear()).toBe('timer 1 data=2 flags=clear fflags=0 udata=u\n');
    say('modify timer 1 data=10\ndisable timer 1\nenable timer 1\n');
    world.advance(70);
    expect(hear()).toBe('timer 1 data=3 flags=clear fflags=0 udata=u\n');
    say('modify timer 9 data=10\n');
    expect(hear()).toBe('error timer 9 errno=ENOENT udata=-\n');
    world.processes.alive.add(7);
    say('add proc 7 fork udata=p\nmodify proc 7 exec\ndisable proc 7\nenable proc 7\n');
    world.processes.fork(7, 8);
    world.processes.exec(7);
    expect(hear()).toBe('proc 7 data=0 flags=clear fflags=exec udata=p\n');
  });
});

describe('the grammar', () => {
  test.each([
    ['foo user 1', 1, 'unknown command "foo"'],
    ['  add  usr 1', 8, 'unknown filter "usr"'],
    ['add', 4, 'no filter'],
    ['add user', 9, 'no ident'],
    ['add user # 1', 13, 'no ident'],
    ['add user x', 10, '"x" is no ident of user'],
    ['add user -1', 10, '"-1" is no ident of user'],
    ['add user 18446744073709551616', 10, '"18446744073709551616" is no ident of user'],
    ['add timer 1.5', 11, '"1.5" is no ident of timer'],
    ['add signal USR9', 12, '"USR9" is no ident of signal'],
    ['add read fd:', 10, '"fd:" is no ident of read'],
    ['add read fd:-1', 10, '"fd:-1" is no ident of read'],
    ['add user 1 frob', 12, 'unknown option "frob"'],
    ['add user 1 frob=1', 12, 'unknown option "frob=1"'],
    ['add user 1 exit', 12, 'unknown option "exit"'],
    ['add read a trigger', 12, 'unknown option "trigger"'],
    ['add read a ffor=1', 12, 'unknown option "ffor=1"'],
    ['add user 1 data=', 12, '"data=": not an integer of 64 bits'],
    ['add user 1 data=5ms', 12, '"data=5ms": not an integer of 64 bits'],
    ['add timer 1 data=5h', 13, '"data=5h": not an integer of 64 bits'],
    ['add timer 1 data=9223372036854775807m', 13, '"data=9223372036854775807m": not an integer of 64 bits'],
    ['add user 1 data=9223372036854775808', 12, '"data=9223372036854775808": not an integer of 64 bits'],
    ['add user 1 fflags=0x100000000', 12, '"fflags=0x100000000": not an integer of 32 bits'],
    ['add user 1 ffor=0x1000000', 12, '"ffor=0x1000000": not an integer of 24 bits'],
    ['add user 1 ffor=1 ffand=2', 19, '"ffand=2": given twice'],
    ['add user 1 data=1 data=1', 19, '"data=1": given twice'],
    ['add user 1 udata=', 12, '"udata=": no token'],
    ['add user 1 \0', 12, 'control character'],
    ['add user 1\r', 11, 'control character'],
    ['add \xff\xfe 1', 5, 'unknown filter "\\377\\376"'],
    [`add ${'y'.repeat(100)}`, 5, `unknown filter "${'y'.repeat(64)}..."`],
  ])('K37 %j is refused', (line, column, message) => {
    expect(parseChange(line)).toEqual({ column, message });
  });

  test.each([
    [
      'add user 1',
      { filter: EVFILT_USER, ident: 1, flags: EV_ADD, fflags: 0, data: 0, udata: 0, label: null },
    ],
    ['add user 010 oneshot clear', { ident: 10, label: '010', flags: EV_ADD | EV_ONESHOT | EV_CLEAR }],
    ['add user 1 dispatch receipt enable disable', { flags: 0xcd }],
    ['modify user 1 fflags=0x1 ffcopy=0x10 trigger', { flags: 0, fflags: 0xc100_0011 }],
    ['add timer 1 data=2m', { filter: EVFILT_TIMER, data: 120_000 }],
    ['add timer 1 data=-5ms', { data: -5 }],
    ['add timer 1 data=4611686018427387904', { data: 2n ** 62n }],
    ['add timer 1 data=0x10', { data: 16 }],
    ['add signal usr1', { ident: 10, label: 'usr1' }],
    ['add signal 64', { ident: 64, label: null }],
    ['add vnode shm/0x1 delete write extend attrib link rename revoke', { ident: 'shm/0x1', fflags: 0x7f }],
    ['add proc 5 exit fork exec track', { ident: 5, fflags: 0xe000_0001 }],
    ['add read fd:5', { ident: 5, label: null }],
    ['add read \xe4/b udata=a=b#c', { ident: '\xe4/b', udata: 'a=b#c' }],
    ['delete except x udata=-', { filter: -8, udata: 0 }],
  ])('K41 %j is accepted', (line, expected) => {
    const result = parseChange(line)!;
    expect(isProblem(result)).toBe(false);
    expect(result).toMatchObject(expected);
  });

  test.each(['', '   ', '#', '  # add user 1', '\t'])('K124: %j is no change', (line) => {
    expect(parseChange(line)).toBeNull();
  });
});
