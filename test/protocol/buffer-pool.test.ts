import { describe, expect, test } from 'vitest';
import { addressOf } from '../../src/host/linux/io/io-vector.ts';
import { BufferPool } from '../../src/transports/raw/device/buffer-pool.ts';
import { IN_HEADER_BYTES, MAX_WRITE_BYTES } from '../../src/transports/raw/protocol/constants.ts';
import { WriteIn } from '../../src/transports/raw/protocol/layouts.ts';
import type { ReceiveBuffer } from '../../src/transports/raw/protocol/request.ts';
import { FakeHost } from '../support/engine.ts';

const PAGE_BYTES = 4096;
const PAYLOAD_START = IN_HEADER_BYTES + WriteIn.bytes;

function payloadAddress({ bytes }: ReceiveBuffer): number {
  return addressOf(bytes.buffer) + bytes.byteOffset + PAYLOAD_START;
}

describe('the buffers that requests are received into', () => {
  test('hold the largest WRITE, whose bytes begin where a page does', () => {
    const pool = new BufferPool(new FakeHost());
    const seen = new Set<ReceiveBuffer>();
    for (let count = 0; count < 20; count++) {
      const buffer = pool.keepCurrent()!;
      expect(seen.has(buffer)).toBe(false);
      seen.add(buffer);
      expect(payloadAddress(buffer) % PAGE_BYTES).toBe(0);
      expect(buffer.bytes.length).toBeGreaterThanOrEqual(PAYLOAD_START + MAX_WRITE_BYTES);
      expect(buffer.words.byteOffset).toBe(buffer.bytes.byteOffset);
      expect(buffer.text.byteOffset).toBe(buffer.bytes.byteOffset);
    }
  });
});
