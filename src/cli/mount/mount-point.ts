import { realpathSync } from 'node:fs';
import { isIpcfsMount, listCommand, mountAt } from '../../host/mounts.ts';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { resolveWithoutTouching } from './mount-options.ts';

/** The absolute path of the mount that DIR names. Asks the kernel's table and not the mount, which may hang. */
export function findMount(directory: string): string {
  const path = mountPointPath(directory);
  if (isIpcfs(path)) return path;
  throw new CommandFailure(`${directory} is no ipcfs mount: '${listCommand()}' lists what is mounted`);
}

export function isIpcfs(path: string): boolean {
  return isIpcfsMount(mountAt(path));
}

function mountPointPath(directory: string): string {
  if (directory === '') throw new UsageFailure('DIR is empty: name the mount point');
  try {
    const path = resolveWithoutTouching(directory);
    return isIpcfs(path) ? path : realpathSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new CommandFailure(`${directory} does not exist: '${listCommand()}' lists what is mounted`);
    }
    throw new CommandFailure(`you may not look at ${directory} (${code ?? 'unknown error'})`);
  }
}
