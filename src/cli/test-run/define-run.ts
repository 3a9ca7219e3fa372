import { type Command, Option } from 'commander';
import { oneOf, parseSeconds } from '../arguments.ts';
import { UsageFailure } from '../failures.ts';
import { addServingOptions } from '../mount/define-mount.ts';
import type { RunCommandOptions } from './run-command.ts';

const DEADLOCK_ACTIONS = ['fail', 'report', 'off'] as const;

function parseTimeLimit(text: string): number {
  const milliseconds = parseSeconds('--timeout', text);
  if (milliseconds > 0) return milliseconds;
  throw new UsageFailure('--timeout takes more than 0 seconds: without it, a run has no limit');
}

/** What says how a mount is made, or that it is the run's own. */
const NEW_MOUNT_OPTIONS = [
  'transport',
  'fuseModule',
  'spin',
  'shmBacking',
  'ioUring',
  'pipeBuf',
  'sysctl',
  'config',
  'deadlock',
  'faults',
  'leaks',
] as const;

function refuseOptionsOfNewMounts(run: Command): void {
  for (const name of NEW_MOUNT_OPTIONS) {
    if (run.getOptionValueSource(name) !== 'cli') continue;
    const flag = run.options.find((option) => option.attributeName() === name)!.long!;
    throw new UsageFailure(`${flag} is for a mount of the run's own: leave out --mount or ${flag}`);
  }
}

export function defineRun(root: Command): void {
  const run = root
    .command('run')
    .description(
      'mount for one command, run it with the mount as $IPCFS, unmount, and exit with its status; put -- before COMMAND',
    )
    .argument('[COMMAND...]', 'a program and its arguments; $SHELL without one')
    .option(
      '--timeout <SECONDS>',
      'after this long print who is blocked on what, and end all processes of the run with status 124',
      parseTimeLimit,
    )
    .addOption(
      new Option(
        '--deadlock <ACTION>',
        'what to do when calls can never end: fail ends the run with status 3, report only prints it',
      )
        .choices(DEADLOCK_ACTIONS)
        .argParser(oneOf('--deadlock', DEADLOCK_ACTIONS))
        .default('fail'),
    )
    .option(
      '--faults <FILE>',
      'add the faults of a file, one a line, before the command begins: see ipcfs help faults',
    )
    .option('--leaks', 'list what the command leaves in the mount, and exit with status 4', false)
    .option(
      '--trace <FILE>',
      'record what happens in the mount: a page to FILE.html, the trace-event format to FILE.perfetto.json, else lines as of info/trace.json with all bytes',
    )
    .option(
      '--preload',
      "have the command's shmget(2), shmat(2), shmdt(2) and shmctl(2) use the mount: needs a C compiler once",
      false,
    )
    .option('--pipes', 'with --preload, pipe(2) too: both ends read and write', false)
    .option('--mount <DIR>', 'use this existing mount instead of a new one');
  addServingOptions(run);
  run.action(async (words: readonly string[], options: RunCommandOptions) => {
    if (options.pipes && !options.preload) throw new UsageFailure('--pipes belongs to --preload: give both');
    if (options.mount !== undefined) refuseOptionsOfNewMounts(run);
    const { runCommand } = await import('./run-command.ts');
    await runCommand(words, options);
  });
}
