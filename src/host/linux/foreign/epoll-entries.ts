import { EEXIST } from '../../../kern/errno.ts';
import * as libc from '../libc.ts';
import * as calls from './calls.ts';
import type { SlotNumbers } from './descriptor-table.ts';

const CLOSE_ON_EXEC = 0o2000000;

/**
 * Entries of an epoll set, each under a number (a slot) that no other entry has. An entry lives as long as its open file does, does not keep
 * it, and tells whether a copy is of the same open file: adding that under the same number fails then.
 */
export class EpollEntries {
  readonly #set = new calls.EpollSet();
  readonly #slots: SlotNumbers;

  constructor(slots: SlotNumbers) {
    this.#slots = slots;
  }

  get descriptor(): number {
    return this.#set.descriptor;
  }

  /** Tokens of entries that have something to tell. */
  take(): number[] {
    return this.#set.take();
  }

  /** Adds a descriptor that stays open, under its own number. */
  addKept(descriptor: number, token: number): void {
    this.#set.add(descriptor, calls.EPOLLIN, token);
  }

  /** Adds an entry for the file of a copy: its slot, or -1 when there are no more. */
  add(copy: number, events: number, token: number): number {
    const slot = this.#slots.take();
    if (slot < 0) return -1;
    const isAdded = calls.duplicateTo(copy, slot, CLOSE_ON_EXEC) >= 0 && this.#addUnder(slot, events, token);
    libc.close(slot);
    if (isAdded) return slot;
    this.#slots.give(slot);
    return -1;
  }

  /** Takes out the entry of a file. `copy`: of the file, under the entry's slot. */
  remove(copy: number): void {
    this.#set.remove(copy);
  }

  /** The number of an entry that is gone, or whose file is none of ours any more. */
  giveSlot(slot: number): void {
    this.#slots.give(slot);
  }

  /** Whether a copy is of the file that the entry of `slot` is for. */
  isOf(slot: number, copy: number): boolean {
    calls.duplicateTo(copy, slot, CLOSE_ON_EXEC);
    const isSame = this.#isIn(slot);
    libc.close(slot);
    return isSame;
  }

  /** Gives a copy the number of an entry, if it is of the entry's file; otherwise it is closed, and -1. */
  moveTo(slot: number, copy: number): number {
    if (copy !== slot) {
      calls.duplicateTo(copy, slot, CLOSE_ON_EXEC);
      libc.close(copy);
    }
    if (this.#isIn(slot)) return slot;
    libc.close(slot);
    return -1;
  }

  /** Whether two descriptors are of one open file. */
  areSame(one: number, other: number): boolean {
    const slot = this.add(one, 0, 0);
    if (slot < 0) return false;
    const isSame = this.isOf(slot, other);
    calls.duplicateTo(one, slot, CLOSE_ON_EXEC);
    this.#set.remove(slot);
    libc.close(slot);
    this.#slots.give(slot);
    return isSame;
  }

  /** Whether a descriptor that stays open may have this number; otherwise it is closed. */
  keeps(descriptor: number): boolean {
    return this.#slots.keeps(descriptor);
  }

  #addUnder(slot: number, events: number, token: number): boolean {
    if (this.#set.add(slot, events, token) === 0) return true;
    if (libc.failure() !== -EEXIST) return false;
    // The number was used for this file before, and could not be taken out: another process had it open.
    this.#set.remove(slot);
    return this.#set.add(slot, events, token) === 0;
  }

  /** Whether the file behind a number is in the set under it. */
  #isIn(slot: number): boolean {
    if (this.#set.add(slot, 0, 0) === 0) {
      this.#set.remove(slot);
      return false;
    }
    return libc.failure() === -EEXIST;
  }
}
