import { IoVector } from '../../../host/linux/io/io-vector.ts';
import * as libc from '../../../host/linux/libc.ts';
import { assert } from '../../../kern/assert.ts';
import { PollSet } from '../../../host/linux/io/poll-set.ts';
import type { PollSources } from '../../../host/poll-sources.ts';
import { FUSE_DEVICE } from '../../common/fuse-device.ts';
import { BackgroundAnswers } from './background-answers.ts';
import type { GatherUio } from './gather-uio.ts';
import {
  FUSE_DEV_IOC_BACKING_CLOSE,
  FUSE_DEV_IOC_BACKING_OPEN,
  OUT_HEADER_BYTES,
} from '../protocol/constants.ts';
import type { Reply } from '../protocol/reply.ts';
import type { ReceiveBuffer } from '../protocol/request.ts';

/** A row of info/transport. */
export type DeviceFact = readonly [name: string, value: string | number];

/** Where a session's messages come from and go to: /dev/fuse, or memory in tests. */
export interface Device {
  /** Puts one request into `buffer`; its length, or a negative errno (EAGAIN when there is none). */
  receive(buffer: ReceiveBuffer): number;
  /** Sends the first `length` bytes of `reply`; false when the kernel did not want them. */
  send(reply: Reply, length: number): boolean;
  /** Sends the header of `reply` and the bytes that `uio` gathered. */
  sendGathered(reply: Reply, uio: GatherUio): boolean;
  /** Answers from this size on may be sent by `sendInBackground`; Infinity for none. */
  readonly backgroundBytes: number;
  /**
   * The same, while the server goes on: the bytes, which lie in `buffer`, stay until `onSent` is called for them, by `receive` or
   * `finishAnswers`. False when the answer is to be sent at once.
   */
  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean;
  onSent: (buffer: ReceiveBuffer) => void;
  /** Waits until no answer is under way. */
  finishAnswers(): void;
  /** Names a file of this process to the kernel, for opens that are mapped to it: an id, or a negative errno. */
  openBacking(descriptor: number): number;
  closeBacking(id: number): void;
  /** INIT says whether the kernel offers FUSE over io_uring. Whether the answer, which is sent next, is to accept it. */
  negotiateRing(isOffered: boolean): boolean;
  /** Rows of info/transport. */
  facts(): readonly DeviceFact[];
}

/** A device that a loop can serve: it can be waited for. */
export interface ServedDevice extends Device {
  /** Whether `wait` listens to something beside requests. */
  readonly hasSources: boolean;
  /** Whether a call waits for one of these: an answer within microseconds. */
  readonly isAwaited?: boolean;
  /** Whether looking for the next request before sleeping only keeps its caller from making it. */
  readonly isSpinVain?: boolean;
  /**
   * Sleeps until a request, a wake-up or something for a source has come, or `timeoutMs` (-1: for ever) have passed. Whether
   * a source was called: something may have become runnable.
   */
  wait(timeoutMs: number): boolean;
  /** Sends answers that were to go out with the next `receive`: the server does something else first. */
  flush(): void;
  /** Once nothing is received any more. */
  close(): void;
}

/** Up to this many bytes it is cheaper to copy an answer together than to describe its parts. */
const COPY_LIMIT_BYTES = 32 * 1024;
/** A ring gives two, a chunk one, a kqueue one an event: many are joined first. */
const MAX_SLICES = 16;

/** /dev/fuse, opened without blocking. */
export class FuseDevice implements ServedDevice {
  readonly #descriptor: number;
  readonly #vector = new IoVector(MAX_SLICES + 1);
  readonly #pollSet: PollSet;
  readonly #background: BackgroundAnswers;

  /** `wakeDescriptor`: an eventfd whose readability ends `wait`. */
  constructor(descriptor: number, wakeDescriptor: number) {
    this.#descriptor = descriptor;
    this.#background = new BackgroundAnswers(descriptor);
    this.#pollSet = new PollSet([descriptor, wakeDescriptor]);
  }

  receive(buffer: ReceiveBuffer): number {
    if (this.#background.isBusy) this.#background.collect();
    const length = libc.read(this.#descriptor, buffer.bytes, buffer.bytes.length);
    return length >= 0 ? length : libc.failure();
  }

  send(reply: Reply, length: number): boolean {
    return libc.write(this.#descriptor, reply.bytes, length) === length;
  }

  sendGathered(reply: Reply, uio: GatherUio): boolean {
    if (uio.total <= COPY_LIMIT_BYTES) {
      uio.copyTo(reply.bytes, OUT_HEADER_BYTES);
      return this.send(reply, OUT_HEADER_BYTES + uio.total);
    }
    if (uio.count > MAX_SLICES) uio.join();
    const vector = this.#vector;
    vector.set(0, reply.bytes, 0, OUT_HEADER_BYTES);
    for (let index = 0; index < uio.count; index++) {
      vector.set(index + 1, uio.sources[index]!, uio.starts[index]!, uio.lengths[index]!);
    }
    return vector.write(this.#descriptor, uio.count + 1) === OUT_HEADER_BYTES + uio.total;
  }

  get backgroundBytes(): number {
    return this.#background.thresholdBytes;
  }

  sendInBackground(reply: Reply, uio: GatherUio, buffer: ReceiveBuffer): boolean {
    assert(uio.count === 1, 'a chunk is one slice');
    return this.#background.send(reply, buffer, uio.sources[0]!, uio.starts[0]!, uio.total);
  }

  get onSent(): (buffer: ReceiveBuffer) => void {
    return this.#background.onSent;
  }

  set onSent(onSent: (buffer: ReceiveBuffer) => void) {
    this.#background.onSent = onSent;
  }

  finishAnswers(): void {
    this.#background.finish();
  }

  close(): void {
    this.#background.close();
    this.#pollSet.close();
  }

  /** Each answer is sent at once. */
  flush(): void {
    // Nothing waits.
  }

  negotiateRing(): boolean {
    return false;
  }

  facts(): readonly DeviceFact[] {
    return [['device', FUSE_DEVICE]];
  }

  /** Readable when `receive` has something, or `wait` would not sleep. */
  get watchDescriptor(): number {
    return this.#pollSet.watchDescriptor;
  }

  openBacking(descriptor: number): number {
    // struct fuse_backing_map: descriptor, flags, padding.
    const map = new Int32Array([descriptor, 0, 0, 0]);
    const id = libc.ioctl(this.#descriptor, FUSE_DEV_IOC_BACKING_OPEN, map);
    return id >= 0 ? id : libc.failure();
  }

  closeBacking(id: number): void {
    libc.ioctl(this.#descriptor, FUSE_DEV_IOC_BACKING_CLOSE, new Uint32Array([id]));
  }

  /** What `wait` listens to beside requests. */
  get sources(): PollSources {
    return this.#pollSet;
  }

  get hasSources(): boolean {
    return this.#pollSet.size > 0;
  }

  get isAwaited(): boolean {
    return this.#pollSet.isAwaited;
  }

  wait(timeoutMs: number): boolean {
    return this.#pollSet.wait(timeoutMs);
  }
}
