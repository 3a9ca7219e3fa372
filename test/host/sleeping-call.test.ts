import { describe, expect, test } from 'vitest';
import { parseSleepingCall } from '../../src/host/linux/sleepers/sleeping-call.ts';
import { type Architecture, systemCallName } from '../../src/host/linux/sleepers/system-calls.ts';
import { readWatched } from '../../src/host/linux/sleepers/watched-files.ts';

const STACK = '0x7ffc00000000 0x7f0000000000';

/** As /proc/PID/syscall shows a call with these arguments. */
function text(number: number, ...words: (number | string)[]): string {
  const six = [...words, 0, 0, 0, 0, 0, 0].slice(0, 6);
  const shown = six.map((word) => (typeof word === 'string' ? word : `0x${word.toString(16)}`));
  return `${number} ${shown.join(' ')} ${STACK}\n`;
}

const parse = (line: string, place = '', architecture: Architecture = 'x64') =>
  parseSleepingCall(line, place, architecture);

describe('the system call that a thread sleeps in', () => {
  test.each<[Architecture, number, string, (number | string)[]]>([
    ['x64', 7, 'poll', ['0x1000', 2, '0xffffffff']],
    ['x64', 271, 'ppoll', ['0x1000', 2, 0]],
    ['arm64', 73, 'ppoll', ['0x1000', 2, 0]],
  ])('%s %i is %s, without a time limit', (architecture, number, name, words) => {
    expect(parse(text(number, ...words), '', architecture)).toEqual({
      name,
      source: { kind: 'poll', address: 0x1000n, count: 2 },
      hasTimeout: false,
      isIdle: false,
    });
  });

  test.each<[Architecture, number, string]>([
    ['x64', 23, 'select'],
    ['x64', 270, 'pselect6'],
    ['arm64', 72, 'pselect6'],
  ])('%s %i is %s', (architecture, number, name) => {
    expect(parse(text(number, 9, '0x1000', 0, '0x2000', 0), '', architecture)).toMatchObject({
      name,
      source: { kind: 'select', count: 9, addresses: [0x1000n, 0n, 0x2000n] },
      hasTimeout: false,
    });
    expect(parse(text(number, 9, '0x1000', 0, 0, '0x3000'), '', architecture)?.hasTimeout).toBe(true);
  });

  test.each<[Architecture, number, string, number | string, number | string]>([
    ['x64', 232, 'epoll_wait', '0xffffffff', 100],
    ['x64', 281, 'epoll_pwait', '0xffffffffffffffff', 0],
    ['x64', 441, 'epoll_pwait2', 0, '0x5000'],
    ['arm64', 22, 'epoll_pwait', '0xffffffff', 5],
    ['arm64', 441, 'epoll_pwait2', 0, '0x5000'],
  ])('%s %i is %s', (architecture, number, name, forEver, limited) => {
    expect(parse(text(number, 5, '0x1000', 10, forEver), '', architecture)).toMatchObject({
      name,
      source: { kind: 'epoll', descriptor: 5 },
      hasTimeout: false,
    });
    expect(parse(text(number, 5, '0x1000', 10, limited), '', architecture)?.hasTimeout).toBe(true);
  });

  test('a poll with a time limit, whatever stands in the upper half of its register', () => {
    expect(parse(text(7, '0x1000', 1, 1000))?.hasTimeout).toBe(true);
    expect(parse(text(7, '0x1000', 1, 0))?.hasTimeout).toBe(true);
    expect(parse(text(7, '0x1000', 1, '0xdead0000ffffffff'))?.hasTimeout).toBe(false);
    expect(parse(text(271, '0x1000', 1, '0x2000'))?.hasTimeout).toBe(true);
  });

  test('a futex is idle when only its own process can wake it, and no time does', () => {
    const FUTEX_WAIT_BITSET_PRIVATE = 0x189;
    expect(parse(text(202, '0x1', FUTEX_WAIT_BITSET_PRIVATE, 0, 0))?.isIdle).toBe(true);
    expect(parse(text(98, '0x1', 0x80, 0, 0), '', 'arm64')?.isIdle).toBe(true);
    expect(parse(text(202, '0x1', FUTEX_WAIT_BITSET_PRIVATE, 0, '0x1000'))?.isIdle).toBe(false);
    expect(parse(text(202, '0x1', 0, 0, 0))?.isIdle).toBe(false);
    // FUTEX_LOCK_PI, which the kernel can give up for another process's death.
    expect(parse(text(202, '0x1', 0x86, 0, 0))?.isIdle).toBe(false);
  });

  test('a thread that runs is null; what is not understood is a call without a name', () => {
    expect(parse('running\n')).toBeNull();
    const unknown = { name: null, source: null, hasTimeout: false, isIdle: false };
    for (const line of [
      '',
      'garbage',
      '7',
      '7 0x1\n',
      '-1 0x7ffc00000000 0x7f0000000000\n',
      `7 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8 0x9\n`,
      text(219),
      text(99_999),
      `${text(7, 1, 1, '0xffffffff')}7 0x0`,
      text(7, 'zzz'),
    ])
      expect(parse(line)).toEqual(unknown);
  });

  test('the number of another table of calls is not believed: 32 bits, and a place in the kernel that does not fit', () => {
    // 7 is waitpid of i386, whose stacks lie below 4 GiB.
    expect(parse('7 0x1000 0x1 0xffffffff 0x0 0x0 0x0 0xffffd000 0xf7f00000\n')?.name).toBeNull();
    const poll = text(7, '0x1000', 1, '0xffffffff');
    expect(parse(poll, 'do_wait')?.name).toBeNull();
    expect(parse(poll, 'poll_schedule_timeout.constprop.0')?.name).toBe('poll');
    expect(parse(poll, '0')?.name).toBe('poll');
    expect(parse(text(232, 5, 1, 1, '0xffffffff'), 'futex_do_wait')?.name).toBeNull();
    expect(parse(text(232, 5, 1, 1, '0xffffffff'), 'ep_poll')?.name).toBe('epoll_wait');
    expect(parse(text(202, 1, 0x189), 'futex_do_wait')?.isIdle).toBe(true);
  });

  test('numbers differ between architectures', () => {
    expect([systemCallName(7, 'x64'), systemCallName(7, 'arm64')]).toEqual(['poll', null]);
    expect([systemCallName(73, 'x64'), systemCallName(73, 'arm64')]).toEqual(['flock', 'ppoll']);
    expect([systemCallName(61, 'x64'), systemCallName(260, 'arm64')]).toEqual(['wait4', 'wait4']);
  });
});

