import type { Command } from 'commander';
import { fuseModuleOption } from '../mount/fuse-module-option.ts';

export function defineDoctor(root: Command): void {
  root
    .command('doctor')
    .description('say whether you can mount, and what to do if you cannot')
    .addOption(fuseModuleOption())
    .action(async (options: { fuseModule: string }, command: Command) => {
      const { doctor } = await import('./doctor.ts');
      const listsLosses = command.getOptionValueSource('fuseModule') === 'cli';
      process.exitCode = await doctor({ ...options, listsLosses });
    });
}
