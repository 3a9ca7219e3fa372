#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { doctor } from './doctor.ts';
import { EXIT_USAGE, report, UsageFailure } from './failure.ts';
import { mountCommand, type MountCommandOptions } from './mount.ts';
import { parsePipeBuf, parseSpin, parseSysctl, type SysctlSetting } from './mount-options.ts';
import { umountCommand } from './umount.ts';
import { packageVersion } from './version.ts';
import { waitCommand, type WaitCommandOptions } from './wait.ts';
import { parseCount, parseTimeout } from './wait-options.ts';

/** Lets commander say which option a refused value belongs to, in our one line. */
function argument<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof UsageFailure) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

function appendSetting(text: string, settings: readonly SysctlSetting[]): readonly SysctlSetting[] {
  return [...settings, argument(parseSysctl)(text)];
}

function program(): Command {
  const root = new Command('ipcfs')
    .description('BSD inter-process communication as a file system')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [COMMAND]', 'show the help of a command')
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(oneLine(text));
      },
    });
  root
    .command('mount')
    .description('mount on the directory DIR; goes to the background once the mount answers')
    .argument('<DIR>', 'an existing directory')
    .option('-f, --foreground', 'stay, and unmount on SIGINT and SIGTERM', false)
    .option('--allow-other', 'let other users in (always so when root mounts)', false)
    .addOption(
      new Option('--spin <MICROSECONDS>', 'how long to look for the next request before sleeping')
        .argParser(argument(parseSpin))
        .default(DEFAULT_SPIN_MS, String(DEFAULT_SPIN_MS * 1000)),
    )
    .addOption(
      new Option('--shm-backing <KIND>', 'how segments are mapped: their memory itself, or cached pages')
        .choices(['auto', 'passthrough', 'cached'])
        .default('auto'),
    )
    .option('--pipe-buf <BYTES>', 'writes up to this size are atomic', argument(parsePipeBuf))
    .option('--sysctl <NAME=VALUE>', 'set a tunable; can be given several times', appendSetting, [])
    .action(async (directory: string, options: MountCommandOptions) => {
      await mountCommand(directory, options);
    });
  root
    .command('umount')
    .description('unmount DIR; calls that wait in it are ended')
    .argument('<DIR>', 'the mount point')
    .action(async (directory: string) => {
      await umountCommand(directory);
    });
  root
    .command('wait')
    .description('wait for events of the mount on DIR, and print them')
    .argument('<DIR>', 'the mount point')
    .argument('<CHANGE...>', "what to watch, for example 'add read pipes/a'")
    .option(
      '--timeout <SECONDS>',
      'end with 124 after this long; 0 takes only what is pending',
      argument(parseTimeout),
    )
    .addOption(
      new Option('--count <N>', 'end after this many events').argParser(argument(parseCount)).default(1),
    )
    .option('--json', 'print each event as a JSON object', false)
    .action(async (directory: string, changes: readonly string[], options: WaitCommandOptions) => {
      await waitCommand(directory, changes, options);
    });
  root
    .command('doctor')
    .description('say what is missing for a mount, and how to get it')
    .action(() => {
      process.exitCode = doctor();
    });
  return root;
}

const DEFAULT_SPIN_MS = 0.05;

/** commander's message without its prefix and hints, as one line that names the help. */
function oneLine(text: string): string {
  const message = text
    .trim()
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ');
  return `ipcfs: ${message}: see 'ipcfs --help'\n`;
}

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else process.exitCode = report(error);
}
