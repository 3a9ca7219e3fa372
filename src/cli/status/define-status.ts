import type { Command } from 'commander';
import type { StatusCommandOptions } from './status.ts';

export function defineStatus(root: Command): void {
  root
    .command('status')
    .description('show what is in the mount on DIR: pipes, kqueues, segments, blocked calls')
    .argument('<DIR>', 'the mount point')
    .option('--json', 'print one JSON object', false)
    .option('--all', 'print every row, also more than fit on the screen', false)
    .action(async (directory: string, options: StatusCommandOptions) => {
      const { statusCommand } = await import('./status.ts');
      await statusCommand(directory, options);
    });
}
