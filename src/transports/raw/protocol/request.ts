import type { Credentials } from '../../../kern/credentials.ts';
import { IN_HEADER_BYTES } from './constants.ts';

const TWO_32 = 0x1_0000_0000;
/** In the upper half of a unique: the request has come before (FUSE_UNIQUE_RESEND). */
export const RESENT = 0x8000_0000;

/** Memory that requests are received into, `sizeBytes` from `start` on, seen as bytes and as words. */
export class ReceiveBuffer {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly text: Buffer;
  /** Answers that are being sent from here, while the server goes on. */
  answersUnderWay = 0;
  /** Nothing else needs it. */
  isGivenBack = false;
  /** The request has come through an io_uring. */
  isFromRing = false;
  /** Where the bytes of a WRITE lie that did not come here with the rest of it; they belong to `outsideStart` of this memory. */
  outside: Uint8Array | null = null;
  outsideStart = 0;

  constructor(memory: ArrayBuffer, start = 0, sizeBytes = memory.byteLength) {
    this.bytes = new Uint8Array(memory, start, sizeBytes);
    this.words = new Uint32Array(memory, start, sizeBytes / Uint32Array.BYTES_PER_ELEMENT);
    this.text = Buffer.from(memory, start, sizeBytes);
  }
}

/**
 * A received request, read in place. One object serves all requests in turn: nothing of it may be kept when an operation
 * sleeps. Fields of 64 bits come as numbers: identifiers are ours or counted up from 0, and stay below 2^53.
 */
export class Request {
  buffer: ReceiveBuffer;
  /** Bytes received, header included. */
  length = 0;
  opcode = 0;
  /** Without the mark of a request that comes again. */
  unique = 0;
  isResent = false;
  nodeid = 0;
  #credentials: Credentials = { uid: 0, gid: 0, pid: 0 };

  constructor(buffer: ReceiveBuffer) {
    this.buffer = buffer;
  }

  /**
   * Reads the header of what lies in `buffer`. False when that is no whole message, or has a unique that no answer could name: 0
   * would make the answer a notification.
   */
  parse(buffer: ReceiveBuffer, length: number): boolean {
    this.buffer = buffer;
    this.length = length;
    const { words } = buffer;
    if (length < IN_HEADER_BYTES || words[0] !== length) return false;
    this.opcode = words[1]!;
    this.unique = words[2]! + (words[3]! & ~RESENT) * TWO_32;
    this.isResent = (words[3]! & RESENT) !== 0;
    this.nodeid = words[4]! + words[5]! * TWO_32;
    return this.unique > 0 && this.unique <= Number.MAX_SAFE_INTEGER;
  }

  /** The caller. Requests of one caller in a row share the object. */
  get credentials(): Credentials {
    const { words } = this.buffer;
    const last = this.#credentials;
    if (last.uid !== words[6] || last.gid !== words[7] || last.pid !== words[8]) {
      this.#credentials = { uid: words[6]!, gid: words[7]!, pid: words[8]! };
    }
    return this.#credentials;
  }

  /** The calling thread. */
  get pid(): number {
    return this.buffer.words[8]!;
  }

  /** Bytes behind the header. */
  get bodyBytes(): number {
    return this.length - IN_HEADER_BYTES;
  }

  /** The 32-bit field at `offset` of the body. */
  u32(offset: number): number {
    return this.buffer.words[(IN_HEADER_BYTES + offset) >> 2]!;
  }

  /** The 64-bit field at `offset` of the body. */
  u64(offset: number): number {
    const { words } = this.buffer;
    const index = (IN_HEADER_BYTES + offset) >> 2;
    return words[index]! + words[index + 1]! * TWO_32;
  }

  /** The 64-bit field at `offset` of the body, of which every bit counts. */
  exactU64(offset: number): bigint {
    return (BigInt(this.u32(offset + 4)) << 32n) | BigInt(this.u32(offset));
  }

  /** The unique at `offset` of the body, without the mark of a request that came again. */
  unmarkedUnique(offset: number): number {
    return this.u32(offset) + (this.u32(offset + 4) & ~RESENT) * TWO_32;
  }

  /** The 64-bit field as a signed number: a time before 1970. */
  s64(offset: number): number {
    const { words } = this.buffer;
    const index = (IN_HEADER_BYTES + offset) >> 2;
    return words[index]! + (words[index + 1]! | 0) * TWO_32;
  }

  /** The string of bytes that starts at `offset` of the body, or null when it has no end. One character a byte. */
  name(offset: number): string | null {
    const start = IN_HEADER_BYTES + offset;
    const end = this.buffer.bytes.indexOf(0, start);
    if (end < 0 || end >= this.length) return null;
    return this.buffer.text.toString('latin1', start, end);
  }

  /** The bytes from `offset` of the body on, in place. */
  payload(offset: number, length: number): Uint8Array {
    const { bytes, outside, outsideStart } = this.buffer;
    const start = IN_HEADER_BYTES + offset;
    if (outside === null) return bytes.subarray(start, start + length);
    return outside.subarray(start - outsideStart, start - outsideStart + length);
  }
}
