import type { Credentials } from '../../kern/credentials.ts';
import type { FileSystem } from '../../tree/file-system.ts';
import type { CallTable } from './calls.ts';
import type { HandleTable } from './handles.ts';

/** What the callbacks of all mounts of one tree share. */
export interface Server {
  readonly fileSystem: FileSystem;
  readonly calls: CallTable;
  readonly handles: HandleTable;
  /** Who makes the call whose callback runs now. */
  readonly caller: () => Credentials;
}

/** How one mount treats the files that are opened through it. */
export interface OpenPolicy {
  /** Whether segments go through the host's page cache, so that their pages must not be dropped under a mapping. */
  readonly isCached: boolean;
  /** Whether the host lets callers seek in streams, and so gives a position that may have been moved. */
  readonly isSeekable: boolean;
}

/** Answers a callback: 0 or a count, or a negative errno in Linux's numbers; and what the callback is to give beside it. */
export type Reply<T = undefined> = (result: number, value?: T) => void;
