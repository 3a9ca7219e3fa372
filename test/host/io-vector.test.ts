import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { IoVector } from '../../src/host/linux/io/io-vector.ts';

let directory: string;
let descriptor: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ipcfs-vector-'));
  descriptor = openSync(join(directory, 'file'), 'w');
});

afterEach(() => {
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
});

const written = (): string => readFileSync(join(directory, 'file'), 'latin1');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

test('parts of several buffers go out in one call, in order', () => {
  const vector = new IoVector(3);
  const whole = new Uint8Array(1000).fill(0x2e);
  whole.set(bytes('middle'), 500);
  // So small that it lies in the heap, which moves, until somebody asks for its buffer.
  vector.set(0, bytes('first,'), 0, 6);
  vector.set(1, whole.subarray(490), 10, 6);
  vector.set(2, bytes('xx, last'), 2, 6);
  expect(vector.write(descriptor, 3)).toBe(18);
  expect(written()).toBe('first,middle, last');
});

test('a buffer that was there before is found again, at another place and with another length', () => {
  const vector = new IoVector(2);
  const buffer = bytes('0123456789');
  vector.set(0, buffer, 0, 10);
  vector.set(1, buffer, 5, 5);
  expect(vector.write(descriptor, 2)).toBe(15);
  buffer.set(bytes('abc'));
  vector.set(0, buffer.subarray(1), 0, 2);
  expect(vector.write(descriptor, 1)).toBe(2);
  expect(written()).toBe('012345678956789bc');
});

test('entries behind the count are not written', () => {
  const vector = new IoVector(2);
  vector.set(0, bytes('yes'), 0, 3);
  vector.set(1, bytes('no'), 0, 2);
  expect(vector.write(descriptor, 1)).toBe(3);
  expect(written()).toBe('yes');
});
