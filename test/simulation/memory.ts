import { assert } from '../../src/kern/assert.ts';
import { ENOMEM } from '../../src/kern/errno.ts';
import type { Kernel } from '../../src/kern/kernel.ts';
import { type Operation, sleep, type WaitChannel } from '../../src/kern/operation.ts';
import { roundToPages } from '../../src/shm/limits.ts';
import type { SegmentBacking } from '../../src/shm/memory.ts';
import type { SegmentStorage, StorageMemory } from '../../src/shm/storage.ts';

const slowSleep = { message: 'simmem', interruptible: false };

class SimulatedStorage implements SegmentStorage {
  readonly #memory: SimulatedMemory;
  readonly descriptor: number;
  #bytes = new Uint8Array(0);
  #isFreed = false;

  constructor(memory: SimulatedMemory, descriptor: number) {
    this.#memory = memory;
    this.descriptor = descriptor;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /** Gives it this size; what was written stays as far as it fits. */
  resize(sizeBytes: number): void {
    const bytes = new Uint8Array(sizeBytes);
    bytes.set(this.#bytes.subarray(0, sizeBytes));
    this.#bytes = bytes;
  }

  read(position: number, target: Uint8Array): void {
    assert(position + target.length <= this.sizeBytes, 'memory is read within its bounds');
    target.set(this.#bytes.subarray(position, position + target.length));
  }

  write(position: number, source: Uint8Array): number {
    if (this.#memory.fails()) return -ENOMEM;
    if (position + source.length > this.sizeBytes) this.resize(position + source.length);
    this.#bytes.set(source, position);
    return 0;
  }

  lock(): number {
    return this.#memory.fails() ? -ENOMEM : 0;
  }

  unlock(): void {
    assert(!this.#isFreed, 'memory that has been given back is not unlocked');
  }

  free(): void {
    assert(!this.#isFreed, 'memory is given back once');
    this.#isFreed = true;
    this.#memory.liveCount--;
  }
}

/** Memory of segments: fails when it is told to, and takes its time when it may. */
export class SimulatedMemory implements StorageMemory {
  /** Storages that have not been given back. */
  liveCount = 0;
  /** So many of the next requests fail. */
  failures = 0;
  /** Requests that can wait do, until `proceed`. */
  isSlow = false;
  failed = 0;
  #channel: WaitChannel | null = null;
  #adopted: SimulatedStorage | null = null;
  #lastDescriptor = 100;

  fails(): boolean {
    if (this.failures === 0) return false;
    this.failures--;
    this.failed++;
    return true;
  }

  attachTo(kernel: Kernel): void {
    this.#channel = kernel.channel(this);
  }

  /** Ends every wait. */
  proceed(): void {
    this.isSlow = false;
    this.#channel!.wakeup();
  }

  stage(): SegmentStorage | number {
    if (this.fails()) return -ENOMEM;
    this.liveCount++;
    return new SimulatedStorage(this, ++this.#lastDescriptor);
  }

  adopt(staged: SegmentStorage | null): void {
    this.#adopted = staged as SimulatedStorage | null;
  }

  *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    const adopted = this.#adopted;
    this.#adopted = null;
    if (adopted === null && this.isSlow) yield* sleep(this.#channel!, slowSleep);
    if (this.fails()) return -ENOMEM;
    const storage = adopted ?? (this.stage() as SimulatedStorage);
    storage.resize(roundToPages(sizeBytes));
    return storage;
  }

  reserveTable(): number {
    return this.fails() ? -ENOMEM : 0;
  }

  releaseTable(): void {
    // Tables are objects of the collector's.
  }
}
