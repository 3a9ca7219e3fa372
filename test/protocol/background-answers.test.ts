import { beforeEach, describe, expect, test } from 'vitest';
import {
  INIT2_HAS_RESEND,
  InitFlag,
  NOTIFY_RESEND,
  Opcode,
} from '../../src/transports/raw/protocol/constants.ts';
import { pattern } from '../support/engine.ts';
import { LINUX_O_NONBLOCK, openPipe, readBody, writeBody } from '../support/fuse-calls.ts';
import { type Answer, FuseClient, initBody } from '../support/fuse-client.ts';

const WRITE_BYTES = 200_000;
const BACKGROUND_BYTES = 100_000;

describe('answers that are copied while the server goes on', () => {
  let client: FuseClient;
  beforeEach(() => {
    client = new FuseClient({ agrees: false });
    client.request(Opcode.INIT, 0, initBody(7, 45, InitFlag.INIT_EXT, INIT2_HAS_RESEND));
    client.device.backgroundBytes = BACKGROUND_BYTES;
    client.device.sent.length = 0;
  });

  /** Whether the only answer is these bytes. */
  const hasGot = (reader: number, data: Uint8Array): boolean => {
    const [{ payload }, ...others] = client.answers(reader) as [Answer, ...Answer[]];
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    return others.length === 0 && bytes.equals(data);
  };

  /** A reader sleeps, and a write comes whose bytes it gets: both uniques. */
  function handOver(name: string, data: Uint8Array): { reader: number; writer: number } {
    const pipe = openPipe(client, name);
    const reader = client.send(Opcode.READ, 0, readBody(pipe.reader, data.length));
    const writer = client.send(Opcode.WRITE, 0, writeBody(pipe.writer, data));
    return { reader, writer };
  }

  test('the writer goes on before they have been sent', () => {
    const data = pattern(WRITE_BYTES);
    const { reader, writer } = handOver('one', data);
    expect(client.answers(reader)).toEqual([]);
    expect(client.answers(writer)).toHaveLength(1);
    client.device.finishAnswers();
    expect(hasGot(reader, data)).toBe(true);
  });

  test('nothing gets where their bytes lie', () => {
    const all = Array.from({ length: 12 }, (_, index) => pattern(WRITE_BYTES, index));
    const readers = all.map((data, index) => handOver(`n${index}`, data).reader);
    expect(client.device.underWay).toHaveLength(all.length);
    client.device.finishAnswers();
    for (const [index, reader] of readers.entries()) {
      expect(hasGot(reader, all[index]!)).toBe(true);
    }
  });

  test('their buffers are used again, and their writers hold nothing', () => {
    const { reader, writer } = openPipe(client, 'again');
    const used = new Set<ArrayBufferLike>();
    for (let count = 0; count < 50; count++) {
      client.send(Opcode.READ, 0, readBody(reader, WRITE_BYTES));
      client.send(Opcode.WRITE, 0, writeBody(writer, pattern(WRITE_BYTES, count)));
      used.add(client.device.underWay[0]!.buffer.bytes.buffer);
      client.device.finishAnswers();
    }
    expect(used.size).toBeLessThanOrEqual(2);
    expect(client.session.writes.keptBytes).toBe(0);
  });

  test('one whose bytes two readers take in parts', () => {
    const data = pattern(WRITE_BYTES + BACKGROUND_BYTES);
    const { reader, writer } = openPipe(client, 'parts');
    const write = client.send(Opcode.WRITE, 0, writeBody(writer, data));
    const first = client.send(Opcode.READ, 0, readBody(reader, WRITE_BYTES));
    expect(client.answers(write)).toEqual([]);
    const second = client.send(Opcode.READ, 0, readBody(reader, BACKGROUND_BYTES));
    expect(client.answers(write)).toHaveLength(1);
    // The buffer is free when both have been sent, not before.
    handOver('other', pattern(WRITE_BYTES, 9));
    client.device.finishAnswers();
    expect(hasGot(first, data.subarray(0, WRITE_BYTES))).toBe(true);
    expect(hasGot(second, data.subarray(WRITE_BYTES))).toBe(true);
  });

  test('small ones, and bytes that may change, are sent at once', () => {
    const small = handOver('small', pattern(BACKGROUND_BYTES - 1));
    expect(client.answers(small.reader)).toHaveLength(1);
    // What a ring holds is overwritten by the next write.
    client.device.backgroundBytes = 1000;
    const pipe = openPipe(client, 'ring');
    client.request(Opcode.WRITE, 0, writeBody(pipe.writer, pattern(4000), LINUX_O_NONBLOCK));
    const read = client.send(Opcode.READ, 0, readBody(pipe.reader, 4000));
    expect(hasGot(read, pattern(4000))).toBe(true);
    expect(client.device.underWay).toEqual([]);
  });

  test('none is under way when requests are to be sent again, which its own would be', () => {
    client.fileSystem.writeMemory.budgetBytes = WRITE_BYTES;
    const [one, two] = [openPipe(client, 'one'), openPipe(client, 'two')];
    client.send(Opcode.WRITE, 0, writeBody(one.writer, pattern(WRITE_BYTES, 1)));
    client.send(Opcode.WRITE, 0, writeBody(two.writer, pattern(WRITE_BYTES, 2)));
    expect(client.session.writes.heldCount).toBe(1);
    const under = client.send(Opcode.READ, 0, readBody(one.reader, BACKGROUND_BYTES));
    expect(client.answers(under)).toEqual([]);
    client.device.next = () => -11;
    client.send(Opcode.READ, 0, readBody(two.reader, WRITE_BYTES));
    client.send(Opcode.READ, 0, readBody(two.reader, WRITE_BYTES));
    const { sent } = client.device;
    const resend = sent.findIndex(({ error }) => error === NOTIFY_RESEND);
    expect(resend).toBeGreaterThan(0);
    expect(sent.findIndex(({ unique }) => unique === under)).toBeLessThan(resend);
    expect(client.answers(under)).toHaveLength(1);
  });
});
