import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { ENOMEM, EPERM } from '../../../kern/errno.ts';
import type { Operation } from '../../../kern/operation.ts';
import type { SegmentBacking } from '../../../shm/memory.ts';
import type { SegmentStorage, StorageMemory } from '../../../shm/storage.ts';
import { MemoryRoom } from '../../memory-room.ts';
import { keepDescriptor } from '../descriptors/descriptor-reserve.ts';
import * as libc from '../libc.ts';
import * as memoryCalls from './memory-calls.ts';
import { MemoryCgroups } from './memory-cgroups.ts';

const MEMFD_NAME = 'ipcfs';
const MEMFD_FLAGS = memoryCalls.MFD_CLOEXEC | memoryCalls.MFD_ALLOW_SEALING;

/** Anonymous memory of the kernel behind a descriptor: what this program reads and writes, and what processes map, is one. */
class MemfdStorage implements SegmentStorage {
  readonly descriptor: number;
  readonly #room: MemoryRoom;
  sizeBytes = 0;
  /** Where the pages are mapped while they are locked; 0 otherwise. */
  #lockedAt = 0;
  #isFree = false;

  constructor(descriptor: number, room: MemoryRoom) {
    this.descriptor = descriptor;
    this.#room = room;
  }

  /** Gives the memory its final size; nobody can change it from now on. 0 or a negative errno. */
  fix(sizeBytes: number): number {
    try {
      ftruncateSync(this.descriptor, sizeBytes);
    } catch {
      return -ENOMEM;
    }
    this.sizeBytes = sizeBytes;
    memoryCalls.seal(this.descriptor);
    return 0;
  }

  read(position: number, target: Uint8Array): void {
    readSync(this.descriptor, target, 0, target.length, position);
  }

  write(position: number, source: Uint8Array): number {
    if (this.#isFree || !this.#room.has(source.length)) return -ENOMEM;
    try {
      writeSync(this.descriptor, source, 0, source.length, position);
    } catch {
      return -ENOMEM;
    }
    this.sizeBytes = Math.max(this.sizeBytes, position + source.length);
    return 0;
  }

  lock(): number {
    if (this.#lockedAt !== 0) return 0;
    const address = memoryCalls.mapShared(this.descriptor, this.sizeBytes);
    if (address < 0) return libc.failure();
    if (memoryCalls.mlock(address, this.sizeBytes) < 0) {
      const failure = libc.failure();
      memoryCalls.munmap(address, this.sizeBytes);
      // The limit of locked memory is the server's. The caller may lock.
      return failure === -EPERM ? -ENOMEM : failure;
    }
    this.#lockedAt = address;
    return 0;
  }

  unlock(): void {
    if (this.#lockedAt === 0) return;
    memoryCalls.munmap(this.#lockedAt, this.sizeBytes);
    this.#lockedAt = 0;
  }

  /** Also when a creation that failed has done it already. */
  free(): void {
    if (this.#isFree) return;
    this.#isFree = true;
    this.unlock();
    // Not closeSync: Node warns of descriptors that a worker closes without having opened them through it.
    libc.close(this.descriptor);
  }
}

/** Segments as memfds, sealed once their size is fixed. */
export class MemfdMemory implements StorageMemory {
  /** Pages are not the program's own, but its control group's: Linux would end the program for one that is not to be had. */
  readonly #room = new MemoryRoom([new MemoryCgroups()]);
  #adopted: MemfdStorage | null = null;

  stage(): MemfdStorage | number {
    const descriptor = keepDescriptor(memoryCalls.memfdCreate(MEMFD_NAME, MEMFD_FLAGS));
    return descriptor < 0 ? descriptor : new MemfdStorage(descriptor, this.#room);
  }

  /** As `stage`, for a moment: a descriptor that no segment could have will do. */
  probe(): MemfdStorage | number {
    const descriptor = memoryCalls.memfdCreate(MEMFD_NAME, MEMFD_FLAGS);
    return descriptor < 0 ? libc.failure() : new MemfdStorage(descriptor, this.#room);
  }

  adopt(staged: SegmentStorage | null): void {
    this.#adopted = staged as MemfdStorage | null;
  }

  *allocate(sizeBytes: number): Operation<SegmentBacking | number> {
    const adopted = this.#adopted;
    this.#adopted = null;
    const storage = adopted ?? this.stage();
    if (typeof storage === 'number') return storage;
    const error = storage.fix(sizeBytes);
    if (error === 0) return storage;
    if (adopted === null) storage.free();
    return error;
  }

  reserveTable(_slotCount: number): number {
    return 0;
  }

  releaseTable(_slotCount: number): void {
    // The table is an object of the collector's.
  }
}
