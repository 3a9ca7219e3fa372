import { CommanderError } from 'commander';
import { EXIT_USAGE, UsageFailure } from './failure.ts';
import { endWithFailure } from './mount-calls.ts';
import { fromMountHelper } from './mount-helper.ts';
import { program } from './program.ts';

// Who reads what is printed may have had enough: `ipcfs doctor | head -n 1`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  const root = program();
  const args = fromMountHelper(root, process.argv.slice(2));
  if (args.length === 0) throw new UsageFailure("name a command: 'ipcfs --help' lists them");
  await root.parseAsync(args, { from: 'user' });
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else endWithFailure(error);
}
