import { EMFILE, ENFILE, EOPNOTSUPP } from '../../kern/errno.ts';
import * as libc from './libc.ts';

/** So many descriptors are left for what is opened for a moment only: files of /proc, listening to processes. */
const RESERVED_DESCRIPTORS = 16;

/** struct rlimit: soft and hard limit. */
const limits = new BigUint64Array(2);

/**
 * Decides on a new descriptor that will be kept for a caller, or the -1 of the call that should have made it: the descriptor, or a
 * negative errno, and then it is closed. The server's limit is not the caller's, so it is -ENFILE that tells of it and never -EMFILE.
 */
export function keepDescriptor(descriptor: number): number {
  if (descriptor < 0) {
    const errno = libc.errno();
    return errno === EMFILE ? -ENFILE : -errno;
  }
  // The lowest free number is always given. The limit may be changed from outside at any time.
  const isKnown = libc.getrlimit(libc.RLIMIT_NOFILE, limits) === 0;
  if (!isKnown || descriptor < Number(limits[0]) - RESERVED_DESCRIPTORS) return descriptor;
  libc.close(descriptor);
  return -ENFILE;
}

/** What a descriptor that could not be had is told to a caller with: ENFILE if there are none, as the limit is not his. */
export function descriptorErrno(errno: number): number {
  return errno === EMFILE || errno === ENFILE ? ENFILE : EOPNOTSUPP;
}
