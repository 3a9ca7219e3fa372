import { setTimeout as delay } from 'node:timers/promises';
import { exitNow } from '../../host/linux/libc.ts';
import { exitBy } from '../exit.ts';
import { CommandFailure, UnansweredFailure } from '../failures.ts';
import { findMount, isIpcfs } from '../mount/mount-point.ts';

exitBy(exitNow);

/** How long a mount may take to answer a call that never waits for anything. */
export const ANSWER_TIMEOUT_MS = 5000;

/** A mount that a command uses. */
export interface MountPoint {
  /** Absolute, without links. */
  readonly path: string;
  /** As the user wrote it, for messages. */
  readonly directory: string;
}

/** The mount on DIR; a CommandFailure when there is none. Does not touch it. */
export function mountPoint(directory: string): MountPoint {
  return { path: findMount(directory), directory };
}

/**
 * What `call` gives. `call` uses the mount with Node's asynchronous calls only, so that a server that hangs holds up one of Node's
 * threads and not this one. Fails with an UnansweredFailure after `timeoutMs`.
 */
export async function answered<T>(
  { directory }: MountPoint,
  call: () => Promise<T>,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, null, { signal: timer.signal }).then(() => {
    throw new UnansweredFailure(directory);
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    timer.abort();
    late.catch(() => undefined);
  }
}

/** A failure of a call on `file` (a path in the mount), in one line that says what to do. */
export function explain(error: unknown, { path, directory }: MountPoint, file: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof CommandFailure || code === undefined) return error;
  if (code === 'EACCES') {
    return new CommandFailure(
      `you may not use ${directory}: only its owner may, unless it was mounted with --allow-other`,
    );
  }
  // An interrupted call was ended by the server, which is going.
  if (code === 'EINTR' || code === 'ENOTCONN' || code === 'ECONNABORTED' || !isIpcfs(path)) {
    return new CommandFailure(`the mount on ${directory} has ended: mount it again`);
  }
  if (code === 'ENOENT') {
    return new CommandFailure(
      `${directory}/${file} does not exist: another version of ipcfs serves the mount, mount it again`,
    );
  }
  if (code === 'ENOMEM') {
    return new CommandFailure(
      `${directory}/${file} is longer than you may have it made: raise ipcfs.table_memory or ipcfs.quota.held_bytes, or read ${directory}/${file.replace('.json', '')}`,
    );
  }
  return new CommandFailure(`${directory}/${file} cannot be used (${code}): see 'ipcfs doctor'`);
}
