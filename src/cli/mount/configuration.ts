import { closeSync, openSync, readSync } from 'node:fs';
import { CommandFailure, UsageFailure } from '../failures.ts';
import { parseSetting, type SysctlSetting } from './sysctl-setting.ts';
import { trySysctls } from './sysctl-settings.ts';

/** No set of tunables is nearly as long; /dev/zero is no configuration. */
const LIMIT_BYTES = 1024 * 1024;

/** A setting and where it was made, as a person is told: `FILE:LINE`. */
export interface ConfiguredSetting {
  readonly setting: SysctlSetting;
  readonly place: string;
}

/**
 * Reads a configuration file: one `name=value` a line, `#` starts a comment, blanks do not matter. Fails with the file and the line
 * of the first thing that is wrong. Names and ranges are not looked at: see `mergeSettings`.
 */
export function readConfiguration(path: string): readonly ConfiguredSetting[] {
  const settings = new Map<string, ConfiguredSetting>();
  for (const [index, text] of readText(path).split('\n').entries()) {
    const line = text.replace(/#.*/, '').trim();
    if (line === '') continue;
    const place = `${path}:${index + 1}`;
    const setting = parseSetting(line);
    if (setting === null) {
      throw new CommandFailure(
        `${place}: '${line}' is no NAME=INTEGER: write for example kern.ipc.pipe_mindirect=16K`,
      );
    }
    const [name] = setting;
    const first = settings.get(name);
    if (first !== undefined) {
      throw new CommandFailure(`${place}: ${name} has been set at ${first.place} already: remove one`);
    }
    settings.set(name, { setting, place });
  }
  return [...settings.values()];
}

/**
 * The settings of a mount: those of the command line, and before them those of the file that the command line does not replace.
 * All are tried on a tree that nobody mounts, so that nothing has happened when one is wrong: a CommandFailure for one of the file,
 * a UsageFailure for one of the command line. They come back in an order in which they can be made.
 */
export function mergeSettings(
  configured: readonly ConfiguredSetting[],
  fromCommandLine: readonly SysctlSetting[],
): readonly SysctlSetting[] {
  const isIn = (settings: readonly SysctlSetting[], name: string): boolean =>
    settings.some((setting) => setting[0] === name);
  const file = configured.map(({ setting }) => setting);
  const replaced = file.filter(([name]) => isIn(fromCommandLine, name));
  // A line that is replaced must be right all the same: without the option the file would be refused.
  if (replaced.length > 0)
    check([...file, ...fromCommandLine.filter(([name]) => !isIn(file, name))], configured);
  return check([...file.filter((setting) => !replaced.includes(setting)), ...fromCommandLine], configured);
}

function check(
  settings: readonly SysctlSetting[],
  configured: readonly ConfiguredSetting[],
): readonly SysctlSetting[] {
  const { possible, refusal } = trySysctls(settings);
  if (refusal === null) return possible;
  const place = configured.find(({ setting }) => setting === refusal.setting)?.place;
  if (place === undefined) throw new UsageFailure(refusal.reason);
  throw new CommandFailure(`${place}: ${refusal.reason}`);
}

function readText(path: string): string {
  if (path === '') throw new UsageFailure('--config is empty: name the file to read');
  const bytes = Buffer.alloc(LIMIT_BYTES + 1);
  let length = 0;
  try {
    const descriptor = openSync(path, 'r');
    try {
      for (let count = -1; count !== 0 && length < bytes.length; length += count)
        count = readSync(descriptor, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    switch (code) {
      case 'ENOENT':
      case 'ENOTDIR':
        throw new CommandFailure(
          `the configuration file ${path} does not exist: create it, or correct its name`,
        );
      case 'EACCES':
        throw new CommandFailure(
          `you may not read the configuration file ${path}: run 'chmod a+r' on it as its owner`,
        );
      case 'EISDIR':
        throw new CommandFailure(`${path} is a directory: --config takes a file`);
      default:
        throw new CommandFailure(
          `the configuration file ${path} cannot be read (${code ?? 'unknown error'})`,
        );
    }
  }
  if (length > LIMIT_BYTES)
    throw new CommandFailure(`${path} has more than ${LIMIT_BYTES} bytes: it is no configuration file`);
  return bytes.toString('utf8', 0, length);
}
