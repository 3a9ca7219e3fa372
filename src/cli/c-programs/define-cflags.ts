import type { Command } from 'commander';

export function defineCflags(root: Command): void {
  root
    .command('cflags')
    .description(
      "print the compiler's options for C programs that call kqueue(2) and shmget(2): cc $(ipcfs cflags) FILE.c",
    )
    .option('--pipes', 'pipe(2) too: both ends read and write', false)
    .action(async (options: { pipes: boolean }) => {
      const { cflags } = await import('./cflags.ts');
      process.stdout.write(`${cflags(options).join(' ')}\n`);
    });
}
