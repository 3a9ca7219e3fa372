import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';

/** Whether the kernel offers FUSE over io_uring, for connections that are opened afterwards. */
const PARAMETER = '/sys/module/fuse/parameters/enable_uring';

/** Why tests cannot have the kernel offer a ring; null when they can. */
export function reasonNoRing(): string | null {
  try {
    accessSync(PARAMETER, constants.R_OK | constants.W_OK);
    writeFileSync(PARAMETER, readFileSync(PARAMETER));
    return null;
  } catch (error) {
    return `enable_uring of the module fuse cannot be set (${(error as NodeJS.ErrnoException).code!})`;
  }
}

/** Has the kernel offer a ring, or not; a function that restores what was. Mounts without --io-uring take no notice. */
export function offerRing(isOffered: boolean): () => void {
  const before = readFileSync(PARAMETER);
  writeFileSync(PARAMETER, isOffered ? 'Y' : 'N');
  return () => {
    writeFileSync(PARAMETER, before);
  };
}
