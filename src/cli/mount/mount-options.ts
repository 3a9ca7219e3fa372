import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseInteger } from '../../kern/sysctl.ts';
import { DEFAULT_PIPE_BUF_BYTES, MINIMUM_PIPE_BUF_BYTES } from '../../pipe/pipe-buf.ts';
import { isIpcfsMount, mountAround, mountAt } from '../../host/mounts.ts';
import { mountState } from '../../transports/common/mount-point.ts';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { parseSetting, type SysctlSetting } from './sysctl-setting.ts';

const MAX_SPIN_MICROSECONDS = 10_000;

/** The spin time in milliseconds. */
export function parseSpin(text: string): number {
  const microseconds = parseInteger(text);
  if (microseconds === null || microseconds < 0 || microseconds > MAX_SPIN_MICROSECONDS) {
    throw new UsageFailure(`--spin takes microseconds from 0 to ${MAX_SPIN_MICROSECONDS}, not '${text}'`);
  }
  return microseconds / 1000;
}

/** The package that binds libfuse: a path is made absolute here, since a server in the background works elsewhere. */
export function parseFuseModule(text: string): string {
  if (text === '') throw new UsageFailure('--fuse-module takes the name of a package, or a path');
  return /^\.{0,2}\//.test(text) ? resolve(text) : text;
}

export function parsePipeBuf(text: string): SysctlSetting {
  const bytes = parseInteger(text);
  if (bytes === null || bytes < MINIMUM_PIPE_BUF_BYTES || bytes > DEFAULT_PIPE_BUF_BYTES) {
    throw new UsageFailure(
      `--pipe-buf takes bytes from ${MINIMUM_PIPE_BUF_BYTES} to ${DEFAULT_PIPE_BUF_BYTES}, not '${text}'`,
    );
  }
  return ['kern.ipc.pipe_buf', bytes];
}

export function parseSysctl(text: string): SysctlSetting {
  const setting = parseSetting(text);
  if (setting !== null) return setting;
  throw new UsageFailure(
    `--sysctl takes NAME=INTEGER, not '${text}', for example kern.ipc.pipe_mindirect=16K`,
  );
}

/** The mount point as an absolute path without links. */
export async function resolveMountPoint(directory: string): Promise<string> {
  // Node would take it for the working directory; a script whose variable is not set does not mean that.
  if (directory === '') throw new UsageFailure('DIR is empty: name the directory to mount on');
  try {
    // A mount that is there already is not touched: it may be dead, or hang.
    await refuseDeadMount(directory, resolve(directory));
    const path = resolveWithoutTouching(directory);
    if (isIpcfsMount(mountAt(path))) return path;
    const target = realpathSync(directory);
    // By links, perhaps.
    await refuseDeadMount(directory, target);
    if (statSync(target).isDirectory()) return target;
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') {
      throw new CommandFailure(`${directory} does not exist: create it with 'mkdir ${directory}'`);
    }
    if (code === 'EACCES') {
      throw new CommandFailure(`you may not enter ${directory}: choose a directory of yours`);
    }
    if (code !== 'ENOTDIR') {
      throw new CommandFailure(
        `'${directory}' cannot be used (${code ?? 'unknown error'}): choose another directory`,
      );
    }
  }
  throw new CommandFailure(`${directory} is not a directory: mount on a directory`);
}

/**
 * Refuses a directory within a mount whose server has ended or does not answer. The kernel may know it still, and would mount on it what
 * could not be reached any more.
 */
async function refuseDeadMount(directory: string, path: string): Promise<void> {
  const around = mountAround(path);
  if (!isIpcfsMount(around) || around!.directory === path) return;
  const { directory: other } = around!;
  const state = await mountState(other);
  if (state === 'alive') return;
  const problem = state === 'dead' ? 'whose server has ended' : 'which does not answer';
  throw new CommandFailure(`${directory} lies in ${other}, ${problem}: run 'ipcfs umount ${other}' first`);
}

/** The absolute path with every part but the last resolved: the last may be a mount that does not answer. */
export function resolveWithoutTouching(directory: string): string {
  const absolute = resolve(directory);
  return join(realpathSync(dirname(absolute)), basename(absolute));
}
