import { closeSync, openSync } from 'node:fs';

let spare = -1;

/** Holds a descriptor, which `withDescriptors` gives up for a moment when there is no other. */
export function holdSpareDescriptor(): void {
  if (spare >= 0) return;
  try {
    spare = openSync('/dev/null', 'r');
  } catch {
    // There is none to hold: it is tried again after the next use.
  }
}

/** Whether something failed because there are no descriptors. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
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
  closeSync(spare);
  spare = -1;
  try {
    return work();
  } finally {
    holdSpareDescriptor();
  }
}
