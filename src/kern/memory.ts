import type { Host } from './host.ts';

/** Memory full of zeros that is to be kept, or null when there is none: that is the caller's ENOMEM, and no reason to end. */
export function allocate(host: Host, sizeBytes: number): Uint8Array | null {
  if (!host.hasMemory(sizeBytes)) return null;
  try {
    return new Uint8Array(sizeBytes);
  } catch (error) {
    if (isOutOfMemory(error)) return null;
    throw error;
  }
}

/** Whether this was thrown because memory could not be had. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof RangeError && error.message.endsWith('allocation failed');
}
