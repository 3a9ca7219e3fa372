import type { Command } from 'commander';
import { fuseModuleOption } from './mount/fuse-module-option.ts';

export function defineDoctor(root: Command): void {
  root
    .command('doctor')
    .description('say what is missing for a mount, and how to get it')
    .addOption(fuseModuleOption())
    .action(async (options: { fuseModule: string }) => {
      const { doctor } = await import('./doctor.ts');
      process.exitCode = await doctor(options);
    });
}
