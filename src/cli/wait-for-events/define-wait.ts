import { type Command, Option } from 'commander';
import { parseSeconds } from '../arguments.ts';
import { UsageFailure } from '../failures.ts';
import type { WaitCommandOptions } from './wait.ts';

function parseCount(text: string): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && Number.isSafeInteger(count)) return count;
  throw new UsageFailure(`--count takes a number of events, 1 or more, not '${text}'`);
}

export function defineWait(root: Command): void {
  root
    .command('wait')
    .description('wait for events of the mount on DIR, and print them')
    .argument('<DIR>', 'the mount point')
    .argument('<CHANGE...>', "what to watch, for example 'add read pipes/a'")
    .option(
      '--timeout <SECONDS>',
      'end with status 124 after this time; 0 takes only pending events',
      (text) => parseSeconds('--timeout', text),
    )
    .addOption(new Option('--count <N>', 'number of events to wait for').argParser(parseCount).default(1))
    .option('--json', 'print each event as a JSON object', false)
    .action(async (directory: string, changes: readonly string[], options: WaitCommandOptions) => {
      const { waitCommand } = await import('./wait.ts');
      await waitCommand(directory, changes, options);
    });
}
