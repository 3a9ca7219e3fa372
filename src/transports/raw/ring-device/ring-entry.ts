import { MAX_WRITE_BYTES } from '../protocol/constants.ts';

/** Where the parts of struct fuse_uring_req_header lie, in 32-bit words. */
const OPERATION_WORD = 32;
const COMMIT_ID_WORD = 66;
const PAYLOAD_SIZE_WORD = 68;
/** The size of struct fuse_uring_req_header, and the room that one has here. */
export const ENTRY_HEADER_BYTES = 288;
export const ENTRY_HEADER_ROOM_BYTES = 512;
/** What the kernel wants: the largest WRITE, and `max_pages` pages. */
export const ENTRY_PAYLOAD_BYTES = MAX_WRITE_BYTES;
/** The room for an operation's own struct. */
const OPERATION_BYTES = 128;

const IN_HEADER_WORDS = 10;
const OUT_HEADER_WORDS = 4;

/** The words that a header and an answer of few bytes are copied by: neither a view nor a call is needed for them. */
const FEW_WORDS = 64;

/** One entry of the ring: memory that the kernel puts a request into, and that its answer is put into. */
export class RingEntry {
  readonly index: number;
  /** Which queue of the kernel it belongs to: that of a processor. */
  readonly queue: number;
  readonly #header: Uint32Array;
  readonly payload: Uint8Array;
  readonly #payloadWords: Uint32Array;
  /** Has a request that is not answered. The memory is the kernel's otherwise. */
  isHeld = false;
  /** The kernel has taken it: it has brought a request. */
  isRegistered = false;
  /** How many bytes of the payload may take memory. */
  touchedBytes = 0;

  constructor(index: number, queue: number, header: Uint32Array, payload: Uint8Array) {
    this.index = index;
    this.queue = queue;
    this.#header = header;
    this.payload = payload;
    this.#payloadWords = new Uint32Array(
      payload.buffer,
      payload.byteOffset,
      payload.length / Uint32Array.BYTES_PER_ELEMENT,
    );
  }

  /** The length of the request, as if header, struct and payload followed each other. */
  get requestBytes(): number {
    return this.#header[0]!;
  }

  get opcode(): number {
    return this.#header[1]!;
  }

  get uniqueLow(): number {
    return this.#header[2]!;
  }

  get uniqueHigh(): number {
    return this.#header[3]!;
  }

  get commitLow(): number {
    return this.#header[COMMIT_ID_WORD]!;
  }

  get commitHigh(): number {
    return this.#header[COMMIT_ID_WORD + 1]!;
  }

  get payloadBytes(): number {
    return this.#header[PAYLOAD_SIZE_WORD]!;
  }

  /** Whether the parts of the request can be what they say. */
  get isSound(): boolean {
    const structBytes = this.requestBytes - IN_HEADER_WORDS * 4 - this.payloadBytes;
    return this.payloadBytes <= ENTRY_PAYLOAD_BYTES && structBytes >= 0 && structBytes <= OPERATION_BYTES;
  }

  /** Copies fuse_in_header and the operation's struct to the start of `target`; their length together. */
  copyHeaderTo(target: Uint32Array): number {
    const header = this.#header;
    for (let word = 0; word < IN_HEADER_WORDS; word++) target[word] = header[word]!;
    const bytes = this.requestBytes - this.payloadBytes;
    const words = (bytes + 3) >> 2;
    const shift = OPERATION_WORD - IN_HEADER_WORDS;
    for (let word = IN_HEADER_WORDS; word < words; word++) target[word] = header[word + shift]!;
    return bytes;
  }

  /** Copies the whole payload to `target` from `start` on. */
  copyPayloadTo(target: Uint8Array, start: number): void {
    const { payload, payloadBytes } = this;
    if (payloadBytes > FEW_WORDS) {
      target.set(payload.subarray(0, payloadBytes), start);
      return;
    }
    for (let index = 0; index < payloadBytes; index++) target[start + index] = payload[index]!;
  }

  /** Answers with a negative errno. */
  refuse(error: number): void {
    this.#header[0] = OUT_HEADER_WORDS * Uint32Array.BYTES_PER_ELEMENT;
    this.#header[1] = error;
    this.#header[PAYLOAD_SIZE_WORD] = 0;
  }

  /** Puts an answer's header here, and says how many bytes of payload it has. */
  setAnswer(reply: Uint32Array, payloadBytes: number): void {
    const header = this.#header;
    for (let word = 0; word < OUT_HEADER_WORDS; word++) header[word] = reply[word]!;
    header[PAYLOAD_SIZE_WORD] = payloadBytes;
    if (payloadBytes > this.touchedBytes) this.touchedBytes = payloadBytes;
  }

  /** Puts the payload of an answer here, which lies behind its header in `bytes` and `words`. */
  setPayload(bytes: Uint8Array, words: Uint32Array, payloadBytes: number): void {
    const count = (payloadBytes + 3) >> 2;
    if (count > FEW_WORDS) {
      const start = OUT_HEADER_WORDS * Uint32Array.BYTES_PER_ELEMENT;
      this.payload.set(bytes.subarray(start, start + payloadBytes));
      return;
    }
    const target = this.#payloadWords;
    for (let word = 0; word < count; word++) target[word] = words[OUT_HEADER_WORDS + word]!;
  }
}
