import { closeSync, openSync } from 'node:fs';

/** What opens a file may open another one while it has the first. */
const SPARE_COUNT = 2;

const spares: number[] = [];

/** Holds descriptors, one of which `withDescriptors` gives up for a moment when there is no other. */
export function holdSpareDescriptor(): void {
  try {
    while (spares.length < SPARE_COUNT) spares.push(openSync('/dev/null', 'r'));
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
 * Does what opens a file and closes it again. When the server has no descriptor left it is done in the place of a spare one: what is
 * there must not look as if it were not.
 */
export function withDescriptors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const spare = (error as NodeJS.ErrnoException).code === 'EMFILE' ? spares.pop() : undefined;
    if (spare === undefined) throw error;
    closeSync(spare);
  }
  try {
    return work();
  } finally {
    holdSpareDescriptor();
  }
}
