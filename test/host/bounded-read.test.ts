import { expect, test } from 'vitest';
import { readAll, readLines, readStart, readText } from '../../src/host/linux/bounded-read.ts';

/** A file that gives its bytes in parts of these lengths, the last one again and again. */
function file(text: string, ...parts: number[]): (target: Uint8Array) => number {
  let at = 0;
  return (target) => {
    const count = Math.min(
      parts.length > 1 ? parts.shift()! : (parts[0] ?? Infinity),
      target.length,
      text.length - at,
    );
    Buffer.from(text.slice(at, at + count), 'latin1').copy(target);
    at += count;
    return count;
  };
}

/** A file without an end. */
function endless(text: string): { read: (target: Uint8Array) => number; bytes: () => number } {
  let bytes = 0;
  return {
    bytes: () => bytes,
    read: (target) => {
      target.fill(0x20);
      Buffer.from(text, 'latin1').copy(target);
      bytes += target.length;
      return target.length;
    },
  };
}

function gone(text: string): (target: Uint8Array) => number {
  const read = file(text);
  return (target) => {
    const count = read(target);
    if (count === 0) throw Object.assign(new Error('ESRCH'), { code: 'ESRCH' });
    return count;
  };
}

function linesOf(
  read: (target: Uint8Array) => number,
  limitBytes = 1000,
  lineBytes = 10,
): [string[], boolean] {
  const lines: string[] = [];
  const isWhole = readLines(read, { limitBytes, lineBytes }, (line) => {
    lines.push(line);
    return true;
  });
  return [lines, isWhole];
}

test('a text up to its limit is read whole, one character a byte, in whatever parts it comes', () => {
  expect(readAll(file('a\xff\0b', 1), 4)).toBe('a\xff\0b');
  expect(readAll(file(''), 0)).toBe('');
});

test('a text beyond its limit is not known, and an endless one is left soon', () => {
  expect(readAll(file('abcde', 2), 4)).toBeNull();
  const { read, bytes } = endless('x');
  expect(readAll(read, 100_000)).toBeNull();
  expect(bytes()).toBeLessThan(300_000);
});

test.each([[1], [2], [3, 1, 2], [5], [1000]])(
  'lines come whole when they are read in parts of %j bytes',
  (...parts) => {
    expect(linesOf(file('ab\n\ncd e\nf', ...parts))).toEqual([['ab', '', 'cd e', 'f'], true]);
  },
);

test.each([[1], [4], [1000]])(
  'of a line that is too long the rest is left out, in parts of %d bytes',
  (part) => {
    expect(linesOf(file(`${'x'.repeat(500)}\nnext\n`, part))).toEqual([['xxxxxxxxxx', 'next'], true]);
  },
);

test('lines beyond the limit are not known, and an endless line takes no memory', () => {
  expect(linesOf(file('a\nb\nc\nd\n', 2), 4)).toEqual([['a', 'b'], false]);
  const { read, bytes } = endless('no newline');
  expect(linesOf(read, 1_000_000)).toEqual([[], false]);
  expect(bytes()).toBeLessThan(1_200_000);
});

test('reading ends when a visitor has what it wants', () => {
  const { read } = endless('first\nsecond\n');
  const lines: string[] = [];
  expect(
    readLines(read, { limitBytes: Infinity, lineBytes: 10 }, (line) => {
      lines.push(line);
      return line !== 'second';
    }),
  ).toBe(true);
  expect(lines).toEqual(['first', 'second']);
});

test.each([[1], [3], [7], [1000]])(
  'lines that have what is looked for are all visited, in parts of %d bytes',
  (part) => {
    const text = Array.from({ length: 50 }, (_, index) =>
      index % 7 === 0 ? `${index} here` : `${index} no`,
    ).join('\n');
    const found: string[] = [];
    const limits = { limitBytes: 10_000, lineBytes: 20, having: Buffer.from(' here') };
    readLines(file(text, part), limits, (line) => {
      if (line.endsWith(' here')) found.push(line);
      return true;
    });
    expect(found).toEqual([0, 7, 14, 21, 28, 35, 42, 49].map((index) => `${index} here`));
  },
);

test('a file that goes in the middle is an error, and none by its path is null', () => {
  expect(() => readAll(gone('abc'), 10)).toThrow('ESRCH');
  expect(() => linesOf(gone('abc\n'))).toThrow('ESRCH');
  expect([readText('/no such file'), readStart('/no such file', 3)]).toEqual([null, null]);
  expect(readStart('/proc/self/status', 5)).toBe('Name:');
  expect(readText('/proc/self/maps', 10)).toBeNull();
});
