import { Resource } from '../kern/accounting.ts';
import { assert } from '../kern/assert.ts';
import { IPC_PRIVATE } from './flags.ts';
import { FreeSlots } from './free-slots.ts';
import { MAXIMUM_SLOTS } from './limits.ts';
import { type Segment, SegmentState } from './segment.ts';

const SEQUENCE_MASK = 0x7fff;
const NO_SLOT = -1;

/**
 * The segments by slot, by id and by key, and what they use in all. A lookup never walks the slots: keys are in a map, an id
 * names its slot, and free slots are a set that knows its lowest.
 */
export class SegmentTable {
  #slotCount: number;
  /** By slot; null is free. */
  readonly #segments: (Segment | null)[];
  /**
   * Creations that each slot has seen. Slots that the table has lost keep theirs, so that no id comes back when it grows again
   * (SB7).
   */
  readonly #sequences = new Uint16Array(MAXIMUM_SLOTS);
  readonly #free = new FreeSlots(MAXIMUM_SLOTS);
  /** Segments in creation and live ones, but for private ones. */
  readonly #byKey = new Map<number, Segment>();
  /** The slot that the next creation takes, if there is one (shm_last_free; S5). */
  #freedLast = 0;
  #usedCount = 0;
  #committedPages = 0;

  constructor(slotCount: number) {
    this.#slotCount = slotCount;
    this.#segments = new Array<Segment | null>(slotCount).fill(null);
    for (let slot = 0; slot < slotCount; slot++) this.#free.add(slot);
  }

  /** shmmni. */
  get slotCount(): number {
    return this.#slotCount;
  }

  /** Slots in use, from the start of a creation on (shm_nused; S6). */
  get usedCount(): number {
    return this.#usedCount;
  }

  /** Pages of all segments (shm_committed; S7). */
  get committedPages(): number {
    return this.#committedPages;
  }

  get isFull(): boolean {
    return this.#usedCount >= this.#slotCount;
  }

  /** The segment with this id, null when no caller may see one (shm_find_segment_by_shmid; S3, S4, S57). */
  find(id: number): Segment | null {
    const segment = this.#segments[id & 0xffff] ?? null;
    return segment !== null && segment.id === id && segment.isVisible ? segment : null;
  }

  /** The segment with this key, live or in creation; null when there is none (S22). */
  findKey(key: number): Segment | null {
    return this.#byKey.get(key) ?? null;
  }

  /** All segments, also those in creation and removed ones, by slot. */
  *segments(): Iterable<Segment> {
    for (const segment of this.#segments) {
      if (segment !== null) yield segment;
    }
  }

  /** The slot for the next segment, which `insert` takes (S5). There must be one. */
  nextSlot(): number {
    return this.#freedLast !== NO_SLOT ? this.#freedLast : this.#free.lowest();
  }

  /** Takes the slot and the key of a segment whose creation begins: 0, or with nothing taken why its user may have no more. */
  insert(segment: Segment): number {
    const { slot, key, account } = segment;
    const error = account.charge(Resource.Segments);
    if (error !== 0) return error;
    assert(this.#free.has(slot), 'a new segment takes a free slot');
    this.#segments[slot] = segment;
    this.#free.delete(slot);
    this.#freedLast = NO_SLOT;
    this.#usedCount++;
    if (key === IPC_PRIVATE) return 0;
    assert(!this.#byKey.has(key), 'a key has one segment');
    this.#byKey.set(key, segment);
    return 0;
  }

  /** Ends the creation of a segment: it has an id from now on (S1, S2). */
  publish(segment: Segment): void {
    const { slot } = segment;
    const sequence = (this.#sequences[slot]! + 1) & SEQUENCE_MASK;
    this.#sequences[slot] = sequence;
    segment.sequence = sequence;
    segment.id = sequence * 0x10000 + slot;
    segment.state = SegmentState.Live;
  }

  /** Makes the key free for another segment. */
  forgetKey(segment: Segment): void {
    if (segment.key !== IPC_PRIVATE) this.#byKey.delete(segment.key);
    segment.key = IPC_PRIVATE;
  }

  /** Frees the slot of a segment that ends (shm_free_segment). */
  remove(segment: Segment): void {
    const { slot } = segment;
    assert(this.#segments[slot] === segment, 'a segment leaves its slot once');
    this.forgetKey(segment);
    this.setSize(segment, 0);
    segment.book(0);
    segment.account.release(Resource.Segments);
    this.#segments[slot] = null;
    this.#free.add(slot);
    this.#freedLast = slot;
    this.#usedCount--;
    segment.state = SegmentState.Destroyed;
  }

  /** Sets the size of a segment, and with it the committed pages. What is added is what a failure takes away (SB3). */
  setSize(segment: Segment, sizeBytes: number): void {
    this.#committedPages -= segment.pages;
    segment.sizeBytes = sizeBytes;
    this.#committedPages += segment.pages;
  }

  /** The highest slot in use, -1 when none is. */
  highestUsedSlot(): number {
    return this.#segments.findLastIndex((segment) => segment !== null);
  }

  /** Changes the number of slots; those in use must lie within (S72 to S74). */
  resize(slotCount: number): void {
    assert(this.highestUsedSlot() < slotCount, 'a resize loses no segment');
    for (let slot = slotCount; slot < this.#slotCount; slot++) this.#free.delete(slot);
    for (let slot = this.#slotCount; slot < slotCount; slot++) {
      this.#segments[slot] = null;
      this.#free.add(slot);
    }
    this.#segments.length = slotCount;
    this.#slotCount = slotCount;
    if (this.#freedLast >= slotCount) this.#freedLast = NO_SLOT;
  }

  /** Repeats the invariants; called after every step in tests. */
  checkInvariants(): void {
    let usedCount = 0;
    let committedPages = 0;
    let keys = 0;
    assert(this.#segments.length === this.#slotCount, 'the table has shmmni slots');
    for (const [slot, segment] of this.#segments.entries()) {
      assert(this.#free.has(slot) === (segment === null), 'a slot is free or has a segment');
      if (segment === null) continue;
      segment.checkInvariants();
      usedCount++;
      committedPages += segment.pages;
      assert(segment.slot === slot, 'a segment knows its slot');
      if (segment.id >= 0) {
        assert(segment.id === this.#sequences[slot]! * 0x10000 + slot, 'an id is sequence and slot');
        assert((this.find(segment.id) === segment) === segment.isVisible, 'a visible segment is found by id');
      }
      if (segment.key === IPC_PRIVATE) continue;
      keys++;
      assert(this.#byKey.get(segment.key) === segment, 'a key leads to its segment, and to no second one');
    }
    assert(usedCount === this.#usedCount, 'the used count is the number of segments');
    assert(committedPages === this.#committedPages, 'committed pages are the sum over the segments');
    assert(keys === this.#byKey.size, 'no key is left of a segment that has gone');
    const lowest = this.#segments.indexOf(null);
    assert(this.#free.lowest() === lowest, 'the lowest free slot is known');
    const hint = this.#freedLast;
    assert(
      hint === NO_SLOT || this.#segments[hint] === null,
      'the slot freed last is free, and in the table',
    );
  }
}
