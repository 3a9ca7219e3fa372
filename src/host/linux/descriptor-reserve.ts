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

let spare = -1;

/** Holds a descriptor, which `withDescriptors` gives up for a moment when there is no other. */
export function holdSpareDescriptor(): void {
  if (spare < 0) spare = libc.open('/dev/null', libc.O_CLOEXEC);
}

/** Whether something failed because there are no descriptors. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
}

/** What a descriptor that could not be had is told to a caller with: ENFILE if there are none, as the limit is not his. */
export function descriptorErrno(errno: number): number {
  return errno === EMFILE || errno === ENFILE ? ENFILE : EOPNOTSUPP;
}

/**
 * Does what opens a file and closes it again. When the server has no descriptor left it is done in the place of the spare one: what is
 * there must not look as if it were not.
 */
export function withDescriptors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE' || spare < 0) throw error;
  }
  libc.close(spare);
  spare = -1;
  try {
    return work();
  } finally {
    holdSpareDescriptor();
  }
}
