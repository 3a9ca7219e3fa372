import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { IoRing } from '../../src/host/linux/io/io-ring.ts';
import { EAGAIN, ENOENT, EPERM } from '../../src/kern/errno.ts';
import { BackgroundAnswers, type Ring } from '../../src/transports/raw/device/background-answers.ts';
import { OUT_HEADER_BYTES } from '../../src/transports/raw/protocol/constants.ts';
import { Reply } from '../../src/transports/raw/protocol/reply.ts';
import { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { pattern } from '../support/engine.ts';

const SIZE_BYTES = 600_000;
const SLOTS = 8;

/** A ring whose calls end as a test says, when it says so. */
class FakeRing implements Ring {
  readonly started: number[] = [];
  result = SIZE_BYTES + OUT_HEADER_BYTES;
  refuses = false;
  isClosed = false;

  startWrite(_descriptor: number, _vector: number, _count: number, tag: number): boolean {
    if (this.refuses) return false;
    this.started.push(tag);
    return true;
  }

  collect(ended: (tag: number, result: number) => void): void {
    for (const tag of this.started.splice(0)) ended(tag, this.result);
  }

  wait(): void {
    throw new Error('everything has ended');
  }

  close(): void {
    this.isClosed = true;
  }
}

describe('answers in the background, as a device sends them', () => {
  let directory: string;
  let path: string;
  let file: number;
  const reply = new Reply(64);
  const buffer = new ReceiveBuffer(pattern(SIZE_BYTES).buffer as ArrayBuffer);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ipcfs-test-'));
    path = join(directory, 'device');
    file = openSync(path, 'a');
  });
  afterEach(() => {
    closeSync(file);
    rmSync(directory, { recursive: true });
  });

  /** Starts one; whether it was taken. */
  function send(answers: BackgroundAnswers, unique = 7): boolean {
    reply.header({ unique, isResent: false }, 0, SIZE_BYTES);
    return answers.send(reply, buffer, buffer.bytes, 0, SIZE_BYTES);
  }

  function written(unique = 7): Buffer {
    reply.header({ unique, isResent: false }, 0, SIZE_BYTES);
    return Buffer.concat([reply.bytes.subarray(0, OUT_HEADER_BYTES), buffer.bytes]);
  }

  function watched(answers: BackgroundAnswers): ReceiveBuffer[] {
    const sent: ReceiveBuffer[] = [];
    answers.onSent = (one) => sent.push(one);
    return sent;
  }

  const probe = IoRing.open(1);
  if (typeof probe !== 'number') probe.close();

  test.skipIf(typeof probe === 'number')('each whole: its own header, then its bytes', () => {
    const answers = new BackgroundAnswers(file);
    const sent = watched(answers);
    for (const unique of [7, 8]) {
      expect(send(answers, unique)).toBe(true);
      expect(answers.isBusy).toBe(true);
      // What lies in `reply` is another answer by now.
      reply.header({ unique: 99, isResent: true }, -1, 0);
      answers.finish();
    }
    expect(sent).toEqual([buffer, buffer]);
    expect(readFileSync(path).equals(Buffer.concat([written(7), written(8)]))).toBe(true);
    answers.close();
  });

  test('so many at a time, and then none', () => {
    const ring = new FakeRing();
    const answers = new BackgroundAnswers(file, () => ring);
    const sent = watched(answers);
    expect(Array.from({ length: SLOTS + 2 }, () => send(answers))).toEqual([
      ...Array<boolean>(SLOTS).fill(true),
      false,
      false,
    ]);
    expect(new Set(ring.started).size).toBe(SLOTS);
    answers.collect();
    expect([sent.length, answers.isBusy]).toEqual([SLOTS, false]);
    expect(send(answers)).toBe(true);
    answers.close();
    expect([sent.length, ring.isClosed]).toEqual([SLOTS + 1, true]);
  });

  test('one that the kernel could not send is sent at once, and no other is left to it', () => {
    const ring = new FakeRing();
    ring.result = -EAGAIN;
    const answers = new BackgroundAnswers(file, () => ring);
    answers.thresholdBytes = 1;
    const sent = watched(answers);
    for (const unique of [7, 8]) send(answers, unique);
    answers.finish();
    expect(sent).toHaveLength(2);
    expect(readFileSync(path).equals(Buffer.concat([written(7), written(8)]))).toBe(true);
    expect(answers.thresholdBytes).toBe(Infinity);
  });

  test('one whose reader has been killed is not sent again', () => {
    const ring = new FakeRing();
    ring.result = -ENOENT;
    const answers = new BackgroundAnswers(file, () => ring);
    answers.thresholdBytes = 1;
    const sent = watched(answers);
    send(answers);
    answers.finish();
    expect([sent.length, readFileSync(path).length, answers.thresholdBytes]).toEqual([1, 0, 1]);
  });

  test('none where there is no ring, and none that the ring does not take', () => {
    let attempts = 0;
    const without = new BackgroundAnswers(file, () => {
      attempts++;
      return -EPERM;
    });
    expect(send(without)).toBe(false);
    expect([without.thresholdBytes, without.isBusy, attempts]).toEqual([Infinity, false, 1]);
    without.close();

    const ring = new FakeRing();
    ring.refuses = true;
    const refused = new BackgroundAnswers(file, () => ring);
    for (let count = 0; count < 2 * SLOTS; count++) expect(send(refused)).toBe(false);
    expect(refused.isBusy).toBe(false);
  });
});
