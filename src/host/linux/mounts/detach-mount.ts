import { closeSync, openSync } from 'node:fs';
import * as libc from '../libc.ts';
import { descriptorMountId } from '../descriptors/descriptors.ts';
import { withDescriptors } from '../descriptors/spare-descriptor.ts';
import { mountTable } from './mount-table.ts';

const O_PATH = 0o10000000;

/**
 * Detaches the mount of this number, wherever it is now. A path may lead elsewhere by the time it is used: who owns a folder above a mount
 * can rename it, and put a link to another mount into its place. `flags` are those of umount2(2). False when this process has not the
 * right, when there is no such mount, and when another one lies over it.
 */
export function detachMount(id: number, flags: number): boolean {
  const entry = mountTable().find((candidate) => candidate.id === id);
  if (entry === undefined) return false;
  try {
    return withDescriptors(() => {
      const descriptor = openSync(entry.directory, O_PATH);
      try {
        return (
          descriptorMountId(descriptor) === id && libc.umount2(`/proc/self/fd/${descriptor}`, flags) === 0
        );
      } finally {
        closeSync(descriptor);
      }
    });
  } catch {
    return false;
  }
}
