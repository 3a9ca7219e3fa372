import { Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { WaitChannel } from '../kern/operation.ts';
import type { AttachmentMap } from './attachments.ts';
import { DEFAULT_SLOTS, ShmLimits } from './limits.ts';
import type { SegmentMemory } from './memory.ts';
import type { Segment } from './segment.ts';
import { SegmentTable } from './table.ts';
import { registerTunables } from './tunables.ts';

/** Everything that the segments of one mount share: the table, limits, the source of memory. */
export class ShmSubsystem {
  readonly kernel: Kernel;
  readonly memory: SegmentMemory;
  readonly limits: ShmLimits;
  readonly table: SegmentTable;
  /** The maps of all processes; a map that several share is in it once. */
  readonly maps = new Set<AttachmentMap>();
  /** Resizes of the table wait here until no call is under way. */
  readonly resizers: WaitChannel;
  #callsUnderWay = 0;
  /** Called when a key, or an id, has been added or removed. The file system, which shows them as names, sets these. */
  keysChanged: () => void = () => undefined;
  idsChanged: () => void = () => undefined;

  constructor(kernel: Kernel, memory: SegmentMemory) {
    this.kernel = kernel;
    this.memory = memory;
    this.limits = new ShmLimits(kernel.host);
    this.table = new SegmentTable(DEFAULT_SLOTS);
    this.resizers = kernel.channel(this);
    const error = memory.reserveTable(DEFAULT_SLOTS);
    assert(error === 0, 'there is memory for the first table');
    registerTunables(this);
  }

  /** Creations and attaches in the part where others may run (shm_realloc_disable; S71). */
  get callsUnderWay(): number {
    return this.#callsUnderWay;
  }

  enterCall(): void {
    this.#callsUnderWay++;
  }

  /** The end of that part, in success and failure: callers that wait to resize look again (SB4). */
  leaveCall(): void {
    assert(this.#callsUnderWay > 0, 'a call ends once');
    this.#callsUnderWay--;
    this.resizers.wakeup();
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    this.table.checkInvariants();
    const counts = new Map<Segment, number>();
    let attachesUnderWay = 0;
    let bookedBytes = 0;
    for (const segment of this.table.segments()) {
      counts.set(segment, segment.attachesUnderWay);
      attachesUnderWay += segment.attachesUnderWay;
      bookedBytes += segment.bookedBytes;
    }
    let chargedSegments = 0;
    for (const account of this.kernel.accounts.all()) {
      chargedSegments += account.used(Resource.Segments);
      bookedBytes -= account.used(Resource.SegmentBytes);
    }
    assert(chargedSegments === this.table.usedCount, 'every segment is charged to a user');
    assert(bookedBytes === 0, 'and so is its memory');
    assert(attachesUnderWay <= this.#callsUnderWay, 'an attach under way holds off resizes');
    for (const map of this.maps) {
      assert(map.references > 0, 'a map that nobody uses has gone');
      for (const [address, attachment] of map.attachments) {
        const count = counts.get(attachment.segment);
        assert(address === attachment.address, 'an attachment is found by its address');
        assert(count !== undefined, 'an attached segment is in the table');
        counts.set(attachment.segment, count + map.references);
      }
    }
    for (const [segment, count] of counts) {
      assert(segment.attachCount === count, 'a segment counts every attachment of every process');
    }
    assert(
      this.resizers.firstSleeper === null || this.#callsUnderWay > 0,
      'a resize waits only for calls under way',
    );
  }
}
