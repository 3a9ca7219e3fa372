import { readdirSync } from 'node:fs';
import { commandName, processState } from '../../host/linux/processes/processes.ts';
import type { BlockedCallRow, Holders } from './wait-graph.ts';

/** A thread that Linux lets wait for another call on the same open file: no request of it has reached the server. */
export interface LockWaiter {
  readonly process: number;
  readonly thread: number;
  readonly command: string;
}

/**
 * Threads that wait for a blocked write to end: those in state D of processes that have its file open. Signals do not end them. Writers
 * with O_APPEND do so, and changes of attributes by descriptor.
 */
export function findLockWaiters(calls: readonly BlockedCallRow[], { descriptors }: Holders): LockWaiter[] {
  const written = new Set<number>(writesOf(calls).map(({ ino }) => ino));
  const seen = new Set(calls.map(({ pid }) => pid));
  const processes = new Set(descriptors.flatMap((held) => (written.has(held.inode) ? [held.process] : [])));
  return [...processes].flatMap((process) =>
    threadsOf(process)
      .filter((thread) => !seen.has(thread) && processState(thread)?.isUninterruptible === true)
      .map((thread) => ({ process, thread, command: commandName(process) ?? '?' })),
  );
}

/** The calls that keep others of their open file waiting. */
export function writesOf(calls: readonly BlockedCallRow[]): BlockedCallRow[] {
  return calls.filter(({ call }) => call === 'write');
}

function threadsOf(process: number): number[] {
  try {
    return readdirSync(`/proc/${process}/task`).map(Number);
  } catch {
    // It has ended meanwhile.
    return [];
  }
}
