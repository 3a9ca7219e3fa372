import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { EINVAL, ENOENT, EPERM } from '../kern/errno.ts';
import { Kernel } from '../kern/kernel.ts';
import { isTunable, parseInteger, type SysctlRegistry } from '../kern/sysctl.ts';
import { LinuxHost } from '../host/linux/linux-host.ts';
import { DEFAULT_PIPE_BUF_BYTES, MINIMUM_PIPE_BUF_BYTES } from '../pipe/subsystem.ts';
import { FILE_SYSTEM_TYPE } from '../transports/raw/fuse-mount.ts';
import { mountAt } from '../host/linux/mount-table.ts';
import { FileSystem } from '../vfs/file-system.ts';
import { CommandFailure, UsageFailure } from './failure.ts';

const MAX_SPIN_MICROSECONDS = 10_000;

/** The spin time in milliseconds. */
export function parseSpin(text: string): number {
  const microseconds = parseInteger(text);
  if (microseconds === null || microseconds < 0 || microseconds > MAX_SPIN_MICROSECONDS) {
    throw new UsageFailure(`--spin takes microseconds from 0 to ${MAX_SPIN_MICROSECONDS}, not '${text}'`);
  }
  return microseconds / 1000;
}

export type SysctlSetting = readonly [name: string, value: number];

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
  const equals = text.indexOf('=');
  const value = equals < 0 ? null : parseInteger(text.slice(equals + 1));
  if (value === null) {
    throw new UsageFailure(
      `--sysctl takes NAME=INTEGER, not '${text}', for example kern.ipc.pipe_mindirect=16K`,
    );
  }
  return [text.slice(0, equals), value];
}

/** Tries settings on a tree that nobody mounts, so that a wrong one is a usage error before anything has happened. */
export function checkSysctls(settings: readonly SysctlSetting[]): void {
  const kernel = new Kernel(new LinuxHost());
  new FileSystem(kernel, { uid: 0, gid: 0, version: '', pid: 0 });
  for (const [name, value] of settings) {
    const error = kernel.sysctls.preset(name, value);
    if (error !== 0) throw new UsageFailure(describe(kernel.sysctls, name, value, error));
  }
}

function describe(sysctls: SysctlRegistry, name: string, value: number, error: number): string {
  switch (error) {
    case ENOENT: {
      const known = [...sysctls.all()].filter(isTunable);
      return `there is no tunable '${name}': known are ${known.map((variable) => variable.name).join(', ')}`;
    }
    case EPERM:
      return `${name} is a counter and cannot be set`;
    case EINVAL:
      return `${name} does not take ${value}: ${rangeOf(sysctls, name)}`;
    default:
      return `${name} could not be set to ${value}`;
  }
}

function rangeOf(sysctls: SysctlRegistry, name: string): string {
  const variable = sysctls.get(name)!;
  const { minimum, maximum } = variable;
  if (minimum !== undefined && maximum !== undefined) return `it goes from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `it starts at ${minimum}`;
  return `it is ${variable.get()} by default, ${variable.description}`;
}

/** The mount point as an absolute path without links. */
export function resolveMountPoint(directory: string): string {
  // Node would take it for the working directory; a script whose variable is not set does not mean that.
  if (directory === '') throw new UsageFailure('DIR is empty: name the directory to mount on');
  try {
    // A mount that is there already is not touched: it may be dead, or hang.
    const path = resolveWithoutTouching(directory);
    if (mountAt(path)?.type === FILE_SYSTEM_TYPE) return path;
    const target = realpathSync(directory);
    if (statSync(target).isDirectory()) return target;
  } catch (error) {
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

/** The absolute path with every part but the last resolved: the last may be a mount that does not answer. */
export function resolveWithoutTouching(directory: string): string {
  const absolute = resolve(directory);
  return join(realpathSync(dirname(absolute)), basename(absolute));
}
