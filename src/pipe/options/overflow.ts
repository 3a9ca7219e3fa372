import type { Overflow } from '../pipe-options.ts';
import type { Queue } from './queue.ts';

/** What becomes of a record that is to be stored. */
export const Admission = { Store: 0, Wait: 1, Drop: 2 } as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

/** What a full pipe does. */
export interface OverflowPolicy {
  /** Whether writers may have to wait. */
  readonly waits: boolean;
  /** Decides on a record of `lengthBytes`, at most the size of the ring; makes room for one that is stored. */
  admit(queue: Queue, lengthBytes: number): Admission;
}

export const overflowPolicies: Readonly<Record<Overflow, OverflowPolicy>> = {
  block: {
    waits: true,
    admit: (queue, lengthBytes) => (queue.spaceBytes >= lengthBytes ? Admission.Store : Admission.Wait),
  },
  oldest: {
    waits: false,
    admit: (queue, lengthBytes) => (queue.dropOldest(lengthBytes) ? Admission.Store : Admission.Drop),
  },
  newest: {
    waits: false,
    admit: (queue, lengthBytes) => (queue.spaceBytes >= lengthBytes ? Admission.Store : Admission.Drop),
  },
};
