import { assert } from '../kern/assert.ts';
import type { Credentials } from '../kern/credentials.ts';
import { EINVAL, ENOMEM, ENOSPC } from '../kern/errno.ts';
import type { Operation } from '../kern/operation.ts';
import { IPC_PRIVATE } from './flags.ts';
import { destroySegment } from './lifetime.ts';
import { pagesOf, roundToPages } from './limits.ts';
import type { SegmentBacking } from './memory.ts';
import { Segment, SegmentState } from './segment.ts';
import type { ShmSubsystem } from './subsystem.ts';

export interface CreationOptions {
  /** IPC_PRIVATE, or a key that no segment has. */
  readonly key: number;
  /** The lowest nine bits count. */
  readonly mode: number;
  readonly lingers?: boolean;
}

/**
 * A segment that is being made. Its slot and its key are taken from the first moment on, so that there is never a second one
 * with its key (SB5): who looks for the key waits (S28). It ends with `setSize` that succeeds, or with `abandon`.
 */
export class Creation {
  readonly #shm: ShmSubsystem;
  readonly segment: Segment;
  #isSizing = false;

  private constructor(shm: ShmSubsystem, segment: Segment) {
    this.#shm = shm;
    this.segment = segment;
  }

  /** Takes a slot and the key for a segment whose size may come later; -ENOSPC without a free slot (S11), or one by quota, -ENOMEM. */
  static begin(shm: ShmSubsystem, credentials: Credentials, options: CreationOptions): Creation | number {
    const { table } = shm;
    if (table.isFull) return -ENOSPC;
    const { key, mode, lingers = false } = options;
    const segment = new Segment(shm, credentials, { slot: table.nextSlot(), key, mode, lingers });
    const error = table.insert(segment);
    if (error !== 0) return error;
    if (key !== IPC_PRIVATE) shm.keysChanged();
    return new Creation(shm, segment);
  }

  get isPending(): boolean {
    return this.segment.state === SegmentState.Creating;
  }

  /**
   * Gives the segment its size and its memory, and ends the creation. Returns the segment's id, or -EINVAL (size outside
   * shmmin and shmmax; S10), -ENOMEM (too many pages in all; S12, or for the creator's quota), or what getting or wiring the memory failed with (S18). After a
   * failure the creation is as before, and may try another size. One call at a time.
   */
  *setSize(sizeBytes: number): Operation<number> {
    const { segment } = this;
    const { kernel, limits, table } = this.#shm;
    assert(this.isPending && !this.#isSizing, 'a segment gets its size once');
    if (!limits.allowsSize(sizeBytes)) return -EINVAL;
    if (table.committedPages + pagesOf(sizeBytes) > limits.maximumPages) return -ENOMEM;

    const bookedBefore = segment.bookedBytes;
    if (!segment.book(Math.max(bookedBefore, sizeBytes))) return -ENOMEM;
    const mustWire = limits.usePhysical !== 0;
    table.setSize(segment, sizeBytes);
    this.#isSizing = true;
    this.#shm.enterCall();
    const backing = yield* this.#obtain(roundToPages(sizeBytes), mustWire);
    this.#shm.leaveCall();
    this.#isSizing = false;
    if (typeof backing === 'number') {
      table.setSize(segment, 0);
      segment.book(bookedBefore);
      return backing;
    }

    segment.backing = backing;
    segment.book(sizeBytes);
    segment.isWired = mustWire;
    segment.changeTime = kernel.host.clock.realtime();
    table.publish(segment);
    this.#shm.idsChanged();
    segment.channel.wakeup();
    return segment.id;
  }

  /** Ends a creation that has not succeeded; nothing is left of it but a freed slot. */
  abandon(): void {
    assert(this.isPending && !this.#isSizing, 'only a creation that waits for its size is abandoned');
    destroySegment(this.#shm, this.segment);
  }

  *#obtain(sizeBytes: number, mustWire: boolean): Operation<SegmentBacking | number> {
    const backing = yield* this.#shm.memory.allocate(sizeBytes);
    if (typeof backing === 'number' || !mustWire) return backing;
    const error = backing.lock();
    if (error === 0) return backing;
    backing.free();
    return error;
  }
}