describe('what a call watches', () => {
  const nothing = (): null => null;
  const read = (descriptor: number) => ({ descriptor, forReading: true, forWriting: false, file: null });

  function pollfds(...entries: [descriptor: number, events: number][]): Buffer {
    const bytes = Buffer.alloc(8 * entries.length);
    entries.forEach(([descriptor, events], index) => {
      bytes.writeInt32LE(descriptor, 8 * index);
      bytes.writeUInt16LE(events, 8 * index + 4);
    });
    return bytes;
  }

  test('poll: descriptors and events; negative ones are left out', () => {
    const bytes = pollfds([3, 1], [-1, 1], [4, 4], [5, 0x2005], [6, 0]);
    const seen = readWatched(
      { kind: 'poll', address: 0x10n, count: 5 },
      (address, size) => (address === 0x10n ? bytes.subarray(0, size) : null),
      nothing,
    );
    expect(seen).toEqual([
      read(3),
      { descriptor: 4, forReading: false, forWriting: true, file: null },
      { descriptor: 5, forReading: true, forWriting: true, file: null },
      { descriptor: 6, forReading: false, forWriting: false, file: null },
    ]);
  });

  test('select: bits of the three sets', () => {
    const set = (...bits: number[]): Buffer => {
      const bytes = Buffer.alloc(16);
      for (const bit of bits) bytes[bit >> 3]! |= 1 << (bit & 7);
      return bytes;
    };
    const sets = new Map([
      [1n, set(3, 64, 70)],
      [2n, set(3)],
      [3n, set(9)],
    ]);
    const seen = readWatched(
      { kind: 'select', count: 70, addresses: [1n, 2n, 3n] },
      (address) => sets.get(address) ?? null,
      nothing,
    );
    expect(seen).toEqual([
      { descriptor: 3, forReading: true, forWriting: true, file: null },
      { descriptor: 9, forReading: false, forWriting: false, file: null },
      read(64),
    ]);
    expect(readWatched({ kind: 'select', count: 0, addresses: [0n, 0n, 0n] }, nothing, nothing)).toEqual([]);
  });

  test('epoll: what fdinfo lists, without entries that were delivered once', () => {
    const info = `pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038
tfd:       13 events:       19 data:                d  pos:0 ino:40e sdev:10
tfd:       11 events: 4000201d data: ffffffffffffffff  pos:0 ino:d804 sdev:800002
tfd:       12 events: 40000000 data:                b  pos:0 ino:d805 sdev:f
`;
    expect(readWatched({ kind: 'epoll', descriptor: 5 }, nothing, () => info)).toEqual([
      {
        descriptor: 13,
        forReading: true,
        forWriting: false,
        file: { inode: 0x40e, deviceMajor: 0, deviceMinor: 0x10 },
      },
      {
        descriptor: 11,
        forReading: true,
        forWriting: true,
        file: { inode: 0xd804, deviceMajor: 8, deviceMinor: 2 },
      },
    ]);
  });

  test('what cannot be read, is cut short, is too much or has another form is not known', () => {
    const poll = (count: number, bytes: Buffer | null) =>
      readWatched({ kind: 'poll', address: 1n, count }, () => bytes, nothing);
    expect(poll(1, null)).toBeNull();
    expect(poll(2, pollfds([3, 1]))).toBeNull();
    expect(poll(-1, pollfds([3, 1]))).toBeNull();
    expect(poll(1025, Buffer.alloc(8 * 1025))).toBeNull();
    const select = (count: number, bytes: Buffer | null) =>
      readWatched({ kind: 'select', count, addresses: [1n, 0n, 0n] }, () => bytes, nothing);
    expect(select(8, null)).toBeNull();
    expect(select(65, Buffer.alloc(8))).toBeNull();
    expect(select(8193, Buffer.alloc(2048))).toBeNull();
    expect(select(8000, Buffer.alloc(1000, 255))).toBeNull();
    const epoll = (info: string | null) => readWatched({ kind: 'epoll', descriptor: 5 }, nothing, () => info);
    expect(epoll(null)).toBeNull();
    // Linux before 4.13 names no file.
    expect(epoll('tfd:        5 events:       19 data:                5\n')).toBeNull();
    const line = 'tfd:       13 events:       19 data:                d  pos:0 ino:40e sdev:10\n';
    expect(epoll(line.repeat(1025))).toBeNull();
    expect(epoll(line.repeat(1024))).toHaveLength(1024);
  });
});
