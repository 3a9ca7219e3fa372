import type { Command, Option } from 'commander';
import { UsageFailure } from '../failures.ts';

/**
 * Options of fstab(5) and mount(8) that say when and by whom, or what holds on this mount anyway: it is always nosuid and nodev,
 * and access times are the engines' business.
 */
const ignored = new Set(
  (
    'defaults rw auto noauto user nouser users owner group nofail _netdev nosuid nodev suid dev exec async sync dirsync ' +
    'atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime lazytime nolazytime silent loud default_permissions'
  ).split(' '),
);
const ignoredKinds = /^(x-|X-|comment=|fsname=|subtype=|setuid=)/;

/** Options of the helper itself that take a value; those before -o that take none are -s, -f, -n, -v, -r and -w. */
const helperValues = new Set(['-o', '-t', '-N']);

/**
 * The arguments of `ipcfs mount` for a call as mount(8) makes it, `ipcfs SOURCE DIR -o OPTIONS`; any others are returned as they are.
 * An option NAME or NAME=VALUE is `--NAME` of `ipcfs mount` with `_` for `-`, and sysctl.NAME=VALUE sets a tunable. Throws a
 * UsageFailure for an option that is neither.
 */
export function fromMountHelper(root: Command, args: readonly string[]): readonly string[] {
  const [source, directory, ...rest] = args;
  const isCommand = root.commands.some((command) => command.name() === source);
  if (source === undefined || source.startsWith('-') || isCommand || !rest.includes('-o')) return args;
  const mount = root.commands.find((command) => command.name() === 'mount')!;
  const options: string[] = [];
  for (let index = 0; index < rest.length; index++) {
    const flag = rest[index]!;
    const value = helperValues.has(flag) ? rest[++index] : undefined;
    if (flag === '-r') throw readOnly();
    if (flag === '-o') options.push(...(value ?? '').split(',').filter((option) => option !== ''));
  }
  return ['mount', ...options.flatMap((option) => translate(mount, option)), '--', directory!];
}

function translate(mount: Command, option: string): string[] {
  if (ignored.has(option) || ignoredKinds.test(option)) return [];
  if (option === 'ro') throw readOnly();
  if (option.startsWith('sysctl.')) return ['--sysctl', option.slice('sysctl.'.length)];
  const equals = option.indexOf('=');
  const name = equals < 0 ? option : option.slice(0, equals);
  const named = mountOptions(mount).find((candidate) => mountOptionName(candidate) === name);
  if (named === undefined) {
    const known = mountOptions(mount).map(mountOptionName).join(', ');
    throw new UsageFailure(`there is no mount option '${option}': known are ${known}, sysctl.NAME=VALUE`);
  }
  if (named.required && equals < 0)
    throw new UsageFailure(`the mount option '${name}' needs a value: ${name}=...`);
  if (!named.required && equals >= 0) throw new UsageFailure(`the mount option '${name}' takes no value`);
  return equals < 0 ? [named.long!] : [`${named.long!}=${option.slice(equals + 1)}`];
}

/** The options of `ipcfs mount` that can stand in fstab: mount(8) waits for its helper, so it cannot stay in the foreground. */
export function mountOptions(mount: Command): readonly Option[] {
  return mount.options.filter(({ long }) => long !== '--foreground' && long !== '--sysctl');
}

export function mountOptionName(option: Option): string {
  return option.long!.slice(2).replaceAll('-', '_');
}

function readOnly(): UsageFailure {
  return new UsageFailure("'ro' is not possible: who reads a pipe changes it; use modes and owners instead");
}
