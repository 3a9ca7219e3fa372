import { Argument, type Command, Option } from 'commander';
import { oneOf } from './arguments.ts';
import { COMPLETE_COMMAND, type Shell, SHELLS } from './completion/names.ts';
import { defineStatus } from './define-status.ts';
import { defineTop } from './define-top.ts';
import { helpCommand } from './help/command.ts';
import type { MountCommandOptions } from './server-input.ts';
import { parseFuseModule, parsePipeBuf, parseSpin, parseSysctl } from './mount-options.ts';
import type { SysctlSetting } from './sysctl-setting.ts';
import { DEFAULT_MODULE } from '../transports/fuse-native/binding.ts';
import { defineWaits } from './define-waits.ts';
import type { WaitCommandOptions } from './wait.ts';
import { parseCount, parseTimeout } from './wait-options.ts';

const DEFAULT_SPIN_MS = 0.05;
const TRANSPORTS = ['auto', 'raw', 'fuse-native'] as const;
const SHM_BACKINGS = ['auto', 'passthrough', 'cached'] as const;

function appendSetting(text: string, settings: readonly SysctlSetting[]): readonly SysctlSetting[] {
  return [...settings, parseSysctl(text)];
}

function fuseModuleOption(): Option {
  return new Option('--fuse-module <NAME>', 'the package for --transport fuse-native: its name, or a path')
    .argParser(parseFuseModule)
    .default(DEFAULT_MODULE);
}

function defineMount(root: Command): void {
  root
    .command('mount')
    .description('mount on the directory DIR; goes to the background once the mount answers')
    .argument('<DIR>', 'an existing directory')
    .option('-f, --foreground', 'stay, and unmount on SIGINT and SIGTERM', false)
    .option('--allow-other', 'let other users in (always so when root mounts)', false)
    .option('--noexec', 'let nobody execute what is in the mount', false)
    .addOption(
      new Option('--transport <NAME>', 'what carries requests: our own protocol, or a package for libfuse')
        .choices(TRANSPORTS)
        .argParser(oneOf('--transport', TRANSPORTS))
        .default('auto'),
    )
    .addOption(fuseModuleOption())
    .addOption(
      new Option('--spin <MICROSECONDS>', 'how long to look for the next request before sleeping')
        .argParser(parseSpin)
        .default(DEFAULT_SPIN_MS, String(DEFAULT_SPIN_MS * 1000)),
    )
    .addOption(
      new Option('--shm-backing <KIND>', 'how segments are mapped: their memory itself, or cached pages')
        .choices(SHM_BACKINGS)
        .argParser(oneOf('--shm-backing', SHM_BACKINGS))
        .default('auto'),
    )
    .option('--pipe-buf <BYTES>', 'writes up to this size are atomic', parsePipeBuf)
    .option('--sysctl <NAME=VALUE>', 'set a tunable; can be given several times', appendSetting, [])
    .option(
      '--config <FILE>',
      'set the tunables of a file, NAME=VALUE a line; options on the command line win',
    )
    .action(async (directory: string, options: MountCommandOptions) => {
      const { mountCommand } = await import('./mount.ts');
      await mountCommand(directory, options);
    });
}

function defineUmount(root: Command): void {
  root
    .command('umount')
    .description('unmount DIR; calls that wait in it are ended')
    .argument('<DIR>', 'the mount point')
    .action(async (directory: string) => {
      const { umountCommand } = await import('./umount.ts');
      await umountCommand(directory);
    });
}

function defineWait(root: Command): void {
  root
    .command('wait')
    .description('wait for events of the mount on DIR, and print them')
    .argument('<DIR>', 'the mount point')
    .argument('<CHANGE...>', "what to watch, for example 'add read pipes/a'")
    .option('--timeout <SECONDS>', 'end with 124 after this long; 0 takes only what is pending', parseTimeout)
    .addOption(new Option('--count <N>', 'end after this many events').argParser(parseCount).default(1))
    .option('--json', 'print each event as a JSON object', false)
    .action(async (directory: string, changes: readonly string[], options: WaitCommandOptions) => {
      const { waitCommand } = await import('./wait.ts');
      await waitCommand(directory, changes, options);
    });
}

function defineDoctor(root: Command): void {
  root
    .command('doctor')
    .description('say what is missing for a mount, and how to get it')
    .addOption(fuseModuleOption())
    .action(async (options: { fuseModule: string }) => {
      const { doctor } = await import('./doctor.ts');
      process.exitCode = await doctor(options);
    });
}

function defineCompletion(root: Command): void {
  root
    .command('completion')
    .description('print what makes a shell complete commands, options, mounts and changes')
    .addArgument(
      new Argument('<SHELL>', 'for which shell').choices(SHELLS).argParser(oneOf('completion', SHELLS)),
    )
    .action(async (shell: Shell) => {
      const { COMPLETION_SCRIPTS } = await import('./completion/scripts.ts');
      process.stdout.write(COMPLETION_SCRIPTS[shell]);
    });
  root
    .command(COMPLETE_COMMAND, { hidden: true })
    .addArgument(new Argument('<SHELL>').choices(SHELLS))
    .argument('[WORDS...]')
    .action(async (shell: Shell, words: readonly string[]) => {
      const { answerShell } = await import('./completion/shells.ts');
      process.stdout.write(await answerShell(root, shell, words));
    });
}

function defineHelp(root: Command): void {
  root
    .command('help')
    .description('show the help of a command, or a topic')
    .argument('[TOPIC]', 'a command or a topic')
    .action(async (name: string | undefined) => {
      await helpCommand(root, name);
    });
}

/** Every command, which loads what it needs when it is given, in the order in which the help lists them. */
export const COMMANDS: readonly ((root: Command) => void)[] = [
  defineMount,
  defineUmount,
  defineStatus,
  defineTop,
  defineWait,
  defineWaits,
  defineDoctor,
  defineCompletion,
  defineHelp,
];
