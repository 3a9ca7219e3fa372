import type { LegacyMountKind } from './legacy.ts';
import type { LegacyTarget } from './legacy.ts';

/**
 * Between the server and the process that has the mount for segments. Mounting within a mount asks its server, so a process cannot do it that
 * serves on the thread which mounts; and a binding serves on Node's main thread only.
 */
export interface SegmentMountOrder {
  readonly kind: 'mount';
  readonly directory: string;
  readonly module: string;
  readonly mountKind: LegacyMountKind;
  /** Options of the host for `-o`. */
  readonly options: readonly string[];
}

export type OperationName = keyof LegacyTarget;

/** To the process. `value`: what the operation gives beside its result; the bytes for `read`. */
export type ToSegmentProcess =
  | SegmentMountOrder
  | { readonly kind: 'answer'; readonly id: number; readonly result: number; readonly value: unknown };

/** From the process. The words of `read` are handle, length and position, those of `write` handle, bytes and position. */
export type FromSegmentProcess =
  | { readonly kind: 'mounted' }
  | { readonly kind: 'failed'; readonly message: string }
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly operation: OperationName;
      readonly words: readonly unknown[];
    };
