import { descriptorFailure } from '../descriptors/descriptor-reserve.ts';
import { openDetachedMount } from '../mounts/detached-mount.ts';
import { readFileLines } from '../bounded-read.ts';
import { MOUNT_TABLE_LIMITS } from '../mounts/mount-table.ts';
import * as libc from '../libc.ts';

/** The kernel's tracing files, while they are needed. */
export interface Tracefs {
  readonly path: string;
  close(): void;
}

/** Mount id, parent, device, root, mount point, options; after a dash the type. */
const MOUNTED_TRACEFS = /^\d+ \d+ \S+ \/ ([^\s\\]+) .* - tracefs /;

/**
 * Where it is mounted, or a mount of its own that is nowhere in the tree of files: nobody else sees it, and it goes with its descriptor.
 * One that exists is preferred, since older kernels set its options anew with each mount. -EOPNOTSUPP: there is none, or no right to
 * it; -ENFILE without descriptors.
 */
export function openTracefs(): Tracefs | number {
  let mounted: string | undefined;
  readFileLines('/proc/self/mountinfo', MOUNT_TABLE_LIMITS, (line) => {
    mounted = MOUNTED_TRACEFS.exec(line)?.[1];
    return mounted === undefined;
  });
  if (mounted !== undefined) return { path: mounted, close: () => undefined };
  const descriptor = openDetachedMount('tracefs');
  if (descriptor < 0) return descriptorFailure();
  return {
    path: `/proc/self/fd/${descriptor}`,
    close: () => {
      libc.close(descriptor);
    },
  };
}
