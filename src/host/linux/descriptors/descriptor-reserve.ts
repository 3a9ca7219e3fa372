import { EMFILE, ENFILE, EOPNOTSUPP } from '../../../kern/errno.ts';
import * as libc from '../libc.ts';

/** So many descriptors are left for what is opened for a moment only: files of /proc, listening to processes. */
const RESERVED_DESCRIPTORS = 16;

/** struct rlimit: soft and hard limit. */
const limits = new BigUint64Array(2);

/**
 * Decides on a new descriptor that will be kept for a caller, or the -1 of the call that should have made it: the descriptor, or a
 * negative errno, and then it is closed. The server's limit is not the caller's, so it is -ENFILE that tells of it and never -EMFILE.
 */
export function keepDescriptor(descriptor: number): number {
  return keepBelow(descriptor, (limit) => limit - RESERVED_DESCRIPTORS);
}

/** The same for a descriptor that the server can do without: half of all are left to those that it needs. */
export function keepSpareDescriptor(descriptor: number): number {
  return keepBelow(descriptor, (limit) => limit / 2);
}

function keepBelow(descriptor: number, boundOf: (limit: number) => number): number {
  if (descriptor < 0) {
    const failure = libc.failure();
    return failure === -EMFILE ? -ENFILE : failure;
  }
  // The lowest free number is always given. The limit may be changed from outside at any time.
  const isKnown = libc.getrlimit(libc.RLIMIT_NOFILE, limits) === 0;
  if (!isKnown || descriptor < boundOf(Number(limits[0]))) return descriptor;
  libc.close(descriptor);
  return -ENFILE;
}

/** The error for a caller when the server has got no descriptor: -ENFILE when its limit is reached, otherwise -EOPNOTSUPP. */
export function descriptorFailure(): number {
  const failure = libc.failure();
  return failure === -EMFILE || failure === -ENFILE ? -ENFILE : -EOPNOTSUPP;
}
