import { type Command, Option } from 'commander';
import { UsageFailure } from '../failures.ts';
import type { TopCommandOptions } from './top.ts';

const DEFAULT_INTERVAL_MS = 1000;
const SHORTEST_INTERVAL_SECONDS = 0.1;
const LONGEST_INTERVAL_SECONDS = 60;

/** Seconds, as a person writes them, in milliseconds. */
function parseInterval(text: string): number {
  const seconds = /^[0-9]*\.?[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!(seconds >= SHORTEST_INTERVAL_SECONDS && seconds <= LONGEST_INTERVAL_SECONDS)) {
    throw new UsageFailure(
      `--interval takes seconds from ${SHORTEST_INTERVAL_SECONDS} to ${LONGEST_INTERVAL_SECONDS}, fractions allowed, not '${text}'`,
    );
  }
  return seconds * 1000;
}

export function defineTop(root: Command): void {
  root
    .command('top')
    .description('show the mount on DIR live, in the terminal')
    .argument('<DIR>', 'the mount point')
    .addOption(
      new Option('--interval <SECONDS>', 'time between refreshes')
        .argParser(parseInterval)
        .default(DEFAULT_INTERVAL_MS, String(DEFAULT_INTERVAL_MS / 1000)),
    )
    .action(async (directory: string, options: TopCommandOptions) => {
      const { topCommand } = await import('./top.ts');
      await topCommand(directory, options);
    });
}
