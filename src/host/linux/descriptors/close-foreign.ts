import { IoRing } from '../io/io-ring.ts';
import * as libc from '../libc.ts';

/** How many closes may be on their way to the kernel's threads at once; any number may wait there. */
const ENTRIES = 8;

let ring: IoRing | number | null = null;

/**
 * Closes a descriptor of a file that another file system serves. close(2) asks the server of a FUSE mount, which may never answer: a
 * thread of the kernel waits for it instead of this one. Where io_uring is not to be had, this thread waits.
 */
export function closeForeign(descriptor: number): void {
  ring ??= IoRing.open(ENTRIES);
  if (typeof ring !== 'number') {
    ring.collect(() => undefined);
    if (ring.startClose(descriptor, 0)) return;
  }
  libc.close(descriptor);
}
