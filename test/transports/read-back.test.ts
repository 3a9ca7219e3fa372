import { expect, test } from 'vitest';
import { ReadBack } from '../../src/transports/fuse-native/read-back.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

function take(readBack: ReadBack, count: number): string {
  const target = new Uint8Array(count);
  return Buffer.from(target.subarray(0, readBack.take(target))).toString();
}

test('what a caller gives back by seeking is given to it again, once', () => {
  const stream = new ReadBack();
  stream.begin(0);
  expect(take(stream, 10)).toBe('');
  stream.gave(bytes('one\ntwo\n'));
  stream.begin(4);
  expect(take(stream, 2)).toBe('tw');
  stream.begin(6);
  expect(take(stream, 10)).toBe('o\n');
  stream.begin(8);
  expect(take(stream, 10)).toBe('');
});

test('writes through the same descriptor move the position and keep what was given back', () => {
  const stream = new ReadBack();
  stream.begin(0);
  stream.gave(bytes('abcd'));
  stream.begin(2);
  stream.wrote(100);
  stream.begin(102);
  expect(take(stream, 10)).toBe('cd');
});

test('a seek forward skips as much, in parts, and what was given back with it', () => {
  const stream = new ReadBack();
  expect(stream.beginRead(0)).toBe(0);
  stream.gave(bytes('abcd'));
  stream.begin(2);
  expect(stream.beginRead(10)).toBe(6);
  expect(take(stream, 10)).toBe('');
  stream.skipped(4);
  // It was interrupted, and begins again where it was.
  expect(stream.beginRead(10)).toBe(2);
  stream.skipped(2);
  stream.gave(bytes('kl'));
  expect(stream.beginRead(12)).toBe(0);
  expect(stream.beginRead(11)).toBe(0);
  expect(take(stream, 10)).toBe('l');
});

test('a write after a seek says nothing of what is read', () => {
  const stream = new ReadBack();
  stream.begin(0);
  stream.gave(bytes('abcd'));
  stream.begin(1000);
  expect(take(stream, 10)).toBe('');
  stream.gave(bytes('ef'));
  stream.begin(1001);
  expect(take(stream, 10)).toBe('f');
});

test('bytes are kept although their buffer goes', () => {
  const stream = new ReadBack();
  const buffer = Buffer.from('abcd');
  stream.begin(0);
  stream.gave(buffer);
  buffer.fill(0);
  stream.begin(0);
  expect(take(stream, 4)).toBe('abcd');
});
