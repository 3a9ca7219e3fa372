import type { Command } from 'commander';
import { parseDuration } from '../arguments.ts';
import type { WaitsCommandOptions } from './waits.ts';

export function defineWaits(root: Command): void {
  root
    .command('waits')
    .description('show who waits for whom in the mount on DIR, and deadlocks')
    .argument('<DIR>', 'the mount point')
    .option('--check', 'print deadlocks only, a line each; the exit status is 3 when there is one', false)
    .option(
      '--longer-than <TIME>',
      'with --check: print calls that have waited longer than this (500ms, 5s, 2m) too; the exit status is 4 when there is one and no deadlock',
      (text) => parseDuration('--longer-than', text),
    )
    .option('--json', 'print one JSON object', false)
    .action(async (directory: string, options: WaitsCommandOptions) => {
      const { waitsCommand } = await import('./waits.ts');
      await waitsCommand(directory, options);
    });
}
