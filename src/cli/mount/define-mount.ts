import { type Command, Option } from 'commander';
import { oneOf } from '../arguments.ts';
import { fuseModuleOption } from './fuse-module-option.ts';
import { parsePipeBuf, parseSpin, parseSysctl } from './mount-options.ts';
import type { MountCommandOptions } from './server-input.ts';
import type { SysctlSetting } from './sysctl-setting.ts';

const DEFAULT_SPIN_MS = 0.05;
const TRANSPORTS = ['auto', 'raw', 'fuse-native'] as const;
const RINGS = ['auto', 'on', 'off'] as const;
const SHM_BACKINGS = ['auto', 'passthrough', 'cached'] as const;

function appendSetting(text: string, settings: readonly SysctlSetting[]): readonly SysctlSetting[] {
  return [...settings, parseSysctl(text)];
}

/** Adds the options that say how a mount is served, of `mount` and `run`. */
export function addServingOptions(command: Command): void {
  command
    .addOption(
      new Option('--transport <NAME>', 'what carries requests: our own protocol, or a package for libfuse')
        .choices(TRANSPORTS)
        .argParser(oneOf('--transport', TRANSPORTS))
        .default('auto'),
    )
    .addOption(fuseModuleOption())
    .addOption(
      new Option('--spin <MICROSECONDS>', 'how long the server looks for the next request before it sleeps')
        .argParser(parseSpin)
        .default(DEFAULT_SPIN_MS, String(DEFAULT_SPIN_MS * 1000)),
    )
    .addOption(
      new Option(
        '--shm-backing <KIND>',
        'how segments are mapped: their memory itself, or pages of the page cache',
      )
        .choices(SHM_BACKINGS)
        .argParser(oneOf('--shm-backing', SHM_BACKINGS))
        .default('auto'),
    )
    .addOption(
      new Option(
        '--io-uring <WHEN>',
        'whether requests come through an io_uring: auto takes it where the kernel offers it',
      )
        .choices(RINGS)
        .argParser(oneOf('--io-uring', RINGS))
        .env('IPCFS_IO_URING')
        .default('off'),
    )
    .option('--pipe-buf <BYTES>', 'maximum size of an atomic write', parsePipeBuf)
    .option('--sysctl <NAME=VALUE>', 'set a tunable; can be given several times', appendSetting, [])
    .option(
      '--config <FILE>',
      'set the tunables of a file, NAME=VALUE a line; options on the command line win',
    );
}

export function defineMount(root: Command): void {
  const mount = root
    .command('mount')
    .description('mount on the directory DIR; goes to the background once the mount answers')
    .argument('<DIR>', 'an existing directory')
    .option('-f, --foreground', 'stay, and unmount on SIGINT and SIGTERM', false)
    .option('--allow-other', 'let other users in (always on when root mounts)', false)
    .option('--noexec', 'let nobody execute what is in the mount', false);
  addServingOptions(mount);
  mount.action(async (directory: string, options: MountCommandOptions) => {
    const { mountCommand } = await import('./mount-command.ts');
    await mountCommand(directory, options);
  });
}

export function defineUmount(root: Command): void {
  root
    .command('umount')
    .description('unmount DIR; blocked calls in it end')
    .argument('<DIR>', 'the mount point')
    .action(async (directory: string) => {
      const { umountCommand } = await import('./umount.ts');
      await umountCommand(directory);
    });
}
