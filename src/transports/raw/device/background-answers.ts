import { availableParallelism } from 'node:os';
import createDebug from 'debug';
import { IoRing } from '../../../host/linux/io/io-ring.ts';
import { IoVector } from '../../../host/linux/io/io-vector.ts';
import { assert } from '../../../kern/assert.ts';
import { ENOENT, ENOSYS } from '../../../kern/errno.ts';
import { OUT_HEADER_BYTES } from '../protocol/constants.ts';
import type { Reply } from '../protocol/reply.ts';
import type { ReceiveBuffer } from '../protocol/request.ts';

const log = createDebug('ipcfs:device');

/** From this size on, copying an answer takes longer than waking a thread for it. */
export const BACKGROUND_BYTES = 512 * 1024;
/** Answers under way at a time; each holds a buffer of 1 MiB. */
const SLOTS = 8;
/** A header, and the bytes. */
const PARTS = 2;
const OUT_HEADER_WORDS = OUT_HEADER_BYTES / Uint32Array.BYTES_PER_ELEMENT;

/** What answers in the background need of an IoRing. */
export type Ring = Pick<IoRing, 'startWrite' | 'collect' | 'wait' | 'close'>;

/** On a single processor nobody could copy while the server goes on. */
function openRingForOthers(): IoRing | number {
  return availableParallelism() > 1 ? IoRing.open(SLOTS) : -ENOSYS;
}

/**
 * Answers that threads of the kernel copy to their readers, on another processor, while the server receives the next write. The
 * kernel has no rule about the order of answers.
 */
export class BackgroundAnswers {
  readonly #descriptor: number;
  /** Null where there is none. Opened from the start: later there may be no descriptor for it. */
  #ring: Ring | null;
  readonly #headers = new Uint8Array(SLOTS * OUT_HEADER_BYTES);
  readonly #headerWords = new Uint32Array(this.#headers.buffer);
  readonly #vector = new IoVector(SLOTS * PARTS);
  /** Where the bytes lie that are sent, by slot. */
  readonly #buffers: (ReceiveBuffer | null)[] = new Array<null>(SLOTS).fill(null);
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, slot) => slot);
  /** Answers from this size on; Infinity when none can be sent so. */
  thresholdBytes: number;
  /** Called for each answer that was sent, or that nobody wanted. */
  onSent: (buffer: ReceiveBuffer) => void = () => undefined;

  constructor(descriptor: number, openRing: () => Ring | number = openRingForOthers) {
    this.#descriptor = descriptor;
    const ring = openRing();
    if (typeof ring === 'number') log('no io_uring: errno %d', -ring);
    this.#ring = typeof ring === 'number' ? null : ring;
    this.thresholdBytes = this.#ring === null ? Infinity : BACKGROUND_BYTES;
  }

  get isBusy(): boolean {
    return this.#freeSlots.length < SLOTS;
  }

  /** Starts sending the header of `reply` and `length` bytes of `view`, which lies in `buffer`. False when it is to be sent at once. */
  send(reply: Reply, buffer: ReceiveBuffer, view: Uint8Array, start: number, length: number): boolean {
    const ring = this.#ring;
    if (ring === null) return false;
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return false;
    // `reply` is used again at once. Its words are few: neither a view nor a call is needed to copy them.
    for (let word = 0; word < OUT_HEADER_WORDS; word++) {
      this.#headerWords[slot * OUT_HEADER_WORDS + word] = reply.words[word]!;
    }
    this.#vector.set(slot * PARTS, this.#headers, slot * OUT_HEADER_BYTES, OUT_HEADER_BYTES);
    this.#vector.set(slot * PARTS + 1, view, start, length);
    const vector = this.#vector.addressOf(slot * PARTS);
    if (!ring.startWrite(this.#descriptor, vector, PARTS, slot)) {
      this.#freeSlots.push(slot);
      return false;
    }
    this.#buffers[slot] = buffer;
    return true;
  }

  /** Looks which answers have been sent. */
  collect(): void {
    this.#ring?.collect(this.#onEnd);
  }

  /** Waits until all have been sent. */
  finish(): void {
    this.collect();
    while (this.isBusy) {
      this.#ring!.wait();
      this.collect();
    }
  }

  close(): void {
    this.finish();
    this.thresholdBytes = Infinity;
    this.#ring?.close();
    this.#ring = null;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    const free = new Set(this.#freeSlots);
    assert(free.size === this.#freeSlots.length, 'a slot is free once');
    for (const [slot, buffer] of this.#buffers.entries()) {
      assert(free.has(slot) === (buffer === null), 'a slot is free or sends from a buffer');
    }
  }

  readonly #onEnd = (slot: number, result: number): void => {
    // ENOENT: the reader has been killed meanwhile. Anything else says that the kernel's thread could not do it.
    if (result < 0 && result !== -ENOENT) {
      log('an answer in the background failed: errno %d', -result);
      this.thresholdBytes = Infinity;
      this.#vector.write(this.#descriptor, PARTS, slot * PARTS);
    }
    const buffer = this.#buffers[slot]!;
    this.#buffers[slot] = null;
    this.#freeSlots.push(slot);
    this.onSent(buffer);
  };
}
